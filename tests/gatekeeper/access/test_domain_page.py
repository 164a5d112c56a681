"""docs/domain.md names what the code has."""

from pathlib import Path

import pytest

from gatekeeper import access
from gatekeeper.access import RequestState
from gatekeeper.generation import GenerationState
from gatekeeper.releases.ladder import CRITERIA

PAGE = (Path(__file__).parents[3] / "docs" / "domain.md").read_text()


@pytest.mark.parametrize("act", access.ACTS, ids=lambda act: act.name)
def test_every_act_is_described_with_its_states(act: access.Act) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {act.name} |"))
    _, _, sources, target, *_ = row.split("|")
    assert {word.strip(" `") for word in sources.split(",")} == set(act.sources)
    assert (f"`{act.target}`" if act.target else "stays") in target


@pytest.mark.parametrize("name", [*RequestState, *CRITERIA, *set(GenerationState) - {GenerationState.RUNNING}])
def test_every_state_and_criterion_is_described(name: str) -> None:
    assert f"`{name}`" in PAGE
