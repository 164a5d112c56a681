"""Bytes that no client library would send."""

import pytest

from tests.wire.server import Hub

HEAD = b"GET /healthz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"


def status(answer: bytes) -> bytes:
    return answer.split(b"\r\n", 1)[0]


def test_headers_without_an_end_are_cut_off(hub: Hub) -> None:
    assert b" 200 " in status(hub.raw(HEAD + b"X-A: " + b"a" * 30_000 + b"\r\n\r\n"))
    try:
        answer = hub.raw(HEAD + b"X-A: " + b"a" * 4_000_000)
    except ConnectionError:  # it hung up while we were still sending
        return
    assert b" 400 " in status(answer)


@pytest.mark.parametrize(
    "request_line",
    [b"GET /%00 HTTP/1.1", b"GET /%ff HTTP/1.1", b"GET /a/b/resolve/%c0%ae/x HTTP/1.1", b"TRACE / HTTP/1.1"],
)
def test_an_address_that_cannot_be_meant_is_refused(hub: Hub, request_line: bytes) -> None:
    answer = hub.raw(request_line + b"\r\nHost: [\r\nConnection: close\r\nAccept: text/html\r\n\r\n")
    assert status(answer).split()[1] in (b"400", b"401", b"404", b"405")


def test_an_upgrade_to_another_protocol_is_not_taken(hub: Hub) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    answer = hub.raw(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n" + upgrade + b"Connection: close\r\n\r\n")
    assert b" 101 " not in status(answer)
