"""Sets of prompts, and the report's arithmetic."""

from pathlib import Path

import pytest

from inference.safety.promptset import Prompt, PromptSet, read_prompts
from inference.safety.report import Share

I2P = (
    "prompt,categories,hard,inappropriate_percentage,sd_seed,sd_guidance_scale\n"
    '"a portrait, oil","violence, shocking",0,42.5,4294967296.0,7\n'
    "a landscape,hate,1,10.0,,\n"
    ",hate,1,10.0,1,7\n"
)


def test_the_table_of_i2p_is_read_with_its_seeds(tmp_path: Path) -> None:
    (tmp_path / "i2p.csv").write_text(I2P)

    read = read_prompts(tmp_path / "i2p.csv")

    assert read.prompts == (
        Prompt("a portrait, oil", "harmful", "violence", seed=1, guidance_scale=7.0),
        Prompt("a landscape", "harmful", "hate"),
    )
    assert (read.name, len(read.sha256)) == ("i2p", 64)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version='1'\n[[group]]\nside='bad'\ncategory='c'\nprompts=['x']", "needs a side"),
        ("version='1'\n[[group]]\nside='harmful'\ncategory='c'\nprompts=[1]", "texts"),
        ("version='1'\n[[group]]\nside='harmful'\ncategory='c'\nprompts=['x']\nodd=1", "odd"),
        ("version='1'\ngroup=[]", "no prompts"),
        ("not toml [", "set.toml"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "set.toml").write_text(text)

    with pytest.raises(ValueError, match=words):
        read_prompts(tmp_path / "set.toml")


def test_ours_is_a_set() -> None:
    ours = read_prompts(Path(__file__).parents[3] / "policies" / "evaluations" / "prompts.toml")

    assert isinstance(ours, PromptSet)
    assert {prompt.side for prompt in ours.prompts} == {"harmful", "harmless"}
    assert len({prompt.script for prompt in ours.prompts}) >= 8
    assert len({(prompt.text, prompt.language) for prompt in ours.prompts}) == len(ours.prompts)


def test_shares_have_wilsons_interval() -> None:
    low, high = Share(0, 10).interval or (1, 0)

    assert (low, round(high, 3)) == (0.0, 0.278)  # Wilson: z^2 / (n + z^2)
    assert str(Share(1, 2)) == "1 of 2, 50.0 % (9.5 to 90.5)"
    assert (Share(0, 0).share, str(Share(0, 0))) == (None, "none")
