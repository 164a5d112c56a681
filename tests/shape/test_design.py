"""Promises about the pages' looks: what the house has is in the style guide, and in docs/design.md."""

import re
from pathlib import Path

import pytest

from gatekeeper.web.portal.styleguide import tokens

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "gatekeeper" / "web" / "templates"
MACROS = re.findall(r"{% macro (\w+)", (TEMPLATES / "_macros.html").read_text())
GUIDE = (TEMPLATES / "portal" / "styleguide.html").read_text()
DESIGN = (ROOT / "docs" / "design.md").read_text()


@pytest.mark.parametrize("name", MACROS)
def test_every_component_is_shown_and_described(name: str) -> None:
    assert f"ui.{name}(" in GUIDE
    assert re.search(rf"`{name}[`(]", DESIGN)


@pytest.mark.parametrize("name", tokens())
def test_every_token_is_described(name: str) -> None:
    assert f"`{name}`" in DESIGN
