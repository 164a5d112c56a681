"""Promises about the documentation: its links lead somewhere, and it names nothing of a machine."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_test_that_is_said_to_show_a_defence_exists() -> None:
    code = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    tests = set(re.findall(r"^ *(?:async )?def test_(\w+)", code, re.MULTILINE))
    rows = [line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")]
    shown = re.findall(r"`([a-z]\w*_\w*_\w+)`", " ".join(row.rstrip("| ").rpartition(" | ")[2] for row in rows))
    assert len(shown) > 100
    assert [name for name in shown if name not in tests] == []


def test_alembic_is_not_hidden_by_a_package_of_its_name() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
