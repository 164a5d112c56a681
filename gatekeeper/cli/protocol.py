"""The HTTP protocol of the server, with a bound on what comes before a body."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 128 * 2**10  # bytes of request line and headers; real clients stay below 16 KiB


class BoundedHead(HttpToolsProtocol):
    """uvicorn's parser keeps headers of any length in memory, whoever sends them; this refuses them with 400."""

    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless all of this and more before it were headers without an end."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What follows is the body, which has limits of its own."""
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()
