"""What lies behind one answer, for people who keep the rules: facts, rules with their reasons, next step."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gatekeeper.accounts.principal import Principal
from gatekeeper.authz.actions import Action
from gatekeeper.authz.decide import ask, decide
from gatekeeper.authz.outcome import Allowed, Decision
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Hub, Target
from gatekeeper.kit.canonical import instant_text


@dataclass(frozen=True)
class Explanation:
    """A decision with everything it was made from."""

    who: str
    action: Action
    what: str
    instant: datetime
    decision: Decision
    rules: tuple[tuple[str, str], ...]
    facts: dict[str, Any]
    policies: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        value: dict[str, Any] = {
            "who": self.who,
            "action": self.action.value,
            "what": self.what,
            "at": instant_text(self.instant),
            "allowed": bool(self.decision),
            "rules": [{"id": id, "reason": reason} for id, reason in self.rules],
            "facts": self.facts,
            "policies": self.policies,
            "valid_until": instant_text(self.decision.valid_until) if self.decision.valid_until else None,
        }
        if not isinstance(self.decision, Allowed):
            value |= {
                "code": self.decision.code.value,
                "reason": self.decision.reason,
                "next_step": self.decision.next_step,
                "hides": self.decision.hides,
            }
        return value

    @property
    def text(self) -> str:
        """For people."""
        answer = "may" if self.decision else "may not"
        lines = [f"{self.who} {answer} {self.action} {self.what} at {instant_text(self.instant)}."]
        if not isinstance(self.decision, Allowed):
            lines.append(f"  {self.decision.code}: {self.decision.reason} {self.decision.next_step}".rstrip())
            if self.decision.hides:
                lines.append("  They are told that it does not exist.")
        lines += [f"  rule {id}: {reason}" for id, reason in self.rules] or ["  No rule allows it."]
        true = sorted(name for name, value in self.facts.items() if value is True)
        lines.append(f"  facts: {', '.join(true) or 'none'}; stage: {self.facts.get('stage') or 'none'}")
        if self.decision.valid_until:
            lines.append(f"  Time changes the facts at {instant_text(self.decision.valid_until)}.")
        return "\n".join(lines)


def explain(
    policies: Policies, principal: Principal, action: Action, resource: Target, instant: datetime
) -> Explanation:
    """The decision with the rules that made it and the facts they read. Pure."""
    decision = decide(policies, principal, action, resource, instant)
    question = ask(policies, principal, resource, instant)
    ids = decision.policies if isinstance(decision, Allowed) else decision.rules
    facts: dict[str, Any] = question.context._asdict()
    if question.attributes is not None:
        facts |= question.attributes._asdict()
    return Explanation(
        who=principal.name or "nobody in particular",
        action=action,
        what=(resource.namespace or "the hub") if isinstance(resource, Hub) else resource.name,
        instant=instant,
        decision=decision,
        rules=tuple((id, policies.rules[id].reason) for id in ids),
        facts=facts,
        policies=policies.sha256,
    )
