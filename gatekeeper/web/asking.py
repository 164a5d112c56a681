"""What the doors around the gate share: the rule of the stage that the caller stands before, and how requests go."""

from gatekeeper import access, authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.releases import Ladder, StageRule
from gatekeeper.web.guard import Call


def stage_rule(call: Call) -> StageRule | None:
    """The rule of the stage that the caller stands before, None for a repository without stages."""
    known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, call.resource, now())
    stage = known.revision.stage if known.revision is not None else None
    return Ladder.load(call.gatekeeper.policies.directory).rule(stage) if stage is not None else None


def request_rules(call: Call) -> access.Rules:
    """Queues, reasons, screening rules and times of this hub."""
    return access.Rules.load(call.gatekeeper.policies.directory)
