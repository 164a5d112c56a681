import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, ledger, licensing, notices, releases
from gatekeeper.access import AccessRequest
from gatekeeper.access.moves import ACTS
from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts import Person
from gatekeeper.db import Database
from gatekeeper.kit.clock import day_words, instant_of
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import audience
from gatekeeper.notices.audience import tell_people
from gatekeeper.notices.tables import Notice
from gatekeeper.releases import Stage
from tests.gatekeeper.licensing.builders import LICENSE, accept_terms, commit_files, make_person, make_repo
from tests.gatekeeper.releases.test_promotion import make_organization

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())


async def test_who_accepted_terms_that_changed_is_told_once_and_nobody_else(database: Database) -> None:
    async with database.write() as session:
        owner, ada, alan = [await make_person(session, name) for name in ("owner", "ada", "alan")]
        await make_person(session, "eve")
        repo, commit = await make_repo(session, owner)
        await releases.take_note(session, repo, commit, branch="main", by=owner)
        terms = await licensing.terms_for(session, repo, commit)
        assert terms is not None
        for person in (ada, alan):
            mine = await accept_terms(session, person, repo, terms, KEY)
        await licensing.withdraw_acceptance(session, alan, mine)
        commit = await commit_files(session, repo, {"LICENSE": LICENSE + b"More.\n"}, by=owner)
        await releases.take_note(session, repo, commit, branch="main", by=owner)
        event = await session.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "licensing:terms:change"))
        assert event is not None
        body = dict(event.body)
    for _ in range(2):
        await notices.tell_holders(database, {"event": event.id})
    async with database.read() as session:
        [notice] = list(await session.scalars(sa.select(Notice)))
    assert (notice.person_id, notice.kind) == (ada.person_id, "terms-changed")
    said = notices.say(notice.kind, notice.facts)
    assert f"counts until {day_words(instant_of(body['deadline_at']))}." in said.text
    assert said.path == f"/{repo.full_name}/access"


async def test_a_change_of_terms_reaches_the_job_that_tells(database: Database) -> None:
    async def never(*_: object) -> bool:
        return False

    sealer = ledger.Sealer(database, KEY, origin="test")
    async with database.write() as session:
        owner = await make_person(session, "owner")
        repo, commit = await make_repo(session, owner)
        await releases.take_note(session, repo, commit, branch="main", by=owner)
    await sealer.seal()
    await notices.hand_out(database, judge=never)
    async with database.write() as session:
        commit = await commit_files(session, repo, {"LICENSE": LICENSE + b"More.\n"}, by=owner)
        await releases.take_note(session, repo, commit, branch="main", by=owner)
    await sealer.seal()
    await notices.hand_out(database, judge=never)
    async with database.read() as session:
        waiting = await session.scalars(sa.text("SELECT kind FROM job"))
    assert notices.TELL_HOLDERS in list(waiting)


async def test_a_waiver_tells_those_whose_approval_it_ends(database: Database) -> None:
    async def never(*_: object) -> bool:
        return False

    async with database.write() as session:
        repo, _, [uploader, second, gone] = await make_organization(session, 3)
        commit = await commit_files(session, repo, {"extra.bin": b"x"}, by=uploader)
        ladder = releases.Ladder.load()
        proposal = await releases.propose(session, repo, commit, releases.Stage.GATED, by=uploader, ladder=ladder)
        for by in (uploader, second, gone):
            await releases.approve_proposal(session, proposal, by=by)
        (await session.get_one(Person, gone.person_id)).is_disabled = True
        await releases.waive(session, proposal, "safetensors_only", by=uploader, reason="It is fine.")
        event = await session.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "releases:proposal:waive"))
        assert event is not None
        await tell_people(session, event, repo, never)
        [notice] = list(await session.scalars(sa.select(Notice)))
    assert (notice.person_id, notice.kind) == (second.person_id, "approval-lapsed")
    assert "Your approval counts no more" in notices.say(notice.kind, notice.facts).text


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (Stage.INTERNAL, {"fetcher"}),
        (Stage.TRUSTED_TEST, {"fetcher", "tester"}),
        (Stage.RESEARCH_PREVIEW, {"fetcher", "tester", "reader"}),
    ],
)
async def test_of_what_became_of_a_release_who_has_access_is_told_where_they_may_know_of_it(
    database: Database, stage: Stage, told: set[str]
) -> None:
    async with database.write() as session:
        owner, *people = [await make_person(session, name) for name in ("owner", "fetcher", "tester", "reader")]
        names = {person.person_id: person.name for person in people}
        repo, commit = await make_repo(session, owner)
        release = await releases.enable_staging(session, repo, by=owner)
        release.stage = stage
        body = {"action": "download", "path": "w.safetensors", "digest": "a" * 64}
        fetch = {"actor": people[0].person_id, "repo": repo.id, "subject": commit}
        await ledger.record(session, "repos:file:download", **fetch, body=body)
        for person in people[1:]:
            session.add(AccessGrant(repo_id=repo.id, person_id=person.person_id, is_tester=person.name == "tester"))
        await session.flush()
        drilled = await notices.told_of_release(session, repo, release, most=10)
        await releases.demote(session, release, Stage.DRAFT, by=owner, reason="No.", ladder=releases.Ladder.load())
        event = await session.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "releases:release:demote"))
        assert event is not None
    await notices.tell_holders(database, {"event": event.id})
    async with database.read() as session:
        reached = {names[notice.person_id] for notice in await session.scalars(sa.select(Notice))}
    assert (reached, {person.name for person in drilled}) == (told, told)


async def test_whose_access_or_work_an_act_changes_is_told(database: Database) -> None:
    async def always(*_: object) -> bool:
        return True

    async with database.write() as session:
        owner, ada, bob, eve = [await make_person(session, name) for name in ("owner", "ada", "bob", "eve")]
        repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
        request = await access.submit(session, ada, repo, fields=None, bundle=None)
        colleague, heir = [await session.get_one(Person, each.person_id) for each in (bob, eve)]
        request = await access.refer(session, request, colleague, by=owner, comment="What do you think?")
        request = await access.recall(session, request, by=owner)
        await access.approve(session, request, by=owner)
        request = await access.add_terms(session, await _latest(session), by=owner, conditions="Tell us more.")
        request = await access.cancel(session, request, by=owner)
        request = await access.delegate(session, request, heir, by=owner, comment="She goes on.")
        await access.reject(session, await access.recall(session, request, by=owner), by=owner, reason="No.")
        await access.appeal(session, await _latest(session), by=eve, text="But why?")
        for event in await session.scalars(sa.select(LedgerEvent).order_by(LedgerEvent.id)):
            await tell_people(session, event, repo, always)
        told = {(notice.kind, notice.person_id) for notice in await session.scalars(sa.select(Notice))}
    assert {
        ("request-referred", bob.person_id),
        ("conditions-added", ada.person_id),
        ("decision-taken-back", ada.person_id),
        ("request-appealed", owner.person_id),
        ("request-handed-on", eve.person_id),
    } <= told


async def _latest(session: AsyncSession) -> AccessRequest:
    return (await session.scalars(sa.select(AccessRequest).execution_options(populate_existing=True))).one()


def test_every_act_of_the_request_machine_is_told_or_is_known_to_concern_nobody_else() -> None:
    by_the_applicant = "save withdraw confirm close-out correct close accept-rejection accept-revocation"
    told_otherwise = "activate undo expire"  # with the approval, not at all, before the end
    among_reviewers = "screen claim unclaim route answer recall vote approval"
    told = {kind.rpartition(":")[2] for kind in audience.TO_PERSON | audience.TO_REVIEWERS if "access:request" in kind}
    others = set(f"{by_the_applicant} {told_otherwise} {among_reviewers}".split())
    assert {act.name for act in ACTS} | {"overdue", "grant"} == told | others
