"""The case tables, one test a case, and the promise that every policy has both answers."""

from pathlib import Path

import pytest

from gatekeeper import authz
from gatekeeper.authz import Policies
from gatekeeper.authz.check import Case, read_cases
from gatekeeper.kit.bundled import bundled_dir

_PROBLEMS: list[str] = []
_CASES = list(read_cases(bundled_dir("policies") / "cases", _PROBLEMS))


def test_every_case_can_be_read() -> None:
    assert _PROBLEMS == []
    assert len(_CASES) > 200


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case.policy}-{case.text}")
def test_case_is_answered_as_the_table_says(policies: Policies, case: Case) -> None:
    answer = policies.evaluate(case.question, case.action)
    rule = policies.rules[case.policy]
    assert answer.errors == ()
    assert answer.is_allowed is case.is_allowed
    assert (rule.id in answer.rules) is (rule.is_permit is case.is_allowed)


def test_check_finds_nothing_wrong_with_the_bundle(directory: Path) -> None:
    report = authz.check(directory)
    assert report.problems == ()
    assert report.remarks == ()
    assert report.rules <= 60  # the cost of a decision is linear in their number
    assert "in order" in report.text
    assert report.as_json()["cases"] == len(_CASES)


def test_every_policy_has_a_case_for_both_answers(policies: Policies) -> None:
    for rule in policies.rules:
        answers = {case.is_allowed for case in _CASES if case.policy == rule}
        assert answers == {True, False}, rule


def test_every_policy_says_why_in_plain_words(policies: Policies) -> None:
    for rule in policies.rules.values():
        assert rule.reason.endswith("."), rule.id
        assert len(rule.reason) < 200, rule.id


def test_check_reports_a_case_that_fails_and_one_that_is_missing(edited) -> None:  # type: ignore[no-untyped-def]
    copy = edited("cases/files.toml", "[open-small-files]\nallow", "[open-small-files]\ndeny")
    with pytest.raises(authz.BrokenPolicies):
        authz.check(edited("files.cedar", "@reason", "@raison"))
    (copy / "files.cedar").write_text((copy / "files.cedar").read_text().replace("@raison", "@reason"))
    (copy / "cases" / "files.toml").write_text("[open-small-files]\nallow = [{ who = 'nobody', action = 'know' }]\n")
    report = authz.check(copy)
    assert not report.is_good
    assert any("cannot be understood" in problem for problem in report.problems)
    assert any("open-small-files has no allow case" in problem for problem in report.problems)


def test_check_reports_a_case_with_the_wrong_answer(edited) -> None:  # type: ignore[no-untyped-def]
    copy = edited("cases/files.toml", 'at = "open" }]\ndeny', 'at = "gated" }]\ndeny')
    report = authz.check(copy)
    assert any("open-small-files" in problem and "should be allowed" in problem for problem in report.problems)
