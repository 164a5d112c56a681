import json
from datetime import timedelta

from gatekeeper.accounts.tables import Role
from gatekeeper.authz import Action, Grant, Hub, Policies, explain
from gatekeeper.releases.tables import Stage
from tests.gatekeeper.authz.builders import ACCEPTED, ADA, ANONYMOUS, GRANT, NOW, SITE_ADMIN, repo, staged


def test_explanation_of_a_yes_names_rules_and_end(policies: Policies) -> None:
    grant = Grant("g", ends_at=NOW + timedelta(hours=1))
    found = explain(policies, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, grants=(grant,), accepted=ACCEPTED), NOW)
    assert "ada may download acme/demo" in found.text
    assert "grants-open-weights" in found.text
    assert "2026-06-01T13:00:00.000Z" in found.text
    assert found.as_json()["allowed"] is True


def test_explanation_of_a_no_names_code_reason_and_facts(policies: Policies) -> None:
    found = explain(policies, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, grants=(GRANT,)), NOW)
    assert "ada may not download acme/demo" in found.text
    assert "terms_not_accepted" in found.text
    assert "No rule allows it." in found.text
    assert "stage: gated" in found.text
    value = json.loads(json.dumps(found.as_json()))
    assert value["code"] == "terms_not_accepted"
    assert value["facts"]["grant"] is True
    assert value["policies"] == policies.sha256


def test_explanation_of_a_forbid_names_the_rule(policies: Policies) -> None:
    found = explain(policies, ADA, Action.DOWNLOAD, staged(ADA, Stage.OPEN, is_held=True, role=Role.ADMIN), NOW)
    assert "rule held-releases" in found.text
    assert found.as_json()["rules"][0]["reason"]


def test_explanation_tells_keepers_what_outsiders_are_not_told(policies: Policies) -> None:
    found = explain(policies, ANONYMOUS, Action.DOWNLOAD, repo(ANONYMOUS, is_private=True), NOW)
    assert "nobody in particular may not download" in found.text
    assert "They are told that it does not exist." in found.text
    assert found.as_json()["hides"] is True


def test_explanation_of_rights_at_the_hub(policies: Policies) -> None:
    assert "root may admin_people the hub" in explain(policies, SITE_ADMIN, Action.ADMIN_PEOPLE, Hub("root"), NOW).text
    assert "ada may not create_repo acme" in explain(policies, ADA, Action.CREATE_REPO, Hub("ada", "acme"), NOW).text
