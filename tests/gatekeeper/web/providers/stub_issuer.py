"""A stand-in for providers that cannot run here: it publishes keys, answers codes, and says what a test has it say."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import RSAKey


@dataclass
class StubIssuer:
    """`codes` maps a code to the claims of its ID token; `userinfo` is what the other endpoint adds."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: new_key())  # noqa: PLW0108 - it is defined below
    published: list[RSAKey] = field(default_factory=list)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)

    def answer(self, path: str, body: dict[str, list[str]]) -> dict[str, Any]:
        """What the address answers."""
        match path:
            case "/.well-known/openid-configuration":
                names = ("authorization", "token", "userinfo")
                return {
                    "issuer": self.issuer,
                    "jwks_uri": f"{self.issuer}/keys",
                    **{f"{name}_endpoint": f"{self.issuer}/{name}" for name in names},
                }
            case "/keys":
                return {"keys": [key.as_dict(private=False) for key in self.published or [self.key]]}
            case "/token":
                return {"access_token": "a", "token_type": "Bearer", "id_token": self._id_token(body["code"][0])}
        return self.userinfo

    def _id_token(self, code: str) -> str:
        now = int(time.time())
        usual = {"iss": self.issuer, "iat": now, "exp": now + 60}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, usual | self.codes.pop(code), self.key)


def new_key() -> RSAKey:
    """A key to sign with."""
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


@contextmanager
def stub_issuer() -> Iterator[StubIssuer]:
    """A stand-in that listens on loopback."""
    stub = StubIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            content = json.dumps(stub.answer(self.path, parse_qs(self.rfile.read(length).decode()))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
