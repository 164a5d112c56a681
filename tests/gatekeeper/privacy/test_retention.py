"""What is personal goes when its time is over, by the clock alone, and not while a hold keeps it."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger, privacy
from gatekeeper.access.tables import AccessGrant, AccessRequest, AccessStep, RequestState
from gatekeeper.accounts import OPERATOR, Person, people
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.tables import BrowserSession
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.licensing.tables import Acceptance, Presentation, TermsBundle
from gatekeeper.privacy import Periods
from gatekeeper.repos.tables import Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio
DAYS = Periods(draft=90, rejected=365, acceptance=3650, address=90)


def ago(days: int) -> datetime:
    return now() - timedelta(days=days)


@pytest.fixture
async def repo(session: AsyncSession) -> Repo:
    return (await make_repo(session, await make_person(session)))[0]


async def somebody(session: AsyncSession) -> Person:
    person = await people.get(session, (await make_person(session)).person_id or "")
    assert person is not None
    return person


async def request(
    session: AsyncSession, repo: Repo, person: Person, state: RequestState, changed_at: datetime
) -> AccessRequest:
    key = await key_of(session, person.id)
    return AccessRequest(
        repo_id=repo.id,
        person_id=person.id,
        state=state,
        fields=key.facts({"Why": "x"}),
        reason=key.words("No."),
        changed_at=changed_at,
    )


@pytest.mark.parametrize(
    ("state", "days"),
    [(RequestState.REJECTED, 365), (RequestState.WITHDRAWN, 365), (RequestState.EXPIRED, 3650)],
)
async def test_the_words_of_a_request_go_at_the_end_of_its_class(
    session: AsyncSession, repo: Repo, state: RequestState, days: int
) -> None:
    young = await request(session, repo, await somebody(session), state, ago(days - 1))
    old = await request(session, repo, await somebody(session), state, ago(days + 1))
    held = await request(session, repo, await somebody(session), state, ago(days + 1))
    session.add_all([young, old, held])
    await session.flush()
    key = await key_of(session, old.person_id)
    session.add(
        AccessStep(request_id=old.id, act="submit", after=state, note=key.words("a note"), data=key.facts({"new": "x"}))
    )
    session.add(privacy.LegalHold(person_id=held.person_id, reason="Claim 7"))

    done = await privacy.enforce(session, DAYS)
    assert await privacy.enforce(session, DAYS) == {}

    assert list(done.values()) == [1]
    for row, fields in ((young, {"Why": "x"}), (old, {}), (held, {"Why": "x"})):
        await session.refresh(row)
        assert row.fields == fields
    assert old.reason == ""
    assert (await session.scalars(sa.select(AccessStep))).one().note == ""
    events = (await ledger.events(session, kind="privacy:retention:enforce")).items
    assert [event.body for event in events] == [done]


async def test_drafts_and_unaccepted_pages_of_terms_go_whole(session: AsyncSession, repo: Repo) -> None:
    person = await somebody(session)
    draft = await request(session, repo, person, RequestState.DRAFT, ago(91))
    session.add_all([draft, TermsBundle(sha256="b" * 64, texts=[])])
    await session.flush()
    session.add(AccessStep(request_id=draft.id, act="save", after=RequestState.DRAFT))
    for age in (89, 91):
        session.add(await _shown(session, repo, person, age))

    assert await privacy.enforce(session, DAYS) == {"draft": 1, "presentation": 1}

    assert (await session.scalars(sa.select(AccessRequest))).all() == []
    assert (await session.scalars(sa.select(Presentation))).one().shown_at > ago(90)


async def test_an_acceptance_is_kept_for_the_access_and_the_limitation_period(
    session: AsyncSession, repo: Repo
) -> None:
    session.add(TermsBundle(sha256="b" * 64, texts=[]))
    cases = {
        "in use without a grant": (None, None),
        "in use": (None, {"ends_at": None}),
        "ended lately": (None, {"ends_at": ago(3649)}),
        "ended long ago": (None, {"ends_at": ago(3651)}),
        "revoked long ago": (None, {"revoked_at": ago(3651)}),
        "withdrawn lately": (ago(3649), None),
        "withdrawn long ago": (ago(3651), None),
    }
    kept = {}
    for name, (withdrawn_at, grant) in cases.items():
        person = await somebody(session)
        shown = await _shown(session, repo, person, 4000)
        session.add(shown)
        await session.flush()
        made = Acceptance(
            person_id=person.id, repo_id=repo.id, bundle_sha256="b" * 64, presentation_id=shown.id, method="page",
            accepted_at=ago(4000), withdrawn_at=withdrawn_at,
        )  # fmt: skip
        session.add(made)
        kept[made.id] = name
        if grant is not None:
            session.add(AccessGrant(repo_id=repo.id, person_id=person.id, **grant))
    await session.flush()

    assert await privacy.enforce(session, DAYS) == {"acceptance": 3}

    left = {kept[each] for each in await session.scalars(sa.select(col(Acceptance.id)))}
    assert left == {name for name in cases if "long ago" not in name}
    assert len((await session.scalars(sa.select(Presentation))).all()) == len(left)


async def test_browsers_are_forgotten_and_zero_keeps_for_good(session: AsyncSession) -> None:
    person = await somebody(session)
    session.add(
        BrowserSession(
            secret_hash="h" * 64, person_id=person.id, signed_in_at=ago(91), expires_at=ago(-1), user_agent="Browser"
        )
    )
    await session.flush()

    assert await privacy.enforce(session, Periods(0, 0, 0, 0)) == {}
    assert await privacy.enforce(session, DAYS) == {"address": 1}


async def test_only_an_administrator_places_a_hold_and_says_why(session: AsyncSession) -> None:
    person = await somebody(session)
    with pytest.raises(NotAllowed):
        await privacy.hold(session, person, reason="x", by=await make_person(session))
    with pytest.raises(Invalid):
        await privacy.hold(session, person, reason="  ", by=OPERATOR)
    await privacy.hold(session, person, reason="Claim 7", by=OPERATOR)
    with pytest.raises(Conflict):
        await privacy.hold(session, person, reason="Claim 8", by=OPERATOR)
    await privacy.lift_hold(session, person, by=OPERATOR)
    with pytest.raises(NotFound):
        await privacy.lift_hold(session, person, by=OPERATOR)


async def _shown(session: AsyncSession, repo: Repo, person: Person, age: int) -> Presentation:
    return Presentation(
        person_id=person.id,
        repo_id=repo.id,
        bundle_sha256="b" * 64,
        shown_sha256="s" * 64,
        shown=(await key_of(session, person.id)).words("x"),
        shown_at=ago(age),
    )
