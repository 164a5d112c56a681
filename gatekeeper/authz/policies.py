"""The policies in force: read once, checked hard, evaluated fast.

Everything that can go wrong with a folder of policies goes wrong here, at start, with the file and the rule named.
What is evaluated is a pure function of the facts, so answers are remembered by their facts and never become stale.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cedarpy
import structlog

from gatekeeper.authz import bundle
from gatekeeper.authz.actions import Action
from gatekeeper.authz.bundle import BrokenPolicies, Rule
from gatekeeper.authz.catalogue import Catalogue
from gatekeeper.authz.resource import Attributes, Context, Demand, Question
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases import ladder
from gatekeeper.releases.ladder import FILE_NAME as LADDER
from gatekeeper.releases.tables import Stage

_REMEMBERED = 2**15
_RESOURCE = {"type": "Repository", "id": "this"}
_HUB = {"type": "Hub", "id": "this"}
PRINCIPALS = ("Person", "Anonymous", "Operator")

Alarm = Callable[[dict[str, Any]], None]

_log = structlog.get_logger("gatekeeper.authz")


class Answer(NamedTuple):
    """What the policies say. `errors` is never empty when something went wrong, and then `is_allowed` is False."""

    is_allowed: bool
    rules: tuple[str, ...]
    errors: tuple[str, ...] = ()


class Policies:
    """A checked bundle. `sha256` names it in every event that a decision of it stands behind."""

    def __init__(
        self,
        *,
        schema_text: str,
        rules: dict[str, Rule],
        catalogue: Catalogue,
        sha256: str,
        directory: Path | None = None,
        demands: Mapping[Stage | None, tuple[Demand, ...]] | None = None,
    ) -> None:
        self.rules = rules
        self.catalogue = catalogue
        self.sha256 = sha256
        self.directory = directory
        self.demands = demands or {}  # prerequisites by stage, from stages.toml
        self.alarms: list[Alarm] = []  # called with the facts of an evaluation that failed, e.g. to count them
        self._schema_text = schema_text
        self._schema = cedarpy.Schema.from_str(schema_text)
        self._hub = self._handle({"uid": _HUB, "attrs": {}, "parents": []})
        self._sets = self._by_action()
        self._entities = lru_cache(maxsize=4096)(self._build_entities)
        self._context = lru_cache(maxsize=4096)(_context_json)
        self._remembered: dict[tuple[str, Action, Attributes | None, Context], Answer] = {}

    @classmethod
    def load(cls, directory: Path | None = None) -> "Policies":
        """The bundle in `directory`, or the one that came with the program.

        Raises BrokenPolicies naming every file and rule that cannot be used.
        """
        directory = directory or bundled_dir("policies")
        files = bundle.read(directory)
        rules = bundle.parse(files)
        return cls(
            schema_text=files[bundle.SCHEMA],
            rules=rules,
            catalogue=_catalogue(files.get(bundle.CATALOGUE, "")),
            sha256=bundle.digest(files),
            directory=directory,
            demands=_demands(files.get(LADDER, "")),
        )

    def permits(self) -> "Policies":
        """The same bundle without its forbids: what would be allowed if nothing were cut off. For checks only."""
        rules = {id: rule for id, rule in self.rules.items() if rule.is_permit}
        return Policies(schema_text=self._schema_text, rules=rules, catalogue=self.catalogue, sha256=self.sha256)

    def evaluate(self, question: Question, action: Action) -> Answer:
        """What the policies say about these facts.

        Policies cannot name individuals (bundle.parse refuses that), so identities are no part of the question.
        """
        key = (question.principal, action, question.attributes, question.context)
        answer = self._remembered.get(key)
        if answer is None:
            answer = self.evaluate_afresh(question, action)
            if not answer.errors:  # a failure is evaluated, and raises its alarm, every time
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = answer
        return answer

    def evaluate_afresh(self, question: Question, action: Action) -> Answer:
        """The same without memory."""
        attributes = question.attributes
        request = _request(question, action, self._context(question.context))
        try:
            entities = self._hub if attributes is None else self._entities(attributes)
            result = cedarpy.is_authorized(request, self._sets[action], entities, self._schema)
        except ValueError as error:
            return self._failed(action, (str(error),))
        # INVARIANT: Cedar skips a policy whose evaluation fails. A skipped forbid would open what it closes, so any
        # error at all is a denial, and so is every decision that is not an Allow.
        errors = tuple(result.diagnostics.errors)
        if errors or result.decision is cedarpy.Decision.NoDecision:
            return self._failed(action, errors or ("no decision",))
        return Answer(result.decision is cedarpy.Decision.Allow, tuple(sorted(result.diagnostics.reasons)))

    def _failed(self, action: Action, errors: tuple[str, ...]) -> Answer:
        facts = {"action": action.value, "errors": list(errors), "policies": self.sha256}
        _log.error("policy evaluation failed, denied", **facts)
        for alarm in self.alarms:
            alarm(facts)
        return Answer(False, (), errors)

    def _by_action(self) -> dict[Action, cedarpy.PolicySet]:
        """For each action the policies whose scope it is in: the others cannot matter, and evaluating costs by number.

        Cedar itself is asked which those are, with policies that are all scope and no condition.
        """
        scopes = {id: {**rule.body, "effect": "permit", "conditions": []} for id, rule in self.rules.items()}
        everything = _policy_set(scopes)
        blank = self._build_entities(_BLANK)
        context = _context_json(Context())
        sets = {}
        for action in Action:
            attributes, entities = (None, self._hub) if action.is_global else (_BLANK, blank)
            concerned: set[str] = set()
            for principal in PRINCIPALS:
                request = _request(Question(principal, attributes, Context()), action, context)
                result = cedarpy.is_authorized(request, everything, entities, self._schema)
                concerned.update(result.diagnostics.reasons)
            sets[action] = _policy_set({id: rule.body for id, rule in self.rules.items() if id in concerned})
        return sets

    def _build_entities(self, attributes: Attributes) -> cedarpy.Entities:
        return self._handle({"uid": _RESOURCE, "attrs": _camel(attributes._asdict()), "parents": []})

    def _handle(self, entity: dict[str, Any]) -> cedarpy.Entities:
        # INVARIANT: built with the schema, which checks the attributes and brings the action groups along. In a handle
        # without it `action in Action::"content"` is quietly false, so that forbids on groups would never apply.
        handle = cedarpy.Entities.from_json_str(json.dumps([entity]), self._schema)
        if len(handle) <= len(Action):
            raise ValueError("the action groups are missing from the entities")
        return handle


def _request(question: Question, action: Action, context: str) -> dict[str, Any]:
    # Structured ids: the textual form refuses ids with newlines.
    return {
        "principal": {"type": question.principal, "id": "this"},
        "action": {"type": "Action", "id": action.value},
        "resource": _HUB if question.attributes is None else _RESOURCE,
        "context": context,
    }


def _policy_set(bodies: dict[str, dict[str, Any]]) -> cedarpy.PolicySet:
    # By the JSON form: in the textual one Cedar names policies policy0, policy1 and so on, whatever their @id.
    return cedarpy.PolicySet.from_json_str(json.dumps({"staticPolicies": bodies, "templates": {}, "templateLinks": []}))


def _catalogue(text: str) -> Catalogue:
    try:
        return Catalogue.parse(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenPolicies([f"{bundle.CATALOGUE}: {type(error).__name__}: {error}."]) from error


def _demands(text: str) -> dict[Stage | None, tuple[Demand, ...]]:
    """What each stage demands of whoever holds a grant."""
    if not text:
        return {}
    try:
        rules = ladder.parse(tomllib.loads(text)).rules.values()
    except (ValueError, KeyError, TypeError):
        # INVARIANT: demands that cannot be read are met by nobody. What is wrong is told by the checks of that file.
        return {stage: (Demand(f"a readable {LADDER}"),) for stage in Stage}
    return {rule.stage: tuple(Demand(kind) for kind in rule.prerequisites) for rule in rules if rule.prerequisites}


def _context_json(context: Context) -> str:
    return json.dumps(_camel(context._asdict()))


def _camel(values: dict[str, Any]) -> dict[str, Any]:
    return {_CAMEL[name]: value for name, value in values.items()}


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


# A public repository under no terms: any valid attributes do where only scopes are looked at.
_BLANK = Attributes(
    staged=False,
    stage="",
    private=False,
    gate="none",
    embargoed=False,
    held=False,
    withdrawn=False,
    deprecated=False,
    has_terms=False,
    binds_use=False,
    needs_click=False,
    may_redistribute=False,
)
_CAMEL = {name: _camel_name(name) for name in (*Attributes._fields, *Context._fields)}

__all__ = ["Answer", "BrokenPolicies", "Policies", "Rule"]
