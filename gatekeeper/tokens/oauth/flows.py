"""What each grant type of OAuth means here: Authlib's classes, answered by the verbs of this room."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant
from authlib.oauth2.rfc8628.errors import ExpiredTokenError

from gatekeeper.accounts import Person
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import new_secret
from gatekeeper.tokens.oauth import device, grants, refresh
from gatekeeper.tokens.oauth.clients import DEVICE_CODE, Client
from gatekeeper.tokens.oauth.device import DEVICE_PREFIX
from gatekeeper.tokens.oauth.handing import Introspection, Revocation
from gatekeeper.tokens.oauth.server import AUTH_METHODS, Ground, Request, Server, wait
from gatekeeper.tokens.oauth.signin import IdToken, Pkce, SignIn
from gatekeeper.tokens.oauth.tables import DeviceRequest, DeviceState, Grant


def open_server(ground: Ground) -> Server:
    """A server that knows every flow of the house. Password and implicit are not among them (RFC 9700, 2.1.2, 2.4)."""
    server = Server(ground)
    server.register_endpoint(Device)
    server.register_grant(DeviceCode)
    server.register_grant(Refresh)
    server.register_grant(ForService)
    server.register_grant(SignIn, [Pkce(required=True), IdToken()])
    server.register_endpoint(Revocation)
    server.register_endpoint(Introspection)
    return server


class Device(DeviceAuthorizationEndpoint):  # type: ignore[misc] # Authlib is not typed
    """`POST /oauth/device`."""

    CLIENT_AUTH_METHODS = AUTH_METHODS
    EXPIRES_IN = device.EXPIRES_SECONDS
    INTERVAL = device.INTERVAL_SECONDS

    def authenticate_client(self, request: Request) -> Client:
        client: Client = super().authenticate_client(request)
        if not client.check_grant_type(DEVICE_CODE):  # Authlib asks this only once tokens are fetched
            raise UnauthorizedClientError("This application does not use the device flow.")
        self._user_agent = request.headers.get("user-agent", "")
        self._client = client
        return client

    def generate_device_code(self) -> str:
        return new_secret(DEVICE_PREFIX)

    def get_verification_uri(self) -> str:
        return f"{self.server.ground.issuer}/device"

    def save_device_credential(self, client_id: str, scope: str | None, data: dict[str, Any]) -> None:
        allowed = self._client.get_allowed_scope(scope)
        if allowed is None:
            raise InvalidScopeError()
        ground: Ground = self.server.ground
        wait(
            device.begin(
                ground.session,
                self._client,
                device_code=data["device_code"],
                user_code=data["user_code"],
                scopes=scope_to_list(allowed),
                user_agent=self._user_agent,
                key=ground.key,
            )
        )


class _Credential:
    """A device's request, as Authlib asks about it."""

    def __init__(self, row: DeviceRequest, grant: Grant | None) -> None:
        self.row = row
        self.grant = grant

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_scope(self) -> str:
        return " ".join(self.grant.scopes if self.grant else self.row.scopes)

    def get_user_code(self) -> DeviceRequest:
        return self.row  # only handed on to `query_user_grant`; the code itself is not kept

    def is_expired(self) -> bool:
        return self.row.expires_at <= now() or self.row.state is DeviceState.USED


class DeviceCode(DeviceCodeGrant):  # type: ignore[misc] # Authlib is not typed
    """A program asks whether it was let in."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def query_device_credential(self, device_code: str) -> _Credential:
        ground: Ground = self.server.ground
        row = wait(device.find_by_device_code(ground.session, device_code, key=ground.key))
        if row is None:  # forgotten or made up; "start again" is the one word that every client understands
            raise ExpiredTokenError()
        return _Credential(row, wait(grants.locked(ground.session, row.grant_id)) if row.grant_id else None)

    def query_user_grant(self, row: DeviceRequest) -> tuple[Person | None, bool] | None:
        match row.state:
            case DeviceState.DENIED:
                return None, False
            case DeviceState.APPROVED:
                grant = wait(grants.locked(self.server.ground.session, row.grant_id or ""))
                person = wait(self.server.ground.session.get(Person, grant.person_id)) if grant else None
                may = person is not None and not person.is_disabled and grant is not None and grant.revoked_at is None
                return person, may
        return None

    def should_slow_down(self, credential: _Credential) -> bool:
        return wait(device.is_too_fast(self.server.ground.session, credential.row))

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        credential: _Credential = self.request.credential
        if not wait(device.use_up(self.server.ground.session, credential.row)):
            raise ExpiredTokenError()
        self.request.grant = credential.grant
        answer: tuple[int, dict[str, Any], list[tuple[str, str]]] = super().create_token_response()
        return answer


class ForService(ClientCredentialsGrant):  # type: ignore[misc] # Authlib is not typed
    """A service account of an organization gets a token for itself (RFC 6749, 4.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS[:2]

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        session = self.server.ground.session
        client: Client = self.request.client
        person = wait(session.get(Person, client.owner_id))
        if person is None:  # clients of this kind have one, or are not found
            raise UnauthorizedClientError()
        allowed = client.get_allowed_scope(self.request.payload.scope)
        if allowed is None:
            raise InvalidScopeError()
        scopes = scope_to_list(allowed)
        self.request.grant = wait(grants.open_grant(session, client, person, scopes=scopes, label=client.name))
        answer: tuple[int, dict[str, Any], list[tuple[str, str]]] = super().create_token_response()
        return answer


class _Carried:
    """A refresh token that was just used up, as Authlib asks about it."""

    def __init__(self, grant: Grant, person: Person) -> None:
        self.grant, self.person = grant, person

    def check_client(self, client: Client) -> bool:
        return self.grant.client_id == client.client_id

    def get_scope(self) -> str:
        return " ".join(self.grant.scopes)


class Refresh(RefreshTokenGrant):  # type: ignore[misc] # Authlib is not typed
    """The next access token, with a successor of the refresh token."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> _Carried:
        ground: Ground = self.server.ground
        found = wait(refresh.redeem(ground.session, refresh_token, self.request.client, key=ground.key))
        if found is None:
            raise InvalidGrantError("The refresh token is unknown, over, revoked or was used before. Log in again.")
        self.request.grant = found[0]
        return _Carried(*found)

    def authenticate_user(self, refresh_token: _Carried) -> Person:
        return refresh_token.person

    def revoke_old_credential(self, refresh_token: _Carried) -> None:
        """Used up already, in the same statement that found it good."""
