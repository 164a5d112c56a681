"""What stands before a request: the rule of the stage, and whether there is room for another request at all."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, licensing
from gatekeeper.access import activation, decisions
from gatekeeper.access.grants import grant_in_force
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import OPEN, AccessRequest, RequestState
from gatekeeper.kit.clock import instant_words
from gatekeeper.licensing import Terms
from gatekeeper.releases.ladder import StageRule
from gatekeeper.repos.tables import Gate, Repo

_WAITING = (RequestState.IN_REVIEW, RequestState.REFERRED, RequestState.AWAITING_TERMS)


@dataclass(frozen=True, slots=True)
class AskRule:
    """How access is asked for where the applicant stands: what the stage says, or the repository's gate.

    is_automatic  a complete request is approved without review
    grant_days    until a grant made here ends; 0: no end
    approvals     reviewers who must say yes
    required      kinds of prerequisites demanded
    """

    is_automatic: bool = False
    grant_days: int = 0
    approvals: int = 1
    required: tuple[str, ...] = ()
    stage: str = ""

    @classmethod
    def of(cls, rule: StageRule | None) -> "AskRule":
        """The rule of a stage; None: a repository without stages."""
        if rule is None:
            return cls()
        return cls(
            rule.requests == "auto", rule.grant_days, rule.request_approvals, rule.prerequisites, rule.stage.value
        )


def is_gated(repo: Repo) -> bool:
    """Whether access to this repository is something to ask for."""
    return repo.is_staged or repo.gate is not Gate.NONE


def must_be_gated(repo: Repo) -> None:
    """Raise Invalid for a repository where there is nothing to ask for."""
    if not is_gated(repo):
        raise errors.Invalid(
            f"{repo.full_name} is not gated, so there is no access to ask for.", next_step="Download it as it is."
        )


async def room_for_another(
    session: AsyncSession,
    last: AccessRequest | None,
    person_id: str,
    repo: Repo,
    at: datetime,
    *,
    is_renewal: bool,
) -> AccessRequest | None:
    """What the new request follows upon, if anything. Raises Conflict where there is no room for one.

    last  the person's latest request; a draft is not in the way
    """
    if last is not None and last.state in OPEN and last.state is not RequestState.DRAFT:
        raise errors.Conflict(
            f"Your request for {repo.full_name} is open already.",
            next_step="Wait for its answer, or withdraw it."
            if last.state in _WAITING
            else "Complete it, or withdraw it.",
            details={"request_id": last.id},
        )
    held = await grant_in_force(session, person_id, repo.id, at)
    if held is not None and not is_renewal:
        raise errors.Conflict(
            f"You have access to {repo.full_name} already.",
            next_step="Use it, or ask for its renewal: to have it longer, or with other answers.",
        )
    decision = await decisions.last_decision(session, person_id, repo.id)
    for earlier in filter(None, (last, decision and decision.request)):
        _must_not_be_turned_down(await activation.settle(session, earlier, at), repo, at)
    if held is not None:
        return await session.get(AccessRequest, held.request_id) if held.request_id else None
    return last if last is not None and last.state is RequestState.EXPIRED else None


def _must_not_be_turned_down(last: AccessRequest, repo: Repo, at: datetime) -> None:
    """Raise Conflict where a decision stands that the person cannot answer by asking again."""
    reason = f" The reason given: {last.reason}" if last.reason else ""
    match last.state:
        case RequestState.REJECTED if last.reapply_at is None or last.reapply_at > at:
            said, then = f"Your request for {repo.full_name} was turned down.", "Appeal, or write to the maintainers"
            if last.reapply_at is not None:
                said += f" You may ask again from {instant_words(last.reapply_at)} on."
        case RequestState.REVOKED:
            said, then = f"Your access to {repo.full_name} was revoked.", "Appeal, or write to the maintainers"
        case RequestState.SUSPENDED:
            said, then = f"Your access to {repo.full_name} is suspended.", "Write to the maintainers"
        case _:
            return
    raise errors.Conflict(
        f"{said}{reason}", next_step=f"{then}: they can take the decision back.", details={"request_id": last.id}
    )


async def must_have_accepted(session: AsyncSession, person_id: str, repo: Repo, bundle: Terms | None) -> None:
    """Raise Invalid naming the texts, unless the person accepted the terms."""
    if (
        bundle
        and bundle.need_acceptance
        and await licensing.current_acceptance(session, person_id, bundle, repo=repo) is None
    ):
        raise errors.Invalid(
            f"The terms of {repo.full_name} are not accepted yet.",
            status=422,
            next_step="Read the terms and accept each text, then ask for access.",
            details={"texts": {document.sha256: document.title for document in bundle.documents}},
        )


async def must_not_flood(session: AsyncSession, person_id: str, rules: Rules) -> None:
    """Raise TooMany for a person with as many open requests as are taken."""
    count = await session.scalar(
        sa.select(sa.func.count())
        .select_from(AccessRequest)
        .where(col(AccessRequest.person_id) == person_id, col(AccessRequest.state).in_(OPEN))
    )
    if (count or 0) >= rules.most_open:
        raise errors.TooMany(
            f"You have {count} open requests; at most {rules.most_open} are taken at once.",
            next_step="Wait for answers, or withdraw requests that you do not need.",
            details={"retry_after_seconds": 3600},
        )
