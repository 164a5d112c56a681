"""A running server as the tests see it."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi


@dataclass(frozen=True)
class Hub:
    """A running server. `tokens` maps a person's name to the secret of a token that may do all they may.

    public_port  where a proxy before it listens, if there is one
    """

    url: str
    port: int
    data_dir: Path
    pid: int
    tokens: dict[str, str]
    public_port: int | None = None

    def api(self, person: str | None) -> HfApi:
        """The public client, signed in as somebody or as nobody."""
        return HfApi(endpoint=self.url, token=self.tokens[person] if person else False)

    def http(self, person: str | None = None, **options: Any) -> httpx2.Client:
        """A plain HTTP client, for what the public client cannot send."""
        headers = {"Authorization": f"Bearer {self.tokens[person]}"} if person else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, **options)

    def raw(self, request: bytes) -> bytes:
        """The answer to bytes that no client library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer
