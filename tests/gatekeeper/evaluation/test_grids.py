import tomllib
from pathlib import Path

import pytest

from gatekeeper.evaluation import grids
from tests.gatekeeper.evaluation.people import grid_text


def test_the_bundled_grids_are_in_order_and_write_whole_prompts() -> None:
    found = grids.load_grids()
    assert set(found) == {"emoji", "people"}
    texts = {prompt.text for prompt in found["emoji"].subjects}
    assert {"a doctor", "an angry doctor", "a proud mechanic"} <= texts
    assert "a photo portrait of a woman at work" in {prompt.text for prompt in found["people"].identities}
    assert not [p for grid in found.values() for p in (*grid.identities, *grid.subjects) if "  " in p.text]


def test_any_change_but_of_a_comment_is_another_digest() -> None:
    data = tomllib.loads(grid_text())
    again = tomllib.loads("# a comment\n" + grid_text())
    more = tomllib.loads(grid_text().replace('"angry"', '"angry", "calm"'))
    assert grids.parse(data).sha256 == grids.parse(again).sha256 != grids.parse(more).sha256


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seeds = 12", "seeds = 0"),
        ("clusters = 3", "clusters = 100"),
        ('id = "stub"', 'id = "Stub!"'),
        ("steps = 4", "steps = 4\nspeed = 1\n[extra]"),
        ("[4.0]", "[90.0]"),
    ],
)
def test_a_broken_grid_is_named_with_its_file(tmp_path: Path, old: str, new: str) -> None:
    folder = tmp_path / "evaluations"
    folder.mkdir()
    (folder / "bias-stub.toml").write_text(grid_text().replace(old, new, 1))
    with pytest.raises(grids.BrokenGrid, match=r"bias-stub\.toml"):
        grids.load_grids(tmp_path)
