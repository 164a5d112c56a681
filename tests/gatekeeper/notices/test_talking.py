from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger, notices
from gatekeeper.accounts import Principal
from gatekeeper.community import Discussion, Status, acts, pulls
from gatekeeper.db import Database
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices.audience import tell_people
from gatekeeper.notices.tables import Notice
from gatekeeper.repos import AddFile, Repo
from gatekeeper.repos.storage import DirectoryStore
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio


async def always(*_: object) -> bool:
    return True


async def opened(session: AsyncSession, repo: Repo, base: str, by: Principal, *, text: str = "") -> Discussion:
    return await pulls.open_pull(session, repo, title="Fewer words", text=text, by=by, base=base, status=Status.OPEN)


async def told(session: AsyncSession, repo: Repo, people: list[Principal]) -> list[tuple[str, str, str]]:
    """Who was told what, and why, of everything so far."""
    for event in await session.scalars(sa.select(LedgerEvent).order_by(LedgerEvent.id)):
        await tell_people(session, event, repo, always)
    names = {person.person_id: person.name for person in people}
    found = []
    for notice in await session.scalars(sa.select(Notice).order_by(Notice.id)):
        said = notices.say(notice.kind, notice.facts)
        found.append((names[notice.person_id], said.title, said.why))
    return found


async def test_maintainer_and_author_of_a_pull_request_hear_of_each_others_acts_once(
    database: Database, tmp_path: Path
) -> None:
    async with database.write() as session:
        owner, ada, eve = people = [await make_person(session, name) for name in ("owner", "ada", "eve")]
        repo, commit = await make_repo(session, owner, name="words", files={"a.txt": b"a"})
        await notices.following.follow(session, repo, by=eve)
        pull, store = await opened(session, repo, commit, ada), DirectoryStore(tmp_path)
        for content in (b"b", b"c"):
            await pulls.commit(
                session, repo, pull, [AddFile("a.txt", content)], summary="x", by=ada, store=store, may_write=False
            )
            if content == b"b":
                await acts.comment(session, repo, pull, "Could it be c?", by=owner)
        await pulls.merge(session, repo, pull.num, by=owner)
        found = await told(session, repo, people)
    takes_part, follows = "you take part in this discussion", "you follow this repository"
    assert found == [
        ("eve", "ada opened pull request 1 of owner/words", follows),
        ("owner", "ada opened pull request 1 of owner/words", "you maintain it"),
        ("ada", "owner wrote in discussion 1 of owner/words", takes_part),
        ("eve", "owner wrote in discussion 1 of owner/words", follows),
        ("owner", "ada added to pull request 1 of owner/words", takes_part),
        ("ada", "owner merged pull request 1 of owner/words", takes_part),
        ("eve", "owner merged pull request 1 of owner/words", follows),
    ]


async def test_what_was_said_on_opening_is_no_further_notice_and_a_push_is_one(database: Database) -> None:
    async with database.write() as session:
        owner, ada = people = [await make_person(session, name) for name in ("owner", "ada")]
        repo, commit = await make_repo(session, owner, name="words", files={"a.txt": b"a"})
        await notices.following.follow(session, repo, by=owner)
        pull = await opened(session, repo, commit, ada, text="Because.")
        await acts.comment(session, repo, pull, "Go on.", by=owner)
        pushed = {"actor": ada.person_id, "repo": repo.id, "subject": commit}
        await ledger.record(session, "repos:branch:push", **pushed, body={"ref": pulls.ref_of(pull)})
        for way in ("receive-pack", "receive-pack"):
            body = {"ref": pulls.ref_of(pull), "way": way}
            await ledger.record(session, "repos:branch:commit", **pushed, body=body)
        await acts.set_status(session, repo, pull.num, "closed", by=ada, moderates=False)
        await notices.following.unfollow(session, repo, by=owner)
        quiet = [title for name, title, _ in await told(session, repo, people) if name == "owner"]
        await notices.following.follow(session, repo, by=owner)
        found = [title for name, title, _ in await told(session, repo, people) if name == "owner"]
    assert quiet == ["ada added to pull request 1 of owner/words", "ada closed pull request 1 of owner/words"]
    assert found == [*quiet, "ada opened pull request 1 of owner/words"]
