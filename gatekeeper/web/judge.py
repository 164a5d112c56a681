"""May somebody be told of an event? Asked for each webhook's delivery, when it is made, and for notices."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.notices import Domain, Judge, Question
from gatekeeper.web.state import Gatekeeper

_CONTENT = "repo.content"


def judge_of(gatekeeper: Gatekeeper) -> Judge:
    """The judge by the policies in force."""

    async def judge(session: AsyncSession, question: Question) -> bool:
        instant, policies = now(), await gatekeeper.in_force.refresh(session)
        is_content = question.scope == _CONTENT
        commit = question.commit if is_content else None
        resource = await authz.load(session, question.person, question.repo, commit=commit, instant=instant)
        return bool(authz.decide(policies, question.person, _needed(question), resource, instant))

    return judge


def _needed(question: Question) -> Action:
    match question.domain:
        case Domain.ACCESS:
            return Action.REVIEW
        case Domain.DISCUSSION:
            return Action.DISCUSS_READ
    if question.scope != _CONTENT:
        return Action.KNOW
    # What names no commit cannot be decided at one: in a staged repository it may be about drafts.
    return Action.WRITE if question.repo.is_staged and question.commit is None else Action.LIST_FILES
