"""The list of breached passwords: found wherever it stands in the file, and a file of another form stops the start."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.accounts import breached, passwords
from gatekeeper.app import assemble
from gatekeeper.errors import Invalid
from gatekeeper.settings import Settings


def line_of(password: str, count: int = 1) -> str:
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
    return f"{digest}:{count}"


def write(path: Path, known: list[str], *, end: str = "\r\n") -> Path:
    path.write_bytes(end.join(sorted(line_of(each, 7**place) for place, each in enumerate(known))).encode())
    return path


@pytest.fixture(autouse=True)
def none_after() -> Iterator[None]:
    yield
    breached.use(None)


def test_a_breached_password_is_refused_by_a_search_on_disk(tmp_path: Path) -> None:
    leaked, fresh = "quiet lanterns over seven harbors", "seven harbors over quiet lanterns"
    passwords.check_password(leaked)
    breached.use(write(tmp_path / "known.txt", [leaked, *map(str, range(500))]))
    with pytest.raises(Invalid, match="breach"):
        passwords.check_password(leaked)
    assert passwords.check_password(fresh) == fresh


@given(
    known=st.lists(st.text("abc", max_size=5), min_size=1, max_size=40, unique=True),
    end=st.sampled_from(("\n", "\r\n")),
)
@settings(max_examples=60, deadline=None)
def test_what_is_in_the_file_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, known: list[str], end: str
) -> None:
    breached.use(write(tmp_path_factory.mktemp("list") / "known.txt", known, end=end))
    assert all(breached.holds(each.encode()) for each in known)
    assert not any(breached.holds(f"{each}x".encode()) for each in known)


@pytest.mark.parametrize(
    "content",
    [b"", b"password\n", b"\n".join(sorted((line_of(str(n)).encode() for n in range(300)), reverse=True)), b"A" * 39],
    ids=["empty", "clear words", "ordered otherwise", "too short"],
)
def test_a_file_of_another_form_or_order_stops_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "known.txt"
    path.write_bytes(content)
    for unfit in (path, tmp_path / "missing.txt"):
        with pytest.raises(Invalid, match="no list of breached passwords"):
            assemble(Settings(data_dir=tmp_path, breached_passwords_file=unfit, _env_file=None))
