"""Promises about the pages' looks: what the house has is in the style guide, and in docs/design.md."""

import re
from pathlib import Path

import pytest

from gatekeeper.web.portal.styleguide import tokens

ROOT = Path(__file__).parents[2]
WEB = ROOT / "gatekeeper" / "web"
TEMPLATES = WEB / "templates"
MACROS = re.findall(r"{% macro (\w+)", (TEMPLATES / "_macros.html").read_text())
GUIDE = (TEMPLATES / "portal" / "styleguide.html").read_text()
DESIGN = (ROOT / "docs" / "design.md").read_text()
COLOR = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})\b|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch)\(", re.I)
# What is shown apart from any page: a plot as a file, and a code that a camera reads, which is black on white.
APART = ("_FILE_STYLE = ", "svg_data_uri(")
INLINE = re.compile(r"""\sstyle=|\son[a-z]+=["']|"(?:style|on[a-z]+)":|<script(?![^>]*\ssrc=)|javascript:""")


@pytest.mark.parametrize("name", MACROS)
def test_every_component_is_shown_and_described(name: str) -> None:
    assert f"ui.{name}(" in GUIDE
    assert re.search(rf"`{name}[`(]", DESIGN)


@pytest.mark.parametrize("name", tokens())
def test_every_token_is_described(name: str) -> None:
    assert f"`{name}`" in DESIGN


def test_colors_are_tokens() -> None:
    stylesheet = (WEB / "static" / "gatekeeper.css").read_text().splitlines()
    programs = [line for path in WEB.rglob("*.py") for line in path.read_text().splitlines()]
    assert not [line for line in stylesheet if COLOR.search(line) and not line.lstrip().startswith("--")]
    assert not [line for line in programs if COLOR.search(line) and not any(each in line for each in APART)]


def test_templates_hold_no_style_and_no_script() -> None:
    templates = {path: path.read_text() for path in TEMPLATES.rglob("*.html")}
    assert not [f"{path.name}: {found[0]}" for path, text in templates.items() for found in INLINE.finditer(text)]
