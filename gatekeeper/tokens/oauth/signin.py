"""Signing in to a site with this hub: the authorization code grant, PKCE and the ID token, as Authlib's classes."""

from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from joserfc.jwk import RSAKey

from gatekeeper.accounts import Person
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import new_secret
from gatekeeper.tokens.oauth import codes, keys
from gatekeeper.tokens.oauth.claims import claims_of
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.codes import CODE_PREFIX
from gatekeeper.tokens.oauth.server import AUTH_METHODS, Ground, Request, wait
from gatekeeper.tokens.oauth.tables import Code

_METHOD = "S256"


class _Redeemed:
    """A code that was just used up, as Authlib asks about it."""

    def __init__(self, row: Code) -> None:
        self.row = row
        self.code_challenge = row.challenge
        self.code_challenge_method = _METHOD if row.challenge else None

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.row.scopes)

    def get_nonce(self) -> str | None:
        return self.row.nonce

    def get_auth_time(self) -> int:
        return int(self.row.signed_in_at.timestamp())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class SignIn(AuthorizationCodeGrant):  # type: ignore[misc] # Authlib is not typed
    """A code for a person's consent, and tokens for the code."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def generate_authorization_code(self) -> str:
        return new_secret(CODE_PREFIX)

    def save_authorization_code(self, code: str, request: Request) -> None:
        ground: Ground = self.server.ground
        sent = request.payload.data
        signed_in_at: datetime = request.signed_in_at or now()
        wait(
            codes.keep(
                ground.session,
                request.client,
                request.user,
                code=code,
                redirect_uri=sent["redirect_uri"],
                scopes=scope_to_list(request.scope),
                nonce=sent.get("nonce") or None,
                challenge=sent.get("code_challenge") or None,
                signed_in_at=signed_in_at,
                key=ground.key,
            )
        )

    def query_authorization_code(self, code: str, client: Client) -> _Redeemed | None:
        row = wait(codes.redeem(self.server.ground.session, code, client, key=self.server.ground.key))
        return _Redeemed(row) if row else None

    def authenticate_user(self, authorization_code: _Redeemed) -> Person | None:
        opened = wait(codes.open_grant(self.server.ground.session, authorization_code.row, self.request.client))
        if opened is None:
            return None
        self.request.grant, person = opened
        return person

    def generate_token(self, *, scope: str, include_refresh_token: bool = True, **more: Any) -> dict[str, Any]:
        keeps = include_refresh_token and "offline_access" in scope_to_list(scope)
        token: dict[str, Any] = super().generate_token(scope=scope, include_refresh_token=keeps, **more)
        return token

    def delete_authorization_code(self, authorization_code: _Redeemed) -> None:
        """Used up already, and kept: whoever shows it again has stolen it."""


class Pkce(CodeChallenge):  # type: ignore[misc] # Authlib is not typed
    """S256 for everybody (RFC 9700, 2.1.1).

    The one exception is an application that was registered so, because its library cannot do better: it must keep a
    secret, and the nonce in the ID token then binds the code to its browser.
    """

    DEFAULT_CODE_CHALLENGE_METHOD = _METHOD
    SUPPORTED_CODE_CHALLENGE_METHOD = (_METHOD,)

    def validate_code_challenge(self, grant: SignIn, redirect_uri: str) -> None:
        sent = grant.request.payload.data
        challenge, method = sent.get("code_challenge"), sent.get("code_challenge_method")
        client: Client = grant.request.client
        if not challenge and (client.needs_pkce or method):
            raise InvalidRequestError("PKCE is required here: send code_challenge and code_challenge_method=S256.")
        if challenge and method != _METHOD:  # left out, it would mean `plain`
            raise InvalidRequestError("The code_challenge_method must be S256.")
        if not challenge and not (sent.get("nonce") and "openid" in scope_to_list(sent.get("scope") or "")):
            raise InvalidRequestError("Without PKCE, the scope openid and a nonce are required.")
        if len(sent.get("nonce") or "") > 200 or len(sent["redirect_uri"]) > 500:
            raise InvalidRequestError("The nonce is too long.")
        super().validate_code_challenge(grant, redirect_uri)


class IdToken(OpenIDCode):  # type: ignore[misc] # Authlib is not typed
    """The signed statement of who signed in, for one application."""

    _ground: Ground

    def __call__(self, grant: SignIn) -> None:
        self._ground = grant.server.ground
        super().__call__(grant)

    def exists_nonce(self, nonce: str, request: Request) -> bool:
        return False  # it is the application that must see each nonce once; here codes are used once

    def get_client_algorithm(self, client: Client) -> str:
        return keys.ALGORITHM

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": keys.ALGORITHM, "typ": "JWT", "kid": self.resolve_client_private_key(client).kid or ""}

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return keys.signing_key(self._ground.keys_dir)

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self._ground.issuer, "aud": client.client_id}

    def generate_user_info(self, user: Person, scope: str) -> dict[str, Any]:
        return wait(claims_of(self._ground.session, user, scope_to_list(scope), issuer=self._ground.issuer))
