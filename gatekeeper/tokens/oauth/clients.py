"""Applications, as values that Authlib can ask: those of the house, and those that people registered."""

import hmac
from dataclasses import dataclass, field

import sqlalchemy as sa
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.util import scope_to_list
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Person
from gatekeeper.kit.secrets import keyed_hash
from gatekeeper.tokens.oauth.tables import Application
from gatekeeper.tokens.scopes import Scope
from gatekeeper.tokens.tables import ServiceAccount

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH = "refresh_token"
CODE = "authorization_code"
CLIENT_CREDENTIALS = "client_credentials"

# What an application may know of a person; the house's own scopes say what it may do.
IDENTITY = ("openid", "profile", "email", "offline_access")
SCOPES = frozenset((*IDENTITY, *(scope.value for scope in Scope)))

# The id that every copy of the public client sends unless it is told another (huggingface_hub, constants.py).
HUB_CLI_ID = "26be6b09-91c5-47da-9861-d2d2bb7a7e36"


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc] # Authlib is not typed
    """An application. Public ones (no `secret_hash`) prove nothing about themselves.

    scopes          the most it may ask for
    default_scopes  what it gets where it names none
    key             key of the hashes in the database
    """

    client_id: str
    name: str
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...]
    grant_types: frozenset[str]
    redirect_uris: tuple[str, ...] = ()
    secret_hash: str | None = None
    owner_id: str | None = None
    needs_pkce: bool = True
    is_built_in: bool = False
    key: bytes = field(default=b"", repr=False)

    @property
    def is_public(self) -> bool:
        """Whether it has no secret."""
        return self.secret_hash is None

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        return None  # RFC 9700 2.1: the address is always named and always compared

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The scopes in force for those asked for; None refuses (Authlib answers `invalid_scope`)."""
        if not scope:
            return " ".join(self.default_scopes)
        asked = scope_to_list(scope)
        return " ".join(dict.fromkeys(asked)) if set(asked) <= set(self.scopes) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris  # exactly: no prefix, no other port, no trailing slash

    def check_client_secret(self, client_secret: str) -> bool:
        given = keyed_hash(self.key, client_secret)
        return self.secret_hash is not None and hmac.compare_digest(given, self.secret_hash)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method == "none") is self.is_public

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and bool(self.redirect_uris)

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


_HUB_SCOPES = (Scope.READ.value, Scope.DOWNLOAD.value, Scope.GENERATE.value, Scope.WRITE.value)

BUILT_IN = {
    HUB_CLI_ID: Client(
        client_id=HUB_CLI_ID,
        name="The hf command",
        scopes=(*_HUB_SCOPES, Scope.REVIEW.value, Scope.ADMIN.value),
        default_scopes=_HUB_SCOPES,
        grant_types=frozenset({DEVICE_CODE, REFRESH}),
        is_built_in=True,
    )
}


async def find(session: AsyncSession, client_id: str, *, key: bytes) -> Client | None:
    """The application with this id, unless it was removed or its owner disabled."""
    if client_id in BUILT_IN:
        return BUILT_IN[client_id]
    if (service := await _service(session, client_id, key)) is not None:
        return service
    row = (
        await session.execute(
            sa.select(Application, col(Person.is_disabled))
            .join(Person, col(Person.id) == col(Application.owner_id))
            .where(col(Application.id) == client_id, col(Application.removed_at).is_(None))
        )
    ).first()
    if row is None or row[1]:
        return None
    application = row[0]
    keeps = {CODE, REFRESH} if "offline_access" in application.scopes else {CODE}
    return Client(
        client_id=application.id,
        name=application.name,
        scopes=tuple(application.scopes),
        default_scopes=tuple(scope for scope in ("openid", "profile") if scope in application.scopes),
        grant_types=frozenset(keeps),
        redirect_uris=tuple(application.redirect_uris),
        secret_hash=application.secret_hash,
        owner_id=application.owner_id,
        needs_pkce=application.needs_pkce,
        key=key,
    )


async def _service(session: AsyncSession, client_id: str, key: bytes) -> Client | None:
    """A service account with a secret: the one kind of client that acts for itself."""
    account = await session.get(ServiceAccount, client_id)
    person = await session.get(Person, client_id) if account is not None else None
    if account is None or person is None or person.is_disabled or account.removed_at or account.secret_hash is None:
        return None
    return Client(
        client_id=client_id,
        name=person.name,
        scopes=tuple(account.scopes),
        default_scopes=tuple(account.scopes),
        grant_types=frozenset({CLIENT_CREDENTIALS}),
        secret_hash=account.secret_hash,
        owner_id=person.id,
        key=key,
    )
