"""Loading a bundle, and the ways in which Cedar would fail open if it were let."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cedarpy
import pytest

from gatekeeper.authz import Action, BrokenPolicies, Code, Denied, Policies, decide
from gatekeeper.authz.audiences import question_of
from gatekeeper.kit.bundled import bundled_dir
from tests.gatekeeper.authz.builders import ADA, ANONYMOUS, NOW, repo

OVERFLOW = """
@id("overflow")
@reason("Fails whenever it is evaluated.")
@code("held")
forbid(principal, action, resource) when { 9223372036854775807 + 1 > 0 };
"""


def with_rules(tmp_path: Path, text: str) -> Path:
    copy = tmp_path / "policies"
    shutil.copytree(bundled_dir("policies"), copy)
    (copy / "zz-extra.cedar").write_text(text)
    return copy


def test_a_forbid_that_fails_denies_and_alarms(tmp_path: Path) -> None:
    policies = Policies.load(with_rules(tmp_path, OVERFLOW))
    raised: list[dict[str, object]] = []
    policies.alarms.append(raised.append)
    decision = decide(policies, ANONYMOUS, Action.DOWNLOAD, repo(ANONYMOUS), NOW)
    assert isinstance(decision, Denied)
    assert decision.code is Code.POLICY_ERROR
    assert decision.hides  # not even existence is told on such an answer
    assert raised
    assert "overflow" in str(raised[0]["errors"])


def test_cedar_alone_would_have_allowed_it(tmp_path: Path) -> None:
    """The trap itself: if this ever changes upstream, the comments in policies.py can go."""
    text = "permit(principal, action, resource);" + OVERFLOW
    request = {"principal": 'P::"p"', "action": 'Action::"a"', "resource": 'R::"r"', "context": {}}
    result = cedarpy.is_authorized(request, text, [])
    assert result.allowed
    assert result.diagnostics.errors


def test_every_failure_alarms_anew_and_none_is_remembered(tmp_path: Path) -> None:
    policies = Policies.load(with_rules(tmp_path, OVERFLOW))
    raised: list[object] = []
    policies.alarms.append(raised.append)
    question = question_of("everyone", "public")
    for _ in range(3):
        assert not policies.evaluate(question, Action.KNOW).is_allowed
    assert len(raised) == 3


@pytest.mark.parametrize("context", ["{}", "not json", '{"isMember": "yes"}'])
def test_facts_that_do_not_fit_the_schema_deny(context: str) -> None:
    policies = Policies.load()
    policies._context = lambda _: context  # type: ignore[assignment]
    answer = policies.evaluate_afresh(question_of("everyone", "public"), Action.KNOW)
    assert not answer.is_allowed
    assert answer.errors


def test_attributes_that_do_not_fit_the_schema_deny() -> None:
    policies = Policies.load()
    question = question_of("everyone", "public")
    assert question.attributes is not None
    broken = question._replace(attributes=question.attributes._replace(held="no"))  # type: ignore[arg-type]
    answer = policies.evaluate_afresh(broken, Action.KNOW)
    assert not answer.is_allowed
    assert answer.errors


def test_an_absent_resource_denies() -> None:
    policies = Policies.load()
    nothing = cedarpy.Entities.from_json_str("[]", policies._schema)
    policies._entities = lambda _: nothing  # type: ignore[assignment]
    for action in (Action.KNOW, Action.DOWNLOAD):
        answer = policies.evaluate_afresh(question_of("maintainers", "public"), action)
        assert not answer.is_allowed
        assert answer.errors


def test_entities_hold_the_action_groups() -> None:
    """Without the schema they would not, and every forbid on a group would be skipped without an error."""
    policies = Policies.load()
    question = question_of("everyone", "public")
    assert question.attributes is not None
    assert len(policies._entities(question.attributes)) > len(Action)
    assert len(policies._hub) > len(Action)


def test_ids_with_any_character_are_decided() -> None:
    policies = Policies.load()
    odd = replace(ADA, person_id='a\nb"\\::\u2028')
    assert decide(policies, odd, Action.KNOW, replace(repo(odd), name="x\ny"), NOW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('@id("x-1") @reason("r.") permit(principal, action, resource) when { resource.stag == "open" };', "x-1"),
        ('@id("x-2") @reason("r.") permit(principal, action == Action::"downlaod", resource);', "x-2"),
        ('@id("x-3") @reason("r.") permit(principal, action, resource) when { ;', "rule x-3 (line 1)"),
        ('@reason("r.") permit(principal, action, resource);', "needs @id"),
        ('@id("x-4") permit(principal, action, resource);', "needs @reason"),
        ('@id("x-5") @reason("r.") forbid(principal, action, resource);', "needs @code"),
        ('@id("owners-use") @reason("r.") permit(principal, action, resource);', "already in"),
        ('@id("x-6") @reason("r.") permit(principal == Person::"ada", action, resource);', "names one principal"),
        ('@id("x-7") @reason("r.") permit(principal, action, resource in Repository::"r");', "names one resource"),
        (
            '@id("x-8") @reason("r.") permit(principal, action, resource) when { principal == Person::"ada" };',
            "names an individual",
        ),
        (
            '@id("x-9") @reason("r.") permit(principal, action == Action::"know", resource) '
            'when { resource.stage == "opne" };',
            "'opne'",
        ),
        ('@id("x-a") @reason("r.") permit(principal == ?principal, action, resource);', "templates"),
    ],
)
def test_a_broken_policy_stops_the_start_and_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BrokenPolicies) as caught:
        Policies.load(with_rules(tmp_path, text))
    assert any(problem.startswith("zz-extra.cedar: ") and said in problem for problem in caught.value.problems)
    assert "policies check" in caught.value.next_step


def test_a_broken_rule_in_the_middle_of_a_file_is_found(tmp_path: Path) -> None:
    good = '@id("good-one") @reason("r.") permit(principal, action == Action::"know", resource);\n'
    bad = '@id("bad-one")\n@reason("r.")\npermit(principal, action resource);\n'
    with pytest.raises(BrokenPolicies, match=r"rule bad-one \(line 2\)"):
        Policies.load(with_rules(tmp_path, good + bad + good.replace("good", "fine")))


@pytest.mark.parametrize("missing", ["schema.cedarschema", "*.cedar"])
def test_a_folder_without_policies_or_schema_is_refused(tmp_path: Path, missing: str) -> None:
    copy = with_rules(tmp_path, "")
    for path in copy.glob(missing):
        path.unlink()
    with pytest.raises(BrokenPolicies, match=missing.replace("*", r"\*")):
        Policies.load(copy)


def test_a_broken_schema_and_odd_bytes_are_named(tmp_path: Path) -> None:
    copy = with_rules(tmp_path, "")
    (copy / "schema.cedarschema").write_text("entity ;")
    with pytest.raises(BrokenPolicies, match=r"schema\.cedarschema"):
        Policies.load(copy)
    (copy / "zz-extra.cedar").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenPolicies, match=r"zz-extra\.cedar: is not UTF-8"):
        Policies.load(copy)


def test_digest_changes_with_every_file_of_the_bundle_and_with_nothing_else(tmp_path: Path) -> None:
    original = Policies.load().sha256
    copy = tmp_path / "policies"
    shutil.copytree(bundled_dir("policies"), copy)
    assert Policies.load(copy).sha256 == original
    (copy / "cases" / "know.toml").write_text("")
    (copy / "notes.txt").write_text("x")
    assert Policies.load(copy).sha256 == original
    for name in ("schema.cedarschema", "know.cedar", "stages.toml", "safety.toml", "licenses/catalogue.toml"):
        before = Policies.load(copy).sha256
        with (copy / name).open("a") as file:
            file.write("\n# changed\n" if name.endswith(".toml") else "\n// changed\n")
        assert Policies.load(copy).sha256 != before, name


def test_actions_are_those_of_the_schema() -> None:
    schema = (bundled_dir("policies") / "schema.cedarschema").read_text()
    for action in Action:
        assert f"\naction {action.value} in" in schema
    granted = [line.split()[1] for line in schema.splitlines() if line.startswith("action ") and " in [" in line]
    assert set(granted) == set(Action)


def test_remembered_answers_equal_fresh_ones() -> None:
    policies = Policies.load()
    for who in ("everyone", "grant+terms", "org", "maintainers"):
        for place in ("draft", "gated", "open", "private"):
            for action in (Action.KNOW, Action.DOWNLOAD, Action.HOLD):
                question = question_of(who, place)
                assert policies.evaluate(question, action) == policies.evaluate(question, action)
                assert policies.evaluate(question, action) == policies.evaluate_afresh(question, action)


def test_error_answers_are_json(tmp_path: Path) -> None:
    with pytest.raises(BrokenPolicies) as caught:
        Policies.load(with_rules(tmp_path, "permit(principal, action, resource);"))
    assert json.loads(json.dumps(caught.value.details))["problems"]
