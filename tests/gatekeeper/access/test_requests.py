from datetime import datetime, timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, licensing
from gatekeeper.access import AccessRequest, RequestState
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotAllowed, NotFound, NotSignedIn
from gatekeeper.kit.clock import instant_words, now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing import Terms
from gatekeeper.repos import Gate, Repo
from tests.gatekeeper.licensing.builders import ANSWERS, accept_terms, events, make_person, make_repo

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session, "ada")


@pytest.fixture
async def repo(session: AsyncSession, owner: Principal) -> Repo:
    made, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    return made


async def ask(session: AsyncSession, principal: Principal, repo: Repo) -> AccessRequest:
    return await access.submit(session, principal, repo, fields=None, bundle=None)


async def grant_of(session: AsyncSession, principal: Principal, repo: Repo, instant: datetime | None = None):  # type: ignore[no-untyped-def]
    return (await access.standing(session, principal.person_id, repo.id, instant or now())).grant


async def make_offer(session: AsyncSession, owner: Principal) -> tuple[Repo, Terms]:
    repo, commit = await make_repo(session, owner)
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    return repo, terms


async def test_approved_request_gives_a_grant(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await ask(session, ada, repo)
    assert request.state is RequestState.IN_REVIEW
    assert await grant_of(session, ada, repo) is None
    grant = await access.approve(session, request, by=owner)
    standing = await access.standing(session, ada.person_id, repo.id, now())
    assert standing.grant is grant
    assert standing.request is not None
    assert (standing.request.state, standing.request.decided_by) == (RequestState.ACTIVE, owner.person_id)
    [submitted] = await events(session, "access:request:submit")
    [approved] = await events(session, "access:request:approve")
    [opened] = await events(session, "access:grant:open")
    assert submitted.actor_id == ada.person_id
    assert (approved.body["before"], approved.body["after"]) == ("in_review", "awaiting_terms")
    [activated] = await events(session, "access:request:activate")
    assert (activated.body["before"], activated.body["after"]) == ("awaiting_terms", "active")
    assert approved.actor_id == owner.person_id
    assert opened.subject_id == grant.id


async def test_request_needs_answers_and_accepted_terms(
    session: AsyncSession, owner: Principal, ada: Principal
) -> None:
    repo, terms = await make_offer(session, owner)
    with pytest.raises(Invalid) as no_answers:
        await access.submit(session, ada, repo, fields={"Country": "DE"}, bundle=terms)
    assert set(no_answers.value.details["fields"]) == {"Institution", "Purpose", "I keep to the terms"}
    with pytest.raises(Invalid) as not_accepted:
        await access.submit(session, ada, repo, fields=ANSWERS, bundle=terms)
    assert not_accepted.value.status == 422
    assert set(not_accepted.value.details["texts"]) == set(terms.texts)
    await accept_terms(session, ada, repo, terms, KEY)
    request = await access.submit(session, ada, repo, fields=ANSWERS, bundle=terms)
    assert (request.fields, request.bundle_sha256) == (ANSWERS, terms.sha256)


async def test_answers_stay_out_of_the_evidence(session: AsyncSession, owner: Principal, ada: Principal) -> None:
    repo, terms = await make_offer(session, owner)
    await accept_terms(session, ada, repo, terms, KEY)
    await access.submit(session, ada, repo, fields=ANSWERS, bundle=terms)
    [event] = await events(session, "access:request:submit")
    assert "ACME" not in str(event.body)
    assert event.body["questions"] == 4


async def test_answers_nobody_asked_for_are_refused(session: AsyncSession, ada: Principal, repo: Repo) -> None:
    with pytest.raises(Invalid):
        await access.submit(session, ada, repo, fields={"is_admin": "true"}, bundle=None)


async def test_automatic_gate_approves_at_once(session: AsyncSession, ada: Principal, repo: Repo) -> None:
    repo.gate = Gate.AUTO
    request = await ask(session, ada, repo)
    grant = await grant_of(session, ada, repo)
    assert request.state is RequestState.ACTIVE
    assert (grant.granted_by, grant.ends_at) == (None, None)
    [event] = await events(session, "access:request:approve")
    assert event.actor_id is None
    assert event.body["is_automatic"] is True


async def test_stage_may_approve_at_once_with_an_end(session: AsyncSession, ada: Principal, repo: Repo) -> None:
    repo.is_staged = True
    ends_at = now() + timedelta(days=30)
    rule = access.AskRule(is_automatic=True, grant_days=30)
    request = await access.submit(session, ada, repo, fields=None, bundle=None, rule=rule)
    assert request.state is RequestState.ACTIVE
    assert abs((await grant_of(session, ada, repo)).ends_at - ends_at) < timedelta(minutes=1)


async def test_house_s_questions_are_asked_where_the_card_has_none(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    form = licensing.HouseForm.load().form
    with pytest.raises(Invalid) as refused:
        await access.submit(session, ada, repo, fields=None, bundle=None, form=form)
    assert set(refused.value.details["fields"]) == {field.name for field in form.fields}
    with_own, terms = await make_offer(session, owner)
    await accept_terms(session, ada, with_own, terms, KEY)
    request = await access.submit(session, ada, with_own, fields=ANSWERS, bundle=terms)
    assert request.fields == ANSWERS


async def test_stages_overrule_the_automatic_gate(session: AsyncSession, ada: Principal, repo: Repo) -> None:
    repo.gate, repo.is_staged = Gate.AUTO, True
    assert (await ask(session, ada, repo)).state is RequestState.IN_REVIEW


async def test_open_repository_has_nothing_to_ask_for(session: AsyncSession, ada: Principal, repo: Repo) -> None:
    repo.gate = Gate.NONE
    with pytest.raises(Invalid, match="not gated"):
        await ask(session, ada, repo)


async def test_nobody_in_particular_cannot_ask(session: AsyncSession, repo: Repo) -> None:
    with pytest.raises(NotSignedIn):
        await ask(session, ANONYMOUS, repo)


async def test_one_request_is_open_for_a_person_and_a_repository(
    session: AsyncSession, ada: Principal, repo: Repo
) -> None:
    first = await ask(session, ada, repo)
    with pytest.raises(Conflict) as refused:
        await ask(session, ada, repo)
    assert refused.value.details["request_id"] == first.id


async def test_who_has_access_does_not_ask(session: AsyncSession, owner: Principal, ada: Principal, repo: Repo) -> None:
    await access.approve(session, await ask(session, ada, repo), by=owner)
    with pytest.raises(Conflict, match="have access"):
        await ask(session, ada, repo)


@pytest.mark.parametrize("act", ["approve", "reject", "cancel"])
async def test_applicant_cannot_decide_own_request(session: AsyncSession, ada: Principal, repo: Repo, act: str) -> None:
    request = await ask(session, ada, repo)
    with pytest.raises(NotAllowed):
        await _act(session, request, act, by=ada)
    assert (await access.get(session, request.id)).state is RequestState.IN_REVIEW


async def test_operator_decides_too(session: AsyncSession, ada: Principal, repo: Repo) -> None:
    grant = await access.approve(session, await ask(session, ada, repo), by=OPERATOR)
    assert grant.granted_by is None


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2_001])
async def test_rejection_needs_a_reason_one_can_read(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo, reason: str
) -> None:
    with pytest.raises(Invalid):
        await access.reject(session, await ask(session, ada, repo), by=owner, reason=reason)


async def test_rejected_applicant_is_told_why_and_cannot_ask_again(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await access.reject(session, await ask(session, ada, repo), by=owner, reason=" No purpose given. ")
    assert request.reason == "No purpose given."
    with pytest.raises(Conflict, match=r"turned down. The reason given: No purpose given\."):
        await ask(session, ada, repo)
    [event] = await events(session, "access:request:reject")
    assert "purpose" not in str(event.body)


async def test_withdrawn_request_can_be_made_again(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await ask(session, ada, repo)
    with pytest.raises(NotAllowed):
        await access.withdraw(session, request, by=owner)
    assert (await access.withdraw(session, request, by=ada)).state is RequestState.WITHDRAWN
    assert (await ask(session, ada, repo)).id != request.id
    assert len(await events(session, "access:request:withdraw")) == 1


async def test_cancelled_approval_is_in_review_again_without_grant(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await ask(session, ada, repo)
    await access.approve(session, request, by=owner)
    request = await access.cancel(session, request, by=owner)
    assert (request.state, request.decided_by) == (RequestState.IN_REVIEW, None)
    assert await grant_of(session, ada, repo) is None
    await access.approve(session, request, by=owner)
    assert await grant_of(session, ada, repo) is not None
    assert len(await events(session, "access:request:cancel")) == 1


async def test_old_decision_is_not_taken_back_under_a_newer_request(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    old = await ask(session, ada, repo)
    grant = await access.approve(session, old, by=owner)
    await access.close(session, grant, by=ada)
    new = await ask(session, ada, repo)
    with pytest.raises(Conflict) as refused:
        await access.cancel(session, old, by=owner)
    assert refused.value.details["request_id"] == new.id


async def test_old_rejection_is_not_turned_around_under_a_newer_request(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    old = await ask(session, ada, repo)
    day = now() + timedelta(days=1)
    await access.reject(session, old, by=owner, reason="Not yet.", reapply_at=day)
    with pytest.raises(Conflict, match=f"You may ask again from {instant_words(day)} on"):
        await ask(session, ada, repo)
    with time_machine.travel(day):
        draft = await access.save(session, ada, repo, fields=None, bundle=None)
        new = await ask(session, ada, repo)
        assert new.id == draft.id
        with pytest.raises(Conflict, match="asked again") as refused:
            await access.approve(session, old, by=owner)
        assert refused.value.details["request_id"] == new.id
        await access.withdraw(session, new, by=ada)
        draft = await access.save(session, ada, repo, fields=None, bundle=None)
        assert await access.approve(session, old, by=owner) is not None, "a draft, which nobody else sees, gives way"
        assert draft.state is RequestState.WITHDRAWN


async def test_conditions_are_not_added_under_a_renewal_that_waits(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await ask(session, ada, repo)
    await access.approve(session, request, by=owner, ends_at=now() + timedelta(days=9))
    await access.submit(session, ada, repo, fields=None, bundle=None, is_renewal=True)
    with pytest.raises(Conflict, match="open for the repository"):
        async with session.begin_nested():
            await access.add_terms(session, request, by=owner, conditions="Name us.")


async def test_a_request_handed_on_is_the_one_that_counts_then(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    eve = await make_person(session, "eve")
    handed_on = await ask(session, ada, repo)
    own = await ask(session, eve, repo)
    await access.withdraw(session, own, by=eve)
    await access.delegate(session, handed_on, await _row(session, eve), by=owner, comment="She does the work.")
    assert (await ask(session, eve, repo)).id == handed_on.id
    grant = await access.approve(session, await access.get(session, handed_on.id), by=owner)
    await access.close(session, grant, by=eve)
    again = await ask(session, eve, repo)
    await access.withdraw(session, again, by=eve)
    assert (await access.latest_request(session, eve.person_id, repo.id)).id == handed_on.id


async def test_revoked_access_ends_at_once_and_can_be_restored(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await ask(session, ada, repo)
    grant = await access.approve(session, request, by=owner)
    with pytest.raises(Invalid):
        await access.revoke(session, grant, by=owner, reason=" ")
    grant = await access.revoke(session, grant, by=owner, reason="Shared the files.")
    assert (await access.get(session, request.id)).state is RequestState.REVOKED
    assert grant.revoke_reason == "Shared the files."
    assert await grant_of(session, ada, repo) is None
    with pytest.raises(Conflict):
        await access.revoke(session, grant, by=owner, reason="Again.")
    with pytest.raises(Conflict, match="was revoked"):
        await ask(session, ada, repo)
    await access.approve(session, await access.get(session, request.id), by=owner)
    assert await grant_of(session, ada, repo) is not None
    [event] = await events(session, "access:request:revoke")
    assert event.body["grant_id"] == grant.id


async def test_closed_access_can_be_asked_for_again(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    grant = await access.approve(session, await ask(session, ada, repo), by=owner)
    await access.close(session, grant, by=ada)
    assert await grant_of(session, ada, repo) is None
    assert (await ask(session, ada, repo)).state is RequestState.IN_REVIEW
    assert len(await events(session, "access:request:close")) == 1


async def test_grant_ends_to_the_second_without_any_job(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    ends_at = now().replace(microsecond=0) + timedelta(days=7)
    await access.approve(session, await ask(session, ada, repo), by=owner, ends_at=ends_at)
    for offset, is_in_force in [(-1, True), (0, False), (1, False)]:
        with time_machine.travel(ends_at + timedelta(seconds=offset), tick=False):
            assert (await grant_of(session, ada, repo) is not None) is is_in_force
    with time_machine.travel(ends_at, tick=False):
        again = await ask(session, ada, repo)
        assert again.state is RequestState.IN_REVIEW
    assert len(await events(session, "access:request:expire")) == 1


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(days=-1)])
async def test_grant_cannot_end_before_it_begins(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo, offset: timedelta
) -> None:
    request = await ask(session, ada, repo)
    with pytest.raises(Invalid, match="past"):
        await access.approve(session, request, by=owner, ends_at=now() + offset)
    with pytest.raises(Invalid, match="time zone"):
        await access.approve(session, request, by=owner, ends_at=datetime(2100, 1, 1))


async def test_direct_grant_needs_no_request(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    person = await _row(session, ada)
    grant = await access.grant_directly(session, repo, person, by=owner, is_tester=True)
    assert grant.is_tester
    assert await grant_of(session, ada, repo) is grant
    with pytest.raises(Conflict, match="already"):
        await access.grant_directly(session, repo, person, by=owner)
    with pytest.raises(NotAllowed):
        await access.grant_directly(session, repo, await _row(session, owner), by=owner)
    assert len(await events(session, "access:request:grant")) == 1


async def test_direct_grant_answers_the_open_request(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await ask(session, ada, repo)
    grant = await access.grant_directly(session, repo, await _row(session, ada), by=owner)
    assert grant.request_id == request.id
    assert (await access.get(session, request.id)).state is RequestState.ACTIVE


async def test_unknown_request_is_not_found(session: AsyncSession) -> None:
    with pytest.raises(NotFound):
        await access.get(session, "nothing")


async def test_nobody_stands_nowhere(session: AsyncSession, repo: Repo) -> None:
    assert await access.standing(session, None, repo.id, now()) == access.Standing(None, None)


@pytest.mark.parametrize("state", list(RequestState))
@pytest.mark.parametrize("act", ["approve", "reject", "cancel", "withdraw"])
async def test_every_act_moves_as_the_machine_says_or_tells_what_happened(
    session: AsyncSession, ada: Principal, repo: Repo, state: RequestState, act: str
) -> None:
    request = AccessRequest(repo_id=repo.id, person_id=ada.person_id, state=state)
    session.add(request)
    await session.flush()
    rule = next(rule for rule in access.ACTS if rule.name == act)
    by = ada if act == "withdraw" else OPERATOR
    if state in rule.sources:
        await _act(session, request, act, by=by)
        after = await access.get(session, request.id)
        reached = RequestState.ACTIVE if act == "approve" else rule.target
        assert (after.state, after.version) == (reached, 2 if act == "approve" else 1)
        assert len(await events(session, f"access:request:{act}")) == 1
    else:
        with pytest.raises(Conflict) as refused:
            await _act(session, request, act, by=by)
        assert refused.value.details["state"] == state
        assert refused.value.next_step
        assert await events(session, f"access:request:{act}") == []


def test_no_state_is_reached_without_a_way_out_or_being_an_end() -> None:
    ends = {RequestState.WITHDRAWN, RequestState.CLOSED, RequestState.EXPIRED}  # a new request may follow each
    for state in RequestState:
        assert state in ends or any(state in act.sources for act in access.ACTS)


async def _act(session: AsyncSession, request: AccessRequest, act: str, *, by: Principal) -> None:
    match act:
        case "approve":
            await access.approve(session, request, by=by)
        case "reject":
            await access.reject(session, request, by=by, reason="Because.")
        case "cancel":
            await access.cancel(session, request, by=by)
        case "withdraw":
            await access.withdraw(session, request, by=by)
        case _:
            raise GatekeeperError(act)


async def _row(session: AsyncSession, principal: Principal):  # type: ignore[no-untyped-def]
    from gatekeeper.accounts import people

    return await people.find(session, principal.name)
