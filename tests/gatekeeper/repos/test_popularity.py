import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.repos import Repo, popularity
from gatekeeper.repos.popularity import Popularity

pytestmark = pytest.mark.anyio


async def download(session: AsyncSession, repo: Repo, person_id: str | None, commit: str, path: str) -> None:
    await ledger.record(
        session, "repos:file:download", actor=person_id, repo=repo.id, subject=commit, body={"path": path}
    )
    await session.flush()


async def test_a_file_counts_once_for_a_person_a_commit_and_a_path(
    session: AsyncSession, repo: Repo, ada: Principal, grace: Principal
) -> None:
    for person_id in (ada.person_id, ada.person_id, grace.person_id, None, None):
        await download(session, repo, person_id, "c1", "a.txt")
    await download(session, repo, ada.person_id, "c2", "a.txt")
    await download(session, repo, ada.person_id, "c1", "b.txt")
    assert await popularity.count_downloads(session) == 1
    assert await popularity.of(session, [repo.id]) == {repo.id: Popularity(downloads=5)}


async def test_only_repositories_with_new_downloads_are_counted_again(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    await download(session, repo, ada.person_id, "c1", "a.txt")
    assert await popularity.count_downloads(session) == 1
    assert await popularity.count_downloads(session) == 0
    await download(session, repo, None, "c1", "a.txt")
    assert await popularity.count_downloads(session) == 1
    assert (await popularity.of(session, [repo.id]))[repo.id].downloads == 2


async def test_liking_twice_is_liking_once(session: AsyncSession, repo: Repo, ada: Principal, grace: Principal) -> None:
    for by in (ada, ada, grace):
        await popularity.like(session, repo, by=by)
    assert (await popularity.of(session, [repo.id]))[repo.id].likes == 2
    first = await popularity.likers(session, repo, limit=1)
    rest = await popularity.likers(session, repo, after=first[0].id)
    assert {person.name for person in [*first, *rest]} == {"ada", "grace"}
    await popularity.unlike(session, repo, by=ada)
    assert [person.name for person in await popularity.likers(session, repo)] == ["grace"]
