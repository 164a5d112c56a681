"""The last word: after a rejection, a revocation or a suspension nobody lets themselves back in."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access
from gatekeeper.access import AccessRequest, RequestState
from gatekeeper.accounts import Person, people
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.repos import Gate, Repo
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio
S = RequestState


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session, "ada")


@pytest.fixture
async def repo(session: AsyncSession, owner: Principal) -> Repo:
    return (await make_repo(session, owner, files={"a.txt": b"a"}))[0]


async def ask(session: AsyncSession, who: Principal, repo: Repo, *, is_renewal: bool = False) -> AccessRequest:
    return await access.submit(session, who, repo, fields=None, bundle=None, is_renewal=is_renewal)


async def has_access(session: AsyncSession, who: Principal, repo: Repo) -> bool:
    return await access.grant_in_force(session, who.person_id or "", repo.id, now()) is not None


async def let_in(session: AsyncSession, ada: Principal, repo: Repo, *, days: int = 30) -> AccessRequest:
    """Access that a rule gave, and that ends; the gate is automatic."""
    repo.gate = Gate.AUTO
    rule = access.AskRule(is_automatic=True, grant_days=days)
    request = await access.submit(session, ada, repo, fields=None, bundle=None, rule=rule)
    assert request.state is S.ACTIVE
    return request


async def put_out(session: AsyncSession, request: AccessRequest, owner: Principal) -> None:
    grant = await access.open_grant_of(session, request)
    assert grant is not None
    await access.revoke(session, grant, by=owner, reason="Shared the files.")


async def suspend(session: AsyncSession, request: AccessRequest, owner: Principal) -> None:
    await access.suspend(session, request, by=owner, reason="We look into it.")


async def row_of(session: AsyncSession, who: Principal) -> Person:
    found = await people.find(session, who.name)
    assert found is not None
    return found


async def test_a_revoked_person_who_appeals_and_corrects_waits_for_a_reviewer(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await let_in(session, ada, repo)
    await put_out(session, request, owner)
    await access.appeal(session, request, by=ada, text="It was not me.")
    await access.correct(session, request, by=ada)
    again = await ask(session, ada, repo)
    assert (again.id, again.state) == (request.id, S.IN_REVIEW)
    with pytest.raises(NotAllowed, match="your own decision"):
        await access.approve(session, again, by=owner)


@pytest.mark.parametrize("how", ["closes it", "lets it run out"])
async def test_whoever_leaves_suspended_access_asks_a_reviewer(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo, how: str
) -> None:
    request = await let_in(session, ada, repo)
    await suspend(session, request, owner)
    grant = await access.open_grant_of(session, request)
    assert grant is not None
    if how == "closes it":
        await access.close(session, grant, by=ada)
    with time_machine.travel(now() + timedelta(days=31 if how == "lets it run out" else 0)):
        assert (await ask(session, ada, repo)).state is S.IN_REVIEW
        assert not await has_access(session, ada, repo)


@pytest.mark.parametrize("gate", [Gate.MANUAL, Gate.AUTO])
async def test_without_its_appeal_a_rejection_stands_with_reason_day_and_decider(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo, gate: Gate
) -> None:
    request = await ask(session, ada, repo)
    day = now() + timedelta(days=90)
    await access.reject(session, request, by=owner, reason="No purpose.", reapply_at=day)
    decided_at = request.decided_at
    repo.gate = gate
    await access.appeal(session, request, by=ada, text="There is one.")
    eve, other = await row_of(session, await make_person(session, "eve")), await make_person(session)
    with pytest.raises(Conflict, match="about the person"):
        await access.delegate(session, request, eve, by=other, comment="Go on.")
    await access.withdraw(session, request, by=ada)
    assert (request.state, request.reason, request.decided_by) == (S.REJECTED, "No purpose.", owner.person_id)
    assert (request.decided_at, request.reapply_at) == (decided_at, day)
    assert len(await events(session, "access:request:accept-rejection")) == 1
    with pytest.raises(Conflict, match=r"turned down\..* The reason given: No purpose\."):
        await ask(session, ada, repo)
    with pytest.raises(Conflict, match="appealed already"):
        await access.appeal(session, request, by=ada, text="Again.")
    with time_machine.travel(day):
        assert (await ask(session, ada, repo)).state is S.IN_REVIEW


async def test_without_its_appeal_a_revocation_stands(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await let_in(session, ada, repo)
    await put_out(session, request, owner)
    await access.appeal(session, request, by=ada, text="It was not me.")
    await access.withdraw(session, request, by=ada)
    assert (request.state, request.reason) == (S.REVOKED, "Shared the files.")
    with pytest.raises(Conflict, match="was revoked"):
        await ask(session, ada, repo)


@pytest.mark.parametrize("put", [put_out, suspend])
async def test_a_renewal_begun_before_is_no_way_around(
    session: AsyncSession,
    owner: Principal,
    ada: Principal,
    repo: Repo,
    put: Callable[[AsyncSession, AccessRequest, Principal], Awaitable[None]],
) -> None:
    request = await let_in(session, ada, repo)
    renewal = await access.save(session, ada, repo, fields=None, bundle=None, is_renewal=True)
    await put(session, request, owner)
    with pytest.raises(Conflict, match=r"was revoked|is suspended"):
        await ask(session, ada, repo)
    await access.withdraw(session, renewal, by=ada)
    assert await access.latest_request(session, ada.person_id or "", repo.id) is request, "it is not hidden"
    with pytest.raises(Conflict, match=r"was revoked|is suspended"):
        await ask(session, ada, repo)


async def test_a_draft_renewal_is_sent_as_the_renewal_that_it_is(
    session: AsyncSession, ada: Principal, repo: Repo
) -> None:
    request = await let_in(session, ada, repo)
    await access.save(session, ada, repo, fields=None, bundle=None, is_renewal=True)
    renewed = await ask(session, ada, repo)
    assert (renewed.state, renewed.predecessor_id, request.state) == (S.ACTIVE, request.id, S.CLOSED)


async def test_an_approved_renewal_gives_nothing_once_the_older_access_was_revoked(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await let_in(session, ada, repo)
    repo.gate = Gate.MANUAL
    renewal = await ask(session, ada, repo, is_renewal=True)
    await access.approve(session, renewal, by=owner, conditions="Name us.")
    await put_out(session, request, owner)
    sha256 = access.digest_of_reason("Name us.") or ""
    with pytest.raises(Conflict, match="after this approval"):
        await access.confirm(session, renewal, by=ada, conditions_sha256=sha256)
    await access.cancel(session, renewal, by=owner)
    await access.approve(session, renewal, by=owner)
    assert await has_access(session, ada, repo)


async def test_conditions_and_decisions_taken_back_are_not_shaken_off_by_asking_anew(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await let_in(session, ada, repo)
    await access.add_terms(session, request, by=owner, conditions="Name us.")
    await access.withdraw(session, request, by=ada)
    again = await ask(session, ada, repo)
    assert again.state is S.IN_REVIEW
    await access.approve(session, again, by=owner)
    await access.cancel(session, again, by=owner)
    await access.correct(session, again, by=ada)
    assert (await ask(session, ada, repo)).state is S.IN_REVIEW


async def test_after_a_reviewer_s_yes_rules_let_in_again(
    session: AsyncSession, owner: Principal, ada: Principal, repo: Repo
) -> None:
    request = await let_in(session, ada, repo)
    await suspend(session, request, owner)
    await access.resume(session, request, by=owner)
    grant = await access.open_grant_of(session, request)
    assert grant is not None
    await access.close(session, grant, by=ada)
    assert (await ask(session, ada, repo)).state is S.ACTIVE
