"""The authorization server: Authlib's protocol machinery over this room's verbs.

Authlib knows the forms of OAuth (which parameter, which error, which status) and is synchronous; the verbs know what is
true and are not. One `Server` is made per request. It runs inside the request's own transaction, in SQLAlchemy's
greenlet, where `wait` may await a verb. A refusal is an answer, not an exception: what was written on the way to it (a
family revoked because its token was used twice) is committed with it.
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749.requests import OAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import await_only

from gatekeeper.kit.secrets import new_secret
from gatekeeper.tokens.issue import PREFIX
from gatekeeper.tokens.oauth import clients, grants
from gatekeeper.tokens.oauth.clients import SCOPES, Client
from gatekeeper.tokens.oauth.grants import REFRESH_PREFIX
from gatekeeper.tokens.oauth.tables import Grant

# Above 24 hours: the public client renews what has less left, in every process, before every command.
ACCESS_SECONDS = 72 * 3600
AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
SERVICE_SECONDS = 3600  # they have their secret at hand
SITE_SECONDS = 8 * 3600  # sites renew when they have to, as on the public hub

# Authlib writes whole tokens into its log at DEBUG; no level that an operator sets for others may bring them out.
logging.getLogger("authlib").setLevel(logging.WARNING)

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A request as a door read it.

    uri    under the configured public address, never made from the Host header
    query  and form: every name and value in order, repetitions included
    """

    method: str
    uri: str
    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """What a door is to send. `body` becomes JSON unless it is text."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Ground:
    """What the server stands on during one request.

    issuer    the public address
    max_days  the longest that any token may live
    key       key of the hashes in the database
    keys_dir  where the keys that sign ID tokens lie
    """

    session: AsyncSession
    issuer: str
    max_days: int
    key: bytes
    keys_dir: Path


class Request(OAuth2Request):  # type: ignore[misc] # Authlib is not typed
    """Authlib's request, and the grant that its tokens will belong to."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked.method, asked.uri, headers=asked.headers)
        self._args, self._form = dict(asked.query), dict(asked.form)
        self.payload = _Payload(asked)
        self.grant: Grant | None = None
        self.signed_in_at: datetime | None = None

    @property
    def args(self) -> dict[str, str]:
        return self._args

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Payload(OAuth2Payload):  # type: ignore[misc] # Authlib is not typed
    def __init__(self, asked: Asked) -> None:
        # A secret in an address lands in logs and histories: what is posted is read from the body alone.
        pairs = asked.form if asked.method == "POST" else asked.query
        self._data = dict(pairs)
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class Server(AuthorizationServer):  # type: ignore[misc] # Authlib is not typed
    """Authlib's server on this house's ground."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.ground = ground
        self.register_token_generator(
            "default",
            BearerTokenGenerator(lambda **_: new_secret(PREFIX), lambda **_: new_secret(REFRESH_PREFIX), self._seconds),
        )

    def _seconds(self, client: Client, _grant_type: str) -> int:
        if clients.CLIENT_CREDENTIALS in client.grant_types:
            return SERVICE_SECONDS
        return min(ACCESS_SECONDS if client.is_built_in else SITE_SECONDS, self.ground.max_days * 86_400)

    async def run(self, work: Callable[[], T]) -> T | Answer:
        """Do Authlib's synchronous `work` in the session's greenlet, where `wait` may await."""
        try:
            return await self.ground.session.run_sync(lambda _: work())
        except OAuth2Error as error:  # raised before Authlib was ready to answer: plain http, for one
            return self.handle_response(*error())

    async def token(self, asked: Asked) -> Answer:
        """The token endpoint's answer (RFC 6749, 3.2)."""
        if refusal := odd_form(asked):
            return refusal
        return await self.run(lambda: self._answered(self.create_token_response(asked)))

    async def endpoint(self, name: str, asked: Asked) -> Answer:
        """The answer of an endpoint that was registered under `name`."""
        if refusal := odd_form(asked):
            return refusal
        return await self.run(lambda: self._answered(self.create_endpoint_response(name, asked)))

    def query_client(self, client_id: str) -> Client | None:
        return wait(clients.find(self.ground.session, client_id, key=self.ground.key))

    def save_token(self, token: dict[str, Any], request: Request) -> None:
        if request.grant is None:
            raise RuntimeError("tokens belong to a grant")
        wait(
            grants.keep_tokens(
                self.ground.session,
                request.grant,
                access=token["access_token"],
                refresh=token.get("refresh_token"),
                scopes=token.get("scope", "").split(),
                seconds=token["expires_in"],
                max_days=self.ground.max_days,
                key=self.ground.key,
            )
        )

    def create_oauth2_request(self, request: Asked | Request) -> Request:
        return request if isinstance(request, Request) else Request(request)

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        return Answer(status, body, dict(headers))

    @staticmethod
    def _answered(answer: Answer) -> Answer:
        return answer

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens: verbs record their own evidence."""


def wait(verb: Awaitable[T]) -> T:
    """The result of an asynchronous verb, for Authlib's synchronous hooks. Only inside `Server.run`."""
    return await_only(verb)


def odd_form(asked: Asked) -> Answer | None:
    """Refuse what two readers could understand differently: a name sent twice, parameters in the address."""
    names = [name for name, _ in asked.form]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is None and not asked.query:
        return None
    said = "A parameter was sent twice." if twice else "Parameters belong into the body, never into the address."
    body = {"error": "invalid_request", "error_description": said}
    return Answer(400, body, {"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"})
