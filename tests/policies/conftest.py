"""Fixtures for tests of the policies that come with the program.

policies    the bundle, loaded once
directory   its folder
edited      a copy of the folder, with one file's text replaced: edited("holds.cedar", "old", "new") -> the copy
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.authz import Policies
from gatekeeper.kit.bundled import bundled_dir

Edited = Callable[[str, str, str], Path]


@pytest.fixture(scope="session")
def directory() -> Path:
    return bundled_dir("policies")


@pytest.fixture(scope="session")
def policies(directory: Path) -> Policies:
    return Policies.load(directory)


@pytest.fixture
def edited(directory: Path, tmp_path: Path) -> Edited:
    def edit(name: str, old: str, new: str) -> Path:
        copy = tmp_path / "policies"
        if not copy.exists():
            shutil.copytree(directory, copy)
        text = (copy / name).read_text()
        assert old in text, f"{name} does not contain {old!r}"
        (copy / name).write_text(text.replace(old, new, 1))
        return copy

    return edit
