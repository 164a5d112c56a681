import pytest

from gatekeeper.web.hub.ranges import Wanted, wanted

ETAG = b'"abc"'


def ask(*headers: tuple[bytes, bytes], method: str = "GET", size: int = 100) -> Wanted:
    return wanted(headers, method=method, etag=ETAG, size=size)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (b"bytes=0-9", Wanted(206, 0, 10)),
        (b"bytes=90-", Wanted(206, 90, 100)),
        (b"bytes=-5", Wanted(206, 95, 100)),
        (b"bytes=-500", Wanted(206, 0, 100)),
        (b"bytes=50-5000", Wanted(206, 50, 100)),
        (b"BYTES = 0-0", Wanted(206, 0, 1)),
        (b"bytes=100-", Wanted(416)),
        (b"bytes=-0", Wanted(416)),
        (b"bytes=200-300,400-", Wanted(416)),
        (b"bytes=0-1,5-6", Wanted(200, 0, 100)),
        (b"bytes=5-1", Wanted(200, 0, 100)),
        (b"bytes=a-b", Wanted(200, 0, 100)),
        (b"bytes=", Wanted(200, 0, 100)),
        (b"items=0-1", Wanted(200, 0, 100)),
        (b"bytes=" + b"0-1," * 100, Wanted(200, 0, 100)),
        (b"bytes=0-99999999999999999999999", Wanted(200, 0, 100)),
    ],
    ids=lambda value: value.decode()[:30] if isinstance(value, bytes) else "",
)
def test_a_range_is_answered_as_the_rfc_says(value: bytes, answer: Wanted) -> None:
    assert ask((b"range", value)) == answer


def test_an_empty_file_satisfies_no_range() -> None:
    assert ask((b"range", b"bytes=0-"), size=0) == Wanted(416)


def test_head_ignores_ranges() -> None:
    assert ask((b"range", b"bytes=0-9"), method="HEAD") == Wanted(200, 0, 100)


def test_if_range_of_another_version_sends_everything() -> None:
    assert ask((b"range", b"bytes=0-9"), (b"if-range", b'"other"')) == Wanted(200, 0, 100)
    assert ask((b"range", b"bytes=0-9"), (b"if-range", b'W/"abc"')) == Wanted(200, 0, 100)
    assert ask((b"range", b"bytes=0-9"), (b"if-range", ETAG)) == Wanted(206, 0, 10)


@pytest.mark.parametrize("value", [b'"abc"', b'W/"abc"', b"*", b'"x", "abc"'])
def test_a_known_version_is_not_sent_again(value: bytes) -> None:
    assert ask((b"if-none-match", value)) == Wanted(304)


def test_if_match_of_another_version_fails_before_anything_is_sent() -> None:
    assert ask((b"if-match", b'"other"')) == Wanted(412)
    assert ask((b"if-match", b'W/"abc"')) == Wanted(412)
    assert ask((b"if-match", ETAG)) == Wanted(200, 0, 100)
