"""Reports that a caller may read: those on commits whose card they may read."""

from gatekeeper import authz, community
from gatekeeper.authz import Action, Resource, Revision
from gatekeeper.errors import GatekeeperError, NotFound
from gatekeeper.evaluation import EvaluationReport, reports
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.web.guard import Call


async def readable(call: Call, *, limit: int = 50, first: str = "") -> list[EvaluationReport]:
    """The repository's reports, newest first; those on the commit `first` before all others.

    INVARIANT: commits that the caller may not read about cost no statement each: a public page looks at all of them.
    """
    known = await reports.commits_of(call.session, call.repo)
    may: dict[str, bool] = {}
    if call.repo.is_staged:
        may = {at.commit: _decide(call, authz.at_release(call.resource, at)) for at in call.resource.releases}
        if not _decide(call, authz.at_release(call.resource, Revision("", stage=Stage.DRAFT))):
            proposed = await community.proposals.all_of(call.session, call.repo.id)
            may |= {commit: False for _, commit in known if commit not in may and commit not in proposed}
    chosen: list[str] = []
    for id, commit in sorted(known, key=lambda each: each[1] != first):
        if len(chosen) == limit:
            break
        if commit not in may:
            may[commit] = await may_read(call, commit)
        if may[commit]:
            chosen.append(id)
    return await reports.get_each(call.session, chosen)


async def report_of(call: Call) -> EvaluationReport:
    """The report that the path names. Raises NotFound, also where the caller may not read about its commit."""
    report = await reports.get(call.session, call.repo, call.params["id"])
    if not await may_read(call, report.commit_id):
        raise NotFound("There is no such report.", next_step="Look at the list of evaluations.")
    return report


async def may_read(call: Call, commit: str) -> bool:
    """Whether the caller may read what is said about this commit."""
    try:
        resource = await authz.load(call.session, call.principal, call.repo, commit=commit, instant=now())
    except GatekeeperError:
        return False
    return _decide(call, resource)


def _decide(call: Call, resource: Resource) -> bool:
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.READ_CARD, resource, now()))
