"""Which paths, references and names are accepted."""

import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import Invalid
from gatekeeper.repos.paths import check_path, check_short_ref, is_path

BAD = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "./a", "a\\b", "a\0b", "a\nb", "a\x7fb", "a\x85b",
    ".git", ".git/config", "a/.GIT/b", ".Git", ".git.", ".git ", ".git. . ", "git~1", "GIT~1/x", ".g\u200cit",
    ".git::$INDEX_ALLOCATION", ".git:x", "．git", "e\u0301", "x" * 256, "é" * 128, "a/" * 101 + "b", "\ud800",
    "/".join(["x" * 250] * 5),
]  # fmt: skip
GOOD = [
    "a", "a/b", ".gitattributes", ".gitignore", ".github/x", "a b", "é", "日本語/モデル.bin", "x" * 255, "a.git", "...",
    "a:b", "-a", "a/..b/c", "a/b..", "%2e%2e", "unet/diffusion_pytorch_model.safetensors", ".gitx", "git~2", "~",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD)
def test_a_bad_path_is_refused_with_422(path: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_path(path)
    assert refused.value.status == 422
    refused.value.message.encode()  # can be shown, whatever was sent


@pytest.mark.parametrize("path", GOOD)
def test_a_good_path_is_accepted(path: str) -> None:
    assert check_path(path) == path


@given(st.lists(st.text(st.sampled_from("ab.g it/\\\0~1:é\u0301\u200c"), max_size=6), max_size=4).map("/".join))
def test_an_accepted_path_stays_below_its_root(path: str) -> None:
    if not is_path(path):
        return
    segments = path.split("/")
    assert not {"", ".", ".."} & set(segments)
    assert not any(segment.lower().rstrip(". ") == ".git" for segment in segments)
    assert unicodedata.normalize("NFC", path) == path
    assert "\0" not in path
    assert "\\" not in path


@given(st.text(max_size=30))
def test_any_text_is_either_a_path_or_refused(text: str) -> None:
    assert is_path(text) in (True, False)


REFS = ["main", "a/b", "v1.0", "é", "a-b", "a@b", "", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b",
        ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a/", "/a", "a//b", "a@{b", "a\x7f", "a\n", "-a"]  # fmt: skip


@pytest.mark.parametrize("name", REFS)
def test_branch_names_follow_git_check_ref_format(name: str) -> None:
    by_git = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    try:
        accepted = bool(check_short_ref(name))
    except Invalid:
        accepted = False
    assert accepted == (by_git.returncode == 0)


@pytest.mark.parametrize("name", ["a" * 40, "0123456789" * 4, "refs/heads/x", "HEAD", "@", "x" * 241, "a\0", "\ud800"])
def test_a_branch_cannot_be_taken_for_something_else(name: str) -> None:
    with pytest.raises(Invalid):
        check_short_ref(name)
