"""What the doors around the gate share: the rule of the stage one stands before, what is asked, and how requests go."""

from gatekeeper import access, authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Form, HouseForm, Terms
from gatekeeper.releases import Ladder, StageRule
from gatekeeper.repos import Gate
from gatekeeper.web.guard import Call


def stage_rule(call: Call) -> StageRule | None:
    """The rule of the stage that the caller stands before, None for a repository without stages."""
    known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, call.resource, now())
    stage = known.revision.stage if known.revision is not None else None
    return Ladder.load(call.gatekeeper.policies.directory).rule(stage) if stage is not None else None


def request_rules(call: Call) -> access.Rules:
    """Queues, reasons, screening rules and times of this hub."""
    return access.Rules.load(call.gatekeeper.policies.directory)


def form_of(call: Call, terms: Terms | None, rule: StageRule | None) -> Form:
    """What is asked here: the card's questions, else the house's own where a person decides.

    Where weights go to people alone who named their institution, a card that does not ask for it is asked with the
    house's question after its own: nobody is to be approved for nothing.
    """
    is_reviewed = rule.requests == "manual" if rule is not None else call.repo.gate is Gate.MANUAL
    house = HouseForm.load(call.gatekeeper.policies.directory).form
    if terms is None or not terms.form.fields:
        return house if is_reviewed else Form()
    if authz.asks_institution(field.name for field in terms.form.fields) or not authz.needs_institution(
        call.gatekeeper.policies, call.principal, call.resource, now()
    ):
        return terms.form
    return Form((*terms.form.fields, *(field for field in house.fields if authz.asks_institution([field.name]))))
