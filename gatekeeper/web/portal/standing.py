"""How one's own request stands: what happened, what was asked back, and everything that one can do about it now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gatekeeper import access
from gatekeeper.access import AccessGrant, AccessRequest, RequestState, Standing
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call

WAITING = (RequestState.IN_REVIEW, RequestState.REFERRED)
_OVER = (RequestState.EXPIRED, RequestState.REVOKED, RequestState.CLOSED)


@dataclass(frozen=True)
class Told:
    """One step of the history, as the applicant reads it. `who` is never a reviewer's name."""

    text: str
    at: datetime
    note: str
    is_mine: bool


@dataclass(frozen=True)
class Demand:
    """A prerequisite that access here needs, and how I stand to it.

    values   the ones that count, such as countries; none: any
    ends_at  when mine lapses, or lapsed
    how      what to do about it
    """

    title: str
    values: tuple[str, ...]
    is_met: bool
    ends_at: datetime | None
    how: str


@dataclass(frozen=True)
class Mine:
    """My newest request for a repository.

    asked_back   what a reviewer wants changed, and the questions that are meant
    conditions   words that I have to agree to, with the digest that names them; "" for none
    lacking      titles of prerequisites that I do not have
    usual        how long answers take here; None where that would tell about single people
    age          how long this one has waited; None while it does not
    """

    facts: words.StateFacts
    since: datetime
    reason: str
    ends_at: datetime | None
    steps: tuple[Told, ...]
    asked_back: str
    marked: tuple[str, ...]
    conditions: str
    conditions_sha256: str
    lacking: tuple[str, ...]
    usual: access.Usual | None
    age: access.Age | None
    can_withdraw: bool
    can_correct: bool
    can_give_up: bool
    can_appeal: bool
    can_renew: bool
    can_close_out: bool
    reapply_at: datetime | None

    @property
    def can_act(self) -> bool:
        """Whether there is a button that needs no word beside it."""
        return self.can_withdraw or self.can_correct or self.can_renew


def shown_state(request: AccessRequest, grant: AccessGrant | None) -> RequestState:
    """The state as it is at this instant: access that ran out has ended, whether or not that was noticed."""
    if request.state is RequestState.ACTIVE and grant is None:
        return RequestState.EXPIRED
    return request.state


async def demands(call: Call, repo: Repo, kinds: Iterable[str]) -> tuple[Demand, ...]:
    """What access to `repo` needs beside approval (`kinds` by its stage), seen by the caller."""
    wanted = await access.demanded(call.session, repo, kinds)
    person_id, instant, rules = call.principal.person_id, now(), request_rules(call)
    mine = await access.prerequisites_of(call.session, person_id, repo=repo) if wanted and person_id else []
    found = []
    for name, values in wanted.items():
        has = [each for each in mine if each.withdrawn_at is None and access.answers(each, name, values)]
        best = next((each for each in has if access.counts(each, instant)), next(iter(has), None))
        known = _kind(rules, name)
        is_met = best is not None and access.counts(best, instant)
        found.append(Demand(known.title, tuple(values), is_met, best.ends_at if best else None, known.how))
    return tuple(found)


async def mine(call: Call, repo: Repo, stands: Standing) -> Mine | None:
    """How the caller's newest request stands; None for who never asked."""
    request, grant = stands.request, stands.grant
    if request is None:
        return None
    instant, rules = now(), request_rules(call)
    state = shown_state(request, grant)
    steps = await access.history(call.session, request, is_whole=False)
    back = next((told.step for told in reversed(steps) if told.step.after is RequestState.RETURNED), None)
    waits_for_me = state is RequestState.AWAITING_TERMS
    to_agree = waits_for_me and bool(request.conditions) and request.conditions_accepted_at is None
    is_returned = state is RequestState.RETURNED and back is not None
    return Mine(
        facts=words.REQUEST_STATES[state],
        since=request.decided_at or request.changed_at,
        reason=request.reason if not is_returned else "",
        ends_at=grant.ends_at if grant else None,
        steps=tuple(
            Told(
                words.REQUEST_ACTS.get(told.step.act, told.step.act),
                told.step.at,
                told.step.note or str(told.step.data.get("conditions", "")),
                told.step.actor_id == call.principal.person_id,
            )
            for told in steps
            if told.step.act != "claim"
        ),
        asked_back=back.note if back is not None and is_returned else "",
        marked=tuple(back.data.get("marked", ())) if back is not None and is_returned else (),
        conditions=request.conditions if to_agree else "",
        conditions_sha256=access.digest_of_reason(request.conditions) or "" if to_agree else "",
        lacking=tuple(
            _kind(rules, kind).title
            for kind in await access.lacking(call.session, request.person_id, repo, request.required, at=instant)
        )
        if waits_for_me
        else (),
        usual=await access.usual_wait(call.session, repo.id, rules, at=instant) if state in WAITING else None,
        age=access.age(request, rules, instant) if state in WAITING else None,
        can_withdraw=state in access.OPEN,
        can_correct=state is RequestState.IN_REVIEW,
        can_give_up=grant is not None or state is RequestState.SUSPENDED,
        can_appeal=state in (RequestState.REJECTED, RequestState.REVOKED)
        and (request.appealed_at is None or instant >= request.appealed_at + timedelta(days=rules.appeal_days)),
        can_renew=grant is not None and state is RequestState.ACTIVE,
        can_close_out=state in _OVER and request.close_out in (None, access.CloseOut.STILL_NEEDED),
        reapply_at=request.reapply_at if state is RequestState.REJECTED else None,
    )


def _kind(rules: access.Rules, name: str) -> access.Kind:
    """A kind of prerequisite, also one that is gone from the rules."""
    return next((kind for kind in rules.kinds if kind.kind == name), access.Kind(name, name, 0))
