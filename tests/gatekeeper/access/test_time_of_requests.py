"""What the clock decides: cool-downs, renewals, lapses, ends that come before the decision takes effect."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access
from gatekeeper.access import AccessRequest, AskRule, RequestState
from gatekeeper.access.rules import Rules, ScreeningRule
from gatekeeper.access.screening import Facts, judge
from gatekeeper.accounts import people
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio


async def story(session: AsyncSession) -> tuple[Repo, Principal, Principal]:
    owner, ada = [await make_person(session) for _ in range(2)]
    repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    return repo, owner, ada


async def ask(session: AsyncSession, who: Principal, repo: Repo, **more: object) -> AccessRequest:
    return await access.submit(session, who, repo, fields=None, bundle=None, **more)  # type: ignore[arg-type]


async def test_an_appeal_is_possible_again_when_the_cool_down_is_over(session: AsyncSession) -> None:
    repo, owner, ada = await story(session)
    other = await make_person(session, is_admin=True)
    request = await access.reject(session, await ask(session, ada, repo), by=owner, reason="No.")
    request = await access.appeal(session, request, by=ada, text="Again.")
    request = await access.reject(session, request, by=other, reason="Still no.")
    with time_machine.travel(now() + timedelta(days=29), tick=False), pytest.raises(Conflict, match="again from"):
        await access.appeal(session, request, by=ada, text="Again.")
    with time_machine.travel(now() + timedelta(days=31), tick=False):
        request = await access.appeal(session, request, by=ada, text="Again.")
    assert request.state is RequestState.IN_REVIEW
    assert await access.barred(session, request) == {owner.person_id, other.person_id}
    for again in (owner, other):
        with pytest.raises(NotAllowed, match="your own decision"):
            await access.approve(session, request, by=again)


async def test_a_renewal_replaces_the_access_before_it_ends(session: AsyncSession) -> None:
    repo, owner, ada = await story(session)
    first = await ask(session, ada, repo)
    old = await access.approve(session, first, by=owner, ends_at=now() + timedelta(days=5))
    assert old is not None
    with time_machine.travel(now() + timedelta(days=4), tick=False):
        again = await ask(session, ada, repo, is_renewal=True)
        made = await access.approve(session, again, by=owner, ends_at=now() + timedelta(days=30))
        standing = await access.standing(session, ada.person_id, repo.id, now())
    assert made is not None
    assert standing.grant is not None
    assert standing.grant.id == made.id
    assert (await access.get(session, first.id)).state is RequestState.CLOSED


async def test_an_end_that_comes_before_the_conditions_are_agreed_to_opens_nothing(session: AsyncSession) -> None:
    repo, owner, ada = await story(session)
    request = await ask(session, ada, repo)
    ends_at: datetime = now() + timedelta(days=1)
    await access.approve(session, request, by=owner, ends_at=ends_at, conditions="Name us.")
    request = await access.get(session, request.id)
    digest = access.digest_of_reason("Name us.")
    assert digest is not None
    with time_machine.travel(ends_at, tick=False), pytest.raises(Conflict, match="ended by date before it began"):
        await access.confirm(session, request, by=ada, conditions_sha256=digest)
    assert await events(session, "access:grant:open") == []


async def test_a_prerequisite_completes_an_approval_and_its_lapse_is_seen(session: AsyncSession) -> None:
    repo, owner, ada = await story(session)
    request = await ask(session, ada, repo, rule=AskRule(required=("training",)))
    await access.approve(session, request, by=owner)
    person = await people.get(session, ada.person_id or "")
    assert person is not None
    assert (await access.get(session, request.id)).state is RequestState.AWAITING_TERMS
    made = await access.vouch(session, person, "training", by=owner, evidence="Certificate 7", repo=repo)
    assert (await access.get(session, request.id)).state is RequestState.ACTIVE
    assert made.ends_at is not None
    before, after = made.ends_at - timedelta(seconds=1), made.ends_at
    assert await access.lacking(session, person.id, repo, ["training"], at=before) == []
    assert await access.lacking(session, person.id, repo, ["training"], at=after) == ["training"]


async def test_the_median_is_told_only_where_enough_people_were_answered(session: AsyncSession) -> None:
    repo, owner, _ = await story(session)
    rules = Rules.load()
    for number in range(rules.median_least):
        assert await access.usual_wait(session, repo.id, rules, at=now()) is None
        request = await ask(session, await make_person(session), repo)
        with time_machine.travel(now() + timedelta(days=number), tick=False):
            await access.reject(session, request, by=owner, reason="No.")
    usual = await access.usual_wait(session, repo.id, rules, at=now() + timedelta(days=9))
    assert usual is not None
    assert usual.median_days in (2, 3)
    assert usual.span is None, "the ends of a few are single people's"


async def test_what_comes_after_an_answer_is_no_waiting_for_it(session: AsyncSession) -> None:
    repo, owner, _ = await story(session)
    other = await make_person(session, is_admin=True)
    rules, start = Rules.load(), now()
    with time_machine.travel(start, tick=False):
        applicants = [await make_person(session) for _ in range(rules.median_least)]
        asked = [await ask(session, applicant, repo) for applicant in applicants]
    with time_machine.travel(start + timedelta(days=1), tick=False):
        grants = [await access.approve(session, each, by=owner, ends_at=start + timedelta(days=60)) for each in asked]
    with time_machine.travel(start + timedelta(days=50), tick=False):
        for grant in grants[1:]:
            assert grant is not None
            await access.revoke(session, grant, by=owner, reason="The terms were broken.")
    with time_machine.travel(start + timedelta(days=61), tick=False):
        assert (
            await access.settle(session, await access.get(session, asked[0].id), now())
        ).state is RequestState.EXPIRED
        assert await access.usual_wait(session, repo.id, rules, at=now()) == access.Usual(1, None)
        revoked = await access.get(session, asked[1].id)
        appealed = await access.appeal(session, revoked, by=applicants[1], text="Look again.")
    with time_machine.travel(start + timedelta(days=64), tick=False):
        await access.reject(session, appealed, by=other, reason="It stands.")
        found = await access.answered(session, col(AccessRequest.repo_id) == repo.id, since=start, most=100)
    assert sorted(answer.wait.days for answer in found) == [1] * rules.median_least + [3]


async def test_the_span_holds_eight_of_ten_once_there_are_twenty(session: AsyncSession) -> None:
    repo, owner, _ = await story(session)
    for number in range(20):
        with time_machine.travel(now() - timedelta(days=number), tick=False):
            request = await ask(session, await make_person(session), repo)
        await access.reject(session, request, by=owner, reason="No.")
    usual = await access.usual_wait(session, repo.id, Rules.load(), at=now())
    assert usual == access.Usual(10, (2, 18))


@pytest.mark.parametrize(
    ("thens", "rejected", "flagged", "approved"),
    [
        (("approve",), False, False, True),
        (("approve", "flag"), False, True, False),
        (("approve", "flag", "reject"), True, True, False),
    ],
)
def test_rejecting_wins_over_flagging_and_flagging_over_approving(
    thens: tuple[str, ...], rejected: bool, flagged: bool, approved: bool
) -> None:
    rules = tuple(
        ScreeningRule(f"r{number}", "Because.", then, {"account_days_below": 3})  # type: ignore[arg-type]
        for number, then in enumerate(thens)
    )
    verdict = judge(rules, Facts({}, frozenset(), "example.org", 1, "gated", frozenset({"lab"})))
    assert (bool(verdict.reject_reason), verdict.is_flagged, verdict.is_approved) == (rejected, flagged, approved)
    assert judge(rules, Facts({}, frozenset(), "example.org", 3, "gated", frozenset({"lab"}))).rules == ()


@pytest.mark.parametrize("then", ["approve", "flag"])
def test_nobody_is_approved_for_an_address_that_they_only_typed(then: str) -> None:
    rule = ScreeningRule("mail", "Addresses of the university.", then, {"email_domains": ["example.edu"]}, "")
    facts = Facts({}, frozenset(), "example.edu", 1, "gated", frozenset())
    typed = judge((rule,), replace(facts, is_confirmed=False))
    assert judge((rule,), facts).rules == ("mail",)
    assert typed.rules == (() if then == "approve" else ("mail",)), "a rule that holds up still applies"
