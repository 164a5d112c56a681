from pathlib import Path

import pytest

from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases import BrokenLadder, Ladder, Stage

GOOD = (bundled_dir("policies") / "stages.toml").read_text()


def test_bundled_ladder_has_every_stage_in_order() -> None:
    ladder = Ladder.load()
    assert ladder.stages == tuple(Stage)
    assert ladder.rank(Stage.OPEN) > ladder.rank(Stage.GATED)
    assert "license_text" in ladder.rule(Stage.OPEN).criteria
    assert Ladder.load() is ladder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("ladder = [", 'ladder = ["moon", '), "moon"),
        (('ladder = ["draft", ', "ladder = ["), "each of"),
        (("[stage.open]", "[stage.moon]"), "unknown stage moon"),
        (('"below_target", "not_held"]', '"pixie_dust"]'), "pixie_dust"),
        (('requests = "none"', 'requests = "perhaps"'), "none, manual or auto"),
        (("approvals = 0", "approvals = -1"), "approvals must be"),
        (("approvals = 0", "approvals = true"), "approvals must be"),
        (("sole_maintainer = true", "sole_maintainer = 1"), "true or false"),
        (("grant_days = 90", "grant_days = 1.5"), "grant_days must be"),
        (("grant_days = 90", ""), "grant_days"),
        (("ladder = [", "ladder = "), "stages.toml"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1][:30] or "gone",
)
def test_broken_file_is_named_with_what_is_wrong(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    old, new = change
    assert old in GOOD
    (tmp_path / "stages.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BrokenLadder, match=says) as broken:
        Ladder.load(tmp_path)
    assert "stages.toml" in str(broken.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenLadder, match=r"stages\.toml"):
        Ladder.load(tmp_path)
