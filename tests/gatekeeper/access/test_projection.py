from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access
from gatekeeper.access import AccessRequest, HubStatus, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Gate, Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def repo(session: AsyncSession, owner: Principal) -> Repo:
    made, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    return made


async def ask(session: AsyncSession, repo: Repo, name: str) -> AccessRequest:
    return await access.submit(session, await make_person(session, name), repo, fields=None, bundle=None)


async def names(session: AsyncSession, repo: Repo, status: str) -> list[str]:
    return [item.user for item in (await access.list_hub(session, repo, status)).items]


async def test_requests_move_between_the_three_lists(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    await ask(session, repo, "ada")
    assert await names(session, repo, "pending") == ["ada"]
    for status in ("accepted", "rejected", "pending", "rejected", "accepted", "pending"):
        await access.handle_hub(session, repo, status, by=owner, user="Ada")
        for other in HubStatus:
            assert await names(session, repo, other) == (["ada"] if other == status else [])


async def test_rejecting_an_accepted_request_revokes_it(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    request = await ask(session, repo, "ada")
    await access.handle_hub(session, repo, "accepted", by=owner, request_id=request.id)
    after = await access.handle_hub(session, repo, "rejected", by=owner, user="ada", reason="Misuse.")
    assert (after.state, after.reason) == (RequestState.REVOKED, "Misuse.")
    assert await access.grant_in_force(session, request.person_id, repo.id, now()) is None


@pytest.mark.parametrize("status", list(HubStatus))
async def test_repeated_transition_is_not_found(
    session: AsyncSession, owner: Principal, repo: Repo, status: HubStatus
) -> None:
    await ask(session, repo, "ada")
    if status is not HubStatus.PENDING:
        await access.handle_hub(session, repo, status, by=owner, user="ada")
    with pytest.raises(NotFound, match=f"{status} already"):
        await access.handle_hub(session, repo, status, by=owner, user="ada")


async def test_who_never_asked_is_not_found(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    await make_person(session, "ada")
    for user, request_id in [("ada", None), ("nobody-there", None), (None, "nothing")]:
        with pytest.raises(NotFound):
            await access.handle_hub(session, repo, "accepted", by=owner, user=user, request_id=request_id)


async def test_request_of_another_repository_is_not_found(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    other, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    request = await ask(session, other, "ada")
    with pytest.raises(NotFound):
        await access.handle_hub(session, repo, "accepted", by=owner, request_id=request.id)


async def test_repository_without_gate_is_a_bad_request(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    repo.gate = Gate.NONE
    for call in (
        access.list_hub(session, repo, "pending"),
        access.handle_hub(session, repo, "accepted", by=owner, user="ada"),
        access.grant_hub(session, repo, "ada", by=owner),
    ):
        with pytest.raises(Invalid) as refused:
            await call
        assert refused.value.status == 400


async def test_bad_words_are_bad_requests(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    await ask(session, repo, "ada")
    with pytest.raises(Invalid, match="pending, accepted, rejected"):
        await access.list_hub(session, repo, "maybe")
    with pytest.raises(Invalid):
        await access.handle_hub(session, repo, "accepted", by=owner)
    with pytest.raises(Invalid, match="at most 200"):
        await access.handle_hub(session, repo, "rejected", by=owner, user="ada", reason="x" * 201)


async def test_direct_grant_shows_without_email(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    await make_person(session, "bob")
    await access.grant_hub(session, repo, "bob", by=owner)
    await ask(session, repo, "ada")
    await access.handle_hub(session, repo, "accepted", by=owner, user="ada")
    shown = {item.user: item.email for item in (await access.list_hub(session, repo, "accepted")).items}
    assert shown == {"bob": None, "ada": "ada@example.org"}
    with pytest.raises(NotFound):
        await access.grant_hub(session, repo, "nobody-there", by=owner)


async def test_ended_access_is_in_no_list(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    request = await ask(session, repo, "ada")
    ends_at = now() + timedelta(days=1)
    await access.approve(session, request, by=owner, ends_at=ends_at)
    assert await names(session, repo, "accepted") == ["ada"]
    with time_machine.travel(ends_at, tick=False):
        for status in HubStatus:
            assert await names(session, repo, status) == []
        with pytest.raises(NotFound):
            await access.handle_hub(session, repo, "rejected", by=owner, user="ada")


async def test_lists_come_in_parts(session: AsyncSession, repo: Repo) -> None:
    for name in ("ada", "bob", "cyd", "dan", "eve"):
        await ask(session, repo, name)
    seen: list[str] = []
    after = None
    for _ in range(3):
        page = await access.list_hub(session, repo, "pending", after=after, limit=2)
        seen += [item.user for item in page.items]
        after = page.after
    assert (seen, after) == (["ada", "bob", "cyd", "dan", "eve"], None)


async def test_review_queue_shows_only_the_given_repositories(
    session: AsyncSession, owner: Principal, repo: Repo
) -> None:
    other, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    mine, theirs = await ask(session, repo, "ada"), await ask(session, other, "bob")
    page = await access.review_queue(session, repo_ids=frozenset({repo.id}))
    assert [(row.request.id, row.person.name, row.repo.id) for row in page.rows] == [(mine.id, "ada", repo.id)]
    everything = await access.review_queue(session, limit=1)
    rest = await access.review_queue(session, after=everything.after)
    assert [row.request.id for row in (*everything.rows, *rest.rows)] == [mine.id, theirs.id]
    assert await access.count_waiting(session) == 2
    assert await access.count_waiting(session, repos=[col(Repo.id) == repo.id]) == 1
    assert await access.count_waiting(session, repos=[col(Repo.id).in_([])]) == 0


async def test_own_requests_come_newest_first(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    ada = await make_person(session, "ada")
    other, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    for asked in (repo, other):
        await access.submit(session, ada, asked, fields=None, bundle=None)
    page = await access.requests_of(session, ada.person_id or "")
    assert [row.repo.id for row in page.rows] == [other.id, repo.id]
