"""Revocation (RFC 7009) and introspection (RFC 7662), as Authlib's classes: for an application's own tokens."""

from typing import Any

from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from gatekeeper.accounts import Person
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.grants import Held
from gatekeeper.tokens.oauth.server import AUTH_METHODS, Ground, Request, wait


class _Token:
    """A live token, as Authlib asks about it."""

    def __init__(self, found: Held) -> None:
        self.found = found

    def check_client(self, client: Client) -> bool:
        return self.found.grant.client_id == client.client_id

    def is_expired(self) -> bool:
        return False  # `grants.held` finds no other

    def is_revoked(self) -> bool:
        return False


def _query(ground: Ground, secret: str) -> _Token | None:
    found = wait(grants.held(ground.session, secret, key=ground.key))
    return _Token(found) if found else None


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib is not typed
    """`POST /oauth/revoke`."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Token | None:
        return _query(self.server.ground, token_string)

    def revoke_token(self, token: _Token, request: Request) -> None:
        wait(grants.hand_back(self.server.ground.session, token.found))


class Introspection(IntrospectionEndpoint):  # type: ignore[misc] # Authlib is not typed
    """`POST /oauth/introspect`: for applications that keep a secret."""

    CLIENT_AUTH_METHODS = AUTH_METHODS[:2]

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Token | None:
        return _query(self.server.ground, token_string)

    def check_permission(self, token: _Token, client: Client, request: Request) -> bool:
        return token.check_client(client)

    def introspect_token(self, token: _Token) -> dict[str, Any]:
        ground: Ground = self.server.ground
        found = token.found
        person = wait(ground.session.get(Person, found.grant.person_id))
        if person is None or person.is_disabled:
            return {"active": False}
        return {
            "active": True,
            "client_id": found.grant.client_id,
            "token_type": "Bearer" if found.token else "refresh_token",
            "username": person.name,
            "scope": " ".join(found.grant.scopes),
            "sub": person.id,
            "iss": ground.issuer,
            "iat": int(found.issued_at.timestamp()),
            "exp": int(found.expires_at.timestamp()),
        }
