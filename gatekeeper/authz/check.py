"""`gatekeeper policies check`: is a folder of policies in order, and does it answer its own case tables?

A case table (`policies/cases/*.toml`) holds, for each policy, cases in which it decides and near ones in which it must
not. For a permit, `allow` cases are allowed by it and `deny` cases are not; for a forbid, the other way round.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatekeeper.authz import sidefiles
from gatekeeper.authz.actions import Action
from gatekeeper.authz.audiences import question_of
from gatekeeper.authz.bundle import SCOPES, BrokenPolicies
from gatekeeper.authz.outcome import Code
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.reach import reach
from gatekeeper.authz.resource import Context, Question

_WORDS = frozenset({"who", "action", "at", "side", "license", "token", *Context._fields})


@dataclass(frozen=True)
class Case:
    """One line of a case table."""

    policy: str
    file: str
    is_allowed: bool
    action: Action
    question: Question
    text: str


@dataclass(frozen=True)
class Report:
    """What a check found. `problems` are failures; `remarks` are worth a look."""

    sha256: str
    rules: int
    cases: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether the folder may be put in force."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "sha256": self.sha256,
            "rules": self.rules,
            "cases": self.cases,
            "problems": list(self.problems),
            "remarks": list(self.remarks),
        }

    @property
    def text(self) -> str:
        """For people."""
        head = f"{self.rules} rules, {self.cases} cases, bundle {self.sha256[:16]}: "
        lines = [head + ("in order." if self.is_good else f"{len(self.problems)} problems.")]
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [f"  remark: {remark}" for remark in self.remarks]
        return "\n".join(lines)


def check(directory: Path | None = None) -> Report:
    """Load the folder, run its case tables, and read its tables of stages and limits. Raises BrokenPolicies."""
    policies = Policies.load(directory)
    assert policies.directory is not None
    problems: list[str] = []
    cases = list(read_cases(policies.directory / "cases", problems))
    problems += [problem for case in cases for problem in _wrong(policies, case)]
    problems += _uncovered(policies, cases)
    problems += [
        f"{rule.file}: rule {rule.id}: {rule.code!r} is no denial code."
        for rule in policies.rules.values()
        if rule.code and rule.code not in set(Code)
    ]
    tables = sidefiles.problems(policies.directory)
    problems += tables
    remarks = () if tables else tuple(_without_effect(policies, cases))  # with broken tables rules mean something else
    return Report(policies.sha256, len(policies.rules), len(cases), tuple(problems), remarks)


def read_cases(directory: Path, problems: list[str]) -> Iterator[Case]:
    """Every case of the folder's tables; what cannot be read becomes a problem."""
    for path in sorted(directory.glob("*.toml")):
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(f"cases/{path.name}: {error}.")
            continue
        for policy, table in tables.items():
            for answer in ("allow", "deny"):
                for entry in table.get(answer, []):
                    try:
                        yield _case(policy, path.name, entry, is_allowed=answer == "allow")
                    except (KeyError, ValueError, TypeError) as error:
                        problems.append(f"cases/{path.name}: {policy}: {entry} cannot be understood: {error}.")


def _case(policy: str, file: str, entry: dict[str, Any], *, is_allowed: bool) -> Case:
    unknown = entry.keys() - _WORDS
    if unknown:
        raise ValueError(f"unknown words {sorted(unknown)}")
    action = Action(entry["action"])
    place = None if action.is_global else entry["at"]
    question = question_of(entry["who"], place, side=entry.get("side", ""), license=entry.get("license", "rail"))
    facts = {name: value for name, value in entry.items() if name in Context._fields}
    if "token" in entry:
        if not set(entry["token"]) <= set(SCOPES):
            raise ValueError(f"unknown scopes {entry['token']}")
        facts |= {"is_token": True, "scopes": tuple(sorted(entry["token"]))}
    question = question._replace(context=question.context._replace(**facts))
    return Case(policy, file, is_allowed, action, question, str(entry))


def _wrong(policies: Policies, case: Case) -> Iterator[str]:
    where = f"cases/{case.file}: {case.policy}: {case.text}"
    rule = policies.rules.get(case.policy)
    if rule is None:
        yield f"cases/{case.file}: there is no policy {case.policy}."
        return
    answer = policies.evaluate(case.question, case.action)
    if answer.errors:
        yield f"{where}: evaluation failed: {'; '.join(answer.errors)}."
    elif answer.is_allowed is not case.is_allowed:
        by = ", ".join(answer.rules) or "no policy"
        yield f"{where}: should be {'allowed' if case.is_allowed else 'denied'}, is not (by {by})."
    elif (rule.id in answer.rules) is not (rule.is_permit is case.is_allowed):
        yield f"{where}: {'is not decided' if rule.is_permit is case.is_allowed else 'is decided'} by this policy."


def _uncovered(policies: Policies, cases: list[Case]) -> Iterator[str]:
    for rule in policies.rules.values():
        for is_allowed in (True, False):
            if not any(case.policy == rule.id and case.is_allowed is is_allowed for case in cases):
                yield f"{rule.file}: rule {rule.id} has no {'allow' if is_allowed else 'deny'} case."


def _without_effect(policies: Policies, cases: list[Case]) -> Iterator[str]:
    """Policies that could be left out, as far as the cases and many made-up ones can tell."""
    found = reach(policies, [(case.question, case.action) for case in cases])
    for id in found.dead:
        yield f"{policies.rules[id].file}: rule {id} is dead: its condition never held."
    for id in found.shadowed:
        rule = policies.rules[id]
        why = "another permit allows all of it too" if rule.is_permit else "what it forbids is not allowed anyway"
        yield f"{rule.file}: rule {id} is shadowed: {why}."


__all__ = ["BrokenPolicies", "Case", "Report", "check", "read_cases"]
