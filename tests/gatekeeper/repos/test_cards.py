"""Cards are read safely, whoever wrote them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid
from gatekeeper.repos import AddFile, Repo, cards, history

pytestmark = pytest.mark.anyio

CARD = """---
license: openrail
license_name: emoji-rail
tags: [emoji, stable-diffusion]
pipeline_tag: text-to-image
library_name: diffusers
base_model: runwayml/stable-diffusion-v1-5
language: no
date: 2024-01-01
extra_gated_prompt: Be kind.
extra_gated_fields:
  Company: text
  I agree: checkbox
  Purpose: {type: select, options: [Research, Art]}
---
# Title

Text --- with dashes
---
more
"""


def block(text: str) -> str:
    return f"---\n{text}\n---\nbody"


def test_a_card_is_taken_apart() -> None:
    card = cards.parse(CARD.encode())
    assert card.problem is None
    assert card.license == "openrail"
    assert card.license_name == "emoji-rail"
    assert card.tags == ("emoji", "stable-diffusion")
    assert card.pipeline_tag == "text-to-image"
    assert card.library_name == "diffusers"
    assert card.base_models == ("runwayml/stable-diffusion-v1-5",)
    assert card.gated_prompt == "Be kind."
    assert list(card.data["extra_gated_fields"]) == ["Company", "I agree", "Purpose"]
    assert card.text == "# Title\n\nText --- with dashes\n---\nmore\n"
    assert "license:openrail" in card.all_tags
    assert "base_model:runwayml/stable-diffusion-v1-5" in card.all_tags
    assert cards.validate(CARD) == cards.Findings()


def test_scalars_are_those_of_the_public_hub() -> None:
    data = cards.parse(CARD).data
    assert data["language"] == "no"  # Norwegian, not false
    assert data["date"] == "2024-01-01"
    values = cards.parse(block("a: yes\nb: true\nc: 12:30:45\nd: 0x10\ne: 1.5\nf: ~\ng: 1e3\nh:\ni: 010")).data
    assert values["a"] == "yes"
    assert values["b"] is True
    assert (values["c"], values["e"], values["f"], values["g"], values["h"]) == ("12:30:45", 1.5, None, 1000.0, None)


@pytest.mark.parametrize("text", ["", "# only text", "text\n---\na: b\n---", "--- a\nb"])
def test_a_readme_without_a_block_is_all_text(text: str) -> None:
    card = cards.parse(text)
    assert (card.data, card.text, card.problem) == ({}, text, None)
    assert cards.validate(text).warnings


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)
HOSTILE = {
    "alias bomb": BOMB,
    "alias of itself": "a: &a [*a]",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "python object": "a: !!python/object/apply:os.system [id]",
    "custom tag": "a: !x y",
    "too long": "a: " + "x" * 200_000,
    "not a mapping": "- a\n- b",
    "scalar": "just text",
    "broken": "a: [",
    "tab": "a:\n\t- b",
    "control character": "a: \x01",
    "binary": "a: !!binary aGVsbG8=",
    "set": "a: !!set {b}",
    "infinite": "a: !!float .inf",
    "huge number": "a: !!int " + "9" * 6000,
    "too many values": "a: [" + "1," * 30_000 + "]",
    "unhashable key": "? [a]\n: b",
    "merge bomb": "a: &a {b: c}\n<<: [" + "*a," * 5 + "*nope]",
    "lone surrogate": 'a: "\\ud800"',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_metadata_is_a_problem_and_not_a_crash(text: str) -> None:
    started = time.process_time()
    card = cards.parse(block(text))
    assert card.problem
    assert card.data == {}
    assert cards.validate(block(text)).errors == (card.problem,)
    assert time.process_time() - started < 1


def test_a_block_that_is_not_closed_is_a_problem() -> None:
    assert "not closed" in (cards.parse("---\nlicense: mit\n").problem or "")


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    cards.validate(block(text))
    cards.validate(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("license: [mit, 3]", '"license"'),
        ("license: mit\nlicense: apache-2.0", "more than once"),
        ("license: Some License!", "no license id"),
        ("tags: a", '"tags"'),
        ("pipeline_tag: [a]", '"pipeline_tag"'),
        ("base_model: a/b/c", '"base_model"'),
        ("extra_gated_fields: [a]", '"extra_gated_fields"'),
        ("extra_gated_fields: {a: number}", "extra_gated_fields.a"),
        ("extra_gated_fields: {a: {type: select}}", "list of options"),
    ],
)
def test_a_mistake_in_the_metadata_is_named(text: str, error: str) -> None:
    assert any(error in found for found in cards.validate(block(text)).errors)


async def test_the_card_of_a_commit_is_its_readme(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    first = await history.resolve_revision(session, repo, "main")
    assert (await cards.card_of(session, repo, first)).data == {}
    operation = AddFile("README.md", CARD.encode())
    head = await history.commit(session, repo, "main", [operation], summary="x", by=ada)
    assert (await cards.card_of(session, repo, head)).license == "openrail"


async def test_a_card_that_cannot_be_read_is_not_committed(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    operation = AddFile("README.md", b"---\nlicense: [\n---\n")
    with pytest.raises(Invalid, match="not valid YAML"):
        await history.commit(session, repo, "main", [operation], summary="x", by=ada)
