"""What a person can do about a decision: appeal, agree to conditions, say what became of their copies."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.access import activation, moves
from gatekeeper.access.grants import latest_request
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessRequest, CloseOut
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now


async def appeal(
    session: AsyncSession, request: AccessRequest, *, by: Principal, text: str, rules: Rules | None = None
) -> AccessRequest:
    """Ask that somebody else look at a rejection or a revocation again; once per cool-down."""
    _own(request, by)
    text = moves.checked_reason(text, what="An appeal")
    at = now()
    days = (rules or Rules.load()).appeal_days
    if request.appealed_at is not None and at < request.appealed_at + timedelta(days=days):
        again = request.appealed_at + timedelta(days=days)
        raise errors.Conflict(
            f"You appealed already; you may again from {instant_text(again)} on.",
            next_step="Wait until then, or write to the maintainers.",
            details={"appeal_from": instant_text(again)},
        )
    last = await latest_request(session, request.person_id, request.repo_id)
    if last is not None and last.id != request.id:
        raise errors.Conflict("You have asked again since.", next_step="Look at the newer request.")
    return await moves.step(
        session,
        request,
        moves.APPEAL,
        by=by,
        at=at,
        reason=text,
        facts={"barred_id": request.decided_by},
        values={"appealed_at": at, "barred_id": request.decided_by},
    )


async def confirm(
    session: AsyncSession, request: AccessRequest, *, by: Principal, conditions_sha256: str
) -> AccessRequest:
    """Agree to the conditions of an approval, named by the digest of the words that were read. Access begins then."""
    _own(request, by)
    if request.state in moves.CONFIRM.sources and (
        not request.conditions or conditions_sha256 != moves.digest_of_reason(request.conditions)
    ):
        raise errors.Invalid(
            "These are not the conditions that the approval has now.",
            status=422,
            next_step="Read the present conditions, then agree to them.",
        )
    at = now()
    fresh = await moves.step(
        session,
        request,
        moves.CONFIRM,
        by=by,
        at=at,
        facts={"conditions_sha256": conditions_sha256},
        values={"conditions_accepted_at": at},
    )
    return await activation.activate(session, fresh, by=None, at=at)


async def close_out(
    session: AsyncSession, request: AccessRequest, *, by: Principal, answer: str, comment: str = ""
) -> AccessRequest:
    """Say what became of one's copies after access ended. What was said can be changed as long as files are needed."""
    _own(request, by)
    try:
        said = CloseOut(answer)
    except ValueError:
        raise errors.Invalid(f"The answer is one of {', '.join(CloseOut)}.", next_step="Choose one of these.") from None
    comment = moves.checked_words(comment)
    at = now()
    request = await activation.settle(session, request, at)
    if request.close_out is not None and request.close_out is not CloseOut.STILL_NEEDED:
        raise errors.Conflict("You have answered this already.", next_step="Nothing more is needed from you.")
    return await moves.step(
        session,
        request,
        moves.CLOSE_OUT,
        by=by,
        at=at,
        reason=comment,
        facts={"answer": said},
        values={"close_out": said},
    )


def _own(request: AccessRequest, by: Principal) -> None:
    if by.person_id is None or by.person_id != request.person_id:
        raise errors.NotAllowed("Only the applicant can do this.", next_step="Sign in as the person who asked.")
