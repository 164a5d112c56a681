from datetime import timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing, releases
from gatekeeper.accounts import OPERATOR
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, Invalid, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing import ChangeClass, Terms, TermsChange
from gatekeeper.licensing.changes import _FOREVER, _reached, _Step
from gatekeeper.repos import Repo, history
from tests.gatekeeper.licensing.builders import LICENSE, accept_terms, commit_files, events, make_person, make_repo

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())
SECOND = LICENSE + b"And be kind.\n"
THIRD = LICENSE + b"And be very kind.\n"


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def repo(session: AsyncSession, owner: Principal) -> Repo:
    repo, commit = await make_repo(session, owner)
    await releases.take_note(session, repo, commit, branch="main", by=owner)
    return repo


async def next_terms(
    session: AsyncSession, repo: Repo, body: bytes, owner: Principal, *, branch: str = "main"
) -> Terms:
    commit = await commit_files(session, repo, {"LICENSE": body}, by=owner)
    await releases.take_note(session, repo, commit, branch=branch, by=owner)
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    return terms


async def seen(session: AsyncSession, change: TermsChange) -> str:
    return (await licensing.difference(session, change)).sha256


async def test_new_terms_on_main_are_a_change_that_counts_as_material(
    session: AsyncSession, repo: Repo, owner: Principal
) -> None:
    with time_machine.travel(now(), tick=False):
        terms = await next_terms(session, repo, SECOND, owner)
        [change] = await licensing.changes_of(session, repo)
        [earlier] = await licensing.earlier_texts(session, repo.id, terms.texts)
        assert change.change_class is None
        assert earlier.until == change.deadline_at == now() + timedelta(days=14)
    [event] = await events(session, "licensing:terms:change")
    assert (event.subject_id, event.body["new_sha256"]) == (change.id, terms.sha256)


async def test_the_same_texts_with_other_files_or_questions_are_no_change(
    session: AsyncSession, repo: Repo, owner: Principal
) -> None:
    card = b"---\nextra_gated_fields:\n  Why: text\n---\n"
    commit = await commit_files(session, repo, {"README.md": card, "a.txt": b"a"}, by=owner)
    await releases.take_note(session, repo, commit, branch="main", by=owner)
    assert await licensing.changes_of(session, repo) == []
    assert await events(session, "licensing:terms:change") == []


async def test_terms_beside_main_are_not_in_force(session: AsyncSession, repo: Repo, owner: Principal) -> None:
    await next_terms(session, repo, SECOND, owner, branch="draft")
    assert await licensing.changes_of(session, repo) == []


async def test_a_repository_older_than_the_record_has_what_main_had(session: AsyncSession, owner: Principal) -> None:
    repo, first = await make_repo(session, owner)
    before = await licensing.terms_for(session, repo, first)
    await next_terms(session, repo, SECOND, owner)
    [change] = await licensing.changes_of(session, repo)
    assert before is not None
    assert change.old_sha256 == before.sha256


@pytest.mark.parametrize("kind", [ChangeClass.TYPOGRAPHIC, ChangeClass.CLARIFICATION])
async def test_an_acceptance_covers_a_minor_change_for_good(
    session: AsyncSession, repo: Repo, owner: Principal, kind: ChangeClass
) -> None:
    ada = await make_person(session)
    first = await licensing.terms_for(session, repo, await history.resolve_revision(session, repo, "main"))
    assert first is not None
    made = await accept_terms(session, ada, repo, first, KEY)
    terms = await next_terms(session, repo, SECOND, owner)
    assert await licensing.current_acceptance(session, ada.person_id, terms, repo=repo) is None
    [change] = await licensing.changes_of(session, repo)
    await licensing.classify(session, change, kind, by=owner, seen_sha256=await seen(session, change))
    assert await licensing.current_acceptance(session, ada.person_id, terms, repo=repo) is made
    [event] = await events(session, "licensing:terms:classify")
    assert (event.body["before"]["class"], event.body["after"]["class"]) == (None, kind.value)
    # The same change again, after going back, is what it was said to be.
    await next_terms(session, repo, LICENSE, owner)
    again = await next_terms(session, repo, SECOND, owner)
    assert await licensing.current_acceptance(session, ada.person_id, again, repo=repo) is made


async def test_a_material_change_gets_its_days_from_when_it_is_judged(
    session: AsyncSession, repo: Repo, owner: Principal
) -> None:
    terms = await next_terms(session, repo, SECOND, owner)
    [change] = await licensing.changes_of(session, repo)
    later = now() + timedelta(days=20)
    with time_machine.travel(later, tick=False):
        fresh = await licensing.classify(
            session, change, ChangeClass.MATERIAL, by=owner, seen_sha256=await seen(session, change), grace_days=5
        )
        [earlier] = await licensing.earlier_texts(session, repo.id, terms.texts)
    assert fresh.deadline_at == earlier.until == later + timedelta(days=5)


async def test_who_has_not_seen_the_difference_cannot_judge_it(
    session: AsyncSession, repo: Repo, owner: Principal
) -> None:
    await next_terms(session, repo, SECOND, owner)
    [change] = await licensing.changes_of(session, repo)
    with pytest.raises(Invalid, match="not shown"):
        await licensing.classify(session, change, ChangeClass.TYPOGRAPHIC, by=owner, seen_sha256="0" * 64)
    shown = await seen(session, change)
    with pytest.raises(NotAllowed):
        await licensing.classify(session, change, ChangeClass.TYPOGRAPHIC, by=OPERATOR, seen_sha256=shown)
    for days in (0, 366):
        with pytest.raises(Invalid, match="days"):
            await licensing.classify(
                session, change, ChangeClass.MATERIAL, by=owner, seen_sha256=shown, grace_days=days
            )
    assert await events(session, "licensing:terms:classify") == []


async def test_of_two_who_judge_at_once_one_wins(session: AsyncSession, repo: Repo, owner: Principal) -> None:
    await next_terms(session, repo, SECOND, owner)
    [change] = await licensing.changes_of(session, repo)
    stale = TermsChange(**change.model_dump())
    shown = await seen(session, change)
    await licensing.classify(session, change, ChangeClass.MATERIAL, by=owner, seen_sha256=shown)
    with pytest.raises(Conflict):
        await licensing.classify(session, stale, ChangeClass.TYPOGRAPHIC, by=owner, seen_sha256=shown)
    assert len(await events(session, "licensing:terms:classify")) == 1


async def test_over_several_changes_the_shortest_time_counts(
    session: AsyncSession, repo: Repo, owner: Principal
) -> None:
    start = now()
    with time_machine.travel(start, tick=False):
        await next_terms(session, repo, SECOND, owner)
    with time_machine.travel(start + timedelta(days=3), tick=False):
        terms = await next_terms(session, repo, THIRD, owner)
    found = {tuple(each.texts): each.until for each in await licensing.earlier_texts(session, repo.id, terms.texts)}
    assert set(found.values()) == {start + timedelta(days=14), start + timedelta(days=17)}
    newest, oldest = await licensing.changes_of(session, repo)
    await licensing.classify(
        session, newest, ChangeClass.TYPOGRAPHIC, by=owner, seen_sha256=await seen(session, newest)
    )
    untils = {each.until for each in await licensing.earlier_texts(session, repo.id, terms.texts)}
    assert untils == {None, oldest.deadline_at}


_texts = st.sampled_from([frozenset(name) for name in "abcd"])
_steps = st.lists(
    st.builds(_Step, _texts, _texts, st.sampled_from([_FOREVER, *(now() + timedelta(days=n) for n in range(4))])),
    max_size=8,
)


@given(_steps)
def test_nothing_counts_without_a_way_of_which_every_step_lasts(steps: list[_Step]) -> None:
    for earlier in _reached(steps, frozenset("a")):
        until = earlier.until or _FOREVER
        lasting = [step for step in steps if step.until >= until]
        reached, grew = {frozenset("a")}, True
        while grew:
            more = {step.old for step in lasting if step.new in reached} - reached
            reached, grew = reached | more, bool(more)
        assert earlier.texts in reached
        assert earlier.texts != frozenset("a")
