"""Runs that a caller may see, pause and cancel: their own, and others' where they maintain the model.

A counter-run is not the maintainers' to stop: it contests a report of theirs.
"""

from collections.abc import Sequence

from gatekeeper import authz, laboratory
from gatekeeper.authz import Action, Hub
from gatekeeper.errors import NotAllowed, NotSignedIn
from gatekeeper.evaluation import EvaluationRun, runs
from gatekeeper.kit.clock import now
from gatekeeper.web import reported
from gatekeeper.web.guard import Call


async def visible(call: Call, *, limit: int = 20) -> Sequence[EvaluationRun]:
    """The repository's runs, newest first."""
    if call.principal.person_id is None:
        return []
    of = None if manages(call) else call.principal.person_id
    return await runs.list_for(call.session, call.repo, of=of, limit=limit)


async def run_of(call: Call) -> EvaluationRun:
    """The run that the path names. Raises NotFound, also where it is not for the caller to see, NotSignedIn."""
    if call.principal.person_id is None:
        raise NotSignedIn("Runs are seen by those who started them.", next_step="Sign in.")
    run = await runs.get(call.session, call.repo, call.params["run"])
    if not (_is_own(call, run) or manages(call)):
        raise runs.missing()
    return run


def may_steer(call: Call, run: EvaluationRun) -> bool:
    """Whether the caller may pause, go on with and cancel a run that they see."""
    return _is_own(call, run) or (manages(call) and (run.contests is None or _governs(call)))


async def steer(call: Call) -> EvaluationRun:
    """Do to the run that the path names what the path says. Raises NotFound, NotAllowed, Conflict."""
    run, to = await run_of(call), runs.state_after(call.params["act"])
    if not may_steer(call, run):
        raise NotAllowed(
            "A counter-run is stopped by whoever started it.", next_step="Ask an administrator of the hub."
        )
    return await runs.change(call.session, run, to, by=call.principal)


async def contest(call: Call) -> EvaluationRun:
    """Begin a counter-run of the report that the path names: the same images with other seeds, in the caller's name."""
    health = await laboratory.health_of(call.gatekeeper.studio)
    async with call.writing() as inside:
        report = await reported.report_of(inside)
        return await laboratory.contest(
            inside.session,
            inside.repo,
            report,
            by=inside.principal,
            policies=call.gatekeeper.policies,
            health=health,
        )


def manages(call: Call) -> bool:
    """Whether the caller maintains the repository."""
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.MANAGE, call.resource, now()))


def _is_own(call: Call, run: EvaluationRun) -> bool:
    if run.started_by != call.principal.person_id:
        return False
    # A token must be one that could have started it; in a browser they stop it even after they lost that right.
    may_make = authz.decide(call.gatekeeper.policies, call.principal, Action.GENERATE, call.resource, now())
    return call.principal.token_id is None or bool(may_make)


def _governs(call: Call) -> bool:
    hub = Hub(person_id=call.principal.person_id)
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.ADMIN_HUB, hub, now()))
