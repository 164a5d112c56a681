"""Policies without effect are found."""

from pathlib import Path

from gatekeeper.authz import Policies, check
from gatekeeper.authz.reach import reach
from tests.gatekeeper.authz.folders import changed_folder

DEAD = """
@id("never-holds")
@reason("Two stages at once.")
permit(principal, action == Action::"download", resource)
when { resource.stage == "open" && resource.stage == "gated" };
"""
SHADOWED = """
@id("said-twice")
@reason("Cards of open releases, which everybody reads anyway.")
permit(principal, action == Action::"read_card", resource) when { resource.stage == "open" };
"""
POINTLESS = """
@id("forbids-what-nobody-may")
@reason("Nobody gets intermediate data of open releases anyway.")
@code("held")
forbid(principal, action == Action::"see_intermediate", resource) when { resource.stage == "open" };
"""


def test_every_policy_of_the_program_matters(policies: Policies) -> None:
    assert reach(policies) == ((), ())


def test_dead_and_shadowed_policies_are_told_apart(tmp_path: Path) -> None:
    folder = changed_folder(tmp_path, zz_extra=("", DEAD + SHADOWED + POINTLESS))
    found = reach(Policies.load(folder))
    assert found.dead == ("never-holds",)
    assert set(found.shadowed) == {"said-twice", "forbids-what-nobody-may"}
    remarks = " ".join(check(folder).remarks)
    assert "rule never-holds is dead" in remarks
    assert "rule said-twice is shadowed: another permit" in remarks
    assert "rule forbids-what-nobody-may is shadowed: what it forbids" in remarks
