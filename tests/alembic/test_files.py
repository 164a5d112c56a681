"""Migration files: dated, explained, in plain types."""

import ast
from pathlib import Path

import pytest

from gatekeeper.kit.bundled import bundled_dir

VERSIONS = sorted((bundled_dir("alembic") / "versions").glob("*.py"))


def test_the_directory_never_hides_the_library() -> None:
    assert not (bundled_dir("alembic") / "__init__.py").exists()


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_is_dated_explained_plain_and_goes_both_ways(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert path.stem[:10].replace("_", "").isdigit()
    assert "Why: " in (ast.get_docstring(tree) or "")
    assert "sqlmodel" not in text
    assert "gatekeeper.kit.columns" not in text
    bodies = {node.name: node.body for node in tree.body if isinstance(node, ast.FunctionDef)}
    for way in ("upgrade", "downgrade"):
        assert not isinstance(bodies[way][0], ast.Pass)


def test_bundled_finds_nothing_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match="install it again"):
        bundled_dir("no-such-directory")
