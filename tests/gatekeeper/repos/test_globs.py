"""Patterns mean what they mean to Git, and no pattern can keep the hub busy."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.repos.attributes import IgnoreRules, LfsRules, default_file
from gatekeeper.repos.globs import Glob
from gatekeeper.repos.tables import RepoKind

PATTERNS = [
    "*.bin", "/a.bin", "a/*.bin", "**/b.bin", "a/**", "a/**/c.bin", "saved_model/**/*", "*tfevents*", "?.txt",
    "[ab].txt", "[!a].txt", "[a-c]?.txt", "a[[:space:]]b.txt", "\\*.txt", "*.tar.*", "a*b*c", "**", "a**c",
    "[]x].txt", "[",
]  # fmt: skip
PATHS = [
    "a.bin", "a/a.bin", "a/b.bin", "b.bin", "x/b.bin", "a/b/c.bin", "a/c.bin", "a", "saved_model/x", "saved_model/x/y",
    "run/events.out.tfevents.1", "a.txt", "c.txt", "ab.txt", "a b.txt", "*.txt", "x.tar.gz", "abc", "a/bc", "axbxc",
    "].txt", "x.txt",
]  # fmt: skip


IGNORES = [
    "*.bin", "/a", "a/", "*.txt\n!a.txt", "a/*\n!a/b", "a/\n!a/b.bin", "# x\n\n*.gz", "**/b*", "x", "x/**",
    "*\n!*.bin",
]  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "--quiet", "."], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("pattern", PATTERNS)
def test_attributes_apply_to_the_paths_that_git_says(repository: Path, pattern: str) -> None:
    line = f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    (repository / ".gitattributes").write_text(line)
    asked = ["git", "check-attr", "-z", "--stdin", "filter"]
    said = subprocess.run(
        asked, cwd=repository, input="\0".join(PATHS) + "\0", capture_output=True, text=True, check=True
    )
    by_git = {
        path
        for path, state in zip(said.stdout.split("\0")[::3], said.stdout.split("\0")[2::3], strict=False)
        if state == "lfs"
    }
    rules = LfsRules(line.encode())
    assert {path for path in PATHS if rules.matches(path)} == by_git


@pytest.mark.parametrize("lines", IGNORES)
def test_files_are_ignored_as_git_ignores_them(repository: Path, lines: str) -> None:
    (repository / ".gitignore").write_text(lines)
    asked = ["git", "check-ignore", "--no-index", "--stdin"]
    said = subprocess.run(asked, cwd=repository, input="\n".join(PATHS), capture_output=True, text=True, check=False)
    rules = IgnoreRules(lines.encode())
    assert {path for path in PATHS if rules.matches(path)} == {line.strip('"') for line in said.stdout.splitlines()}


def test_the_last_line_about_the_filter_counts() -> None:
    rules = LfsRules(b"*.bin filter=lfs\nsmall.bin -filter\n*.bin -text\nx.bin !filter\n[attr]lfs filter=lfs\n")
    assert [rules.matches(path) for path in ("a.bin", "small.bin", "d/small.bin", "x.bin")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_new_repository_keeps_weights_in_lfs() -> None:
    rules = LfsRules(default_file(RepoKind.MODEL))
    for path in ("unet/model.safetensors", "a.bin", "saved_model/1/x", "runs/events.out.tfevents.1"):
        assert rules.matches(path)
    assert not rules.matches("README.md")
    assert LfsRules(default_file(RepoKind.DATASET)).matches("a.wav")


@pytest.mark.parametrize("pattern", ["a*" * 200 + "b", "**/" * 150 + "b", "*" * 500, "[" * 200 + "]" * 200])
def test_a_hostile_pattern_costs_little(pattern: str) -> None:
    rules = LfsRules(f"{pattern} filter=lfs\n".encode())
    ignores = IgnoreRules(pattern.encode())
    started = time.process_time()
    for path in ("a" * 255, "/".join(["a"] * 100)):
        rules.matches(path)
        ignores.matches(path)
    assert time.process_time() - started < 0.5


@settings(max_examples=200)
@given(st.text("ab*?[]!\\/", max_size=12), st.text("ab/", max_size=12))
def test_no_pattern_breaks_the_matcher(pattern: str, path: str) -> None:
    assert LfsRules(f"{pattern} filter=lfs".encode()).matches(path) in (True, False)
    assert IgnoreRules(pattern.encode()).matches(path) in (True, False)


@pytest.mark.parametrize("pattern", ["[", "[a", "\\", "[[:nope:]]", "x" * 513])
def test_a_pattern_that_git_cannot_read_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        Glob(pattern)
