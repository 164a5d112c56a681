"""What applications read to find their way: the discovery documents and the keys that sign ID tokens."""

import asyncio
from typing import Any

from starlette.responses import JSONResponse, Response

from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call, guarded


async def discovery(call: Call) -> Response:
    """Endpoints and abilities of the authorization server (OpenID Connect Discovery, RFC 8414)."""
    return JSONResponse(document(call.gatekeeper.settings.public_url), headers={"Cache-Control": "public, max-age=300"})


async def jwks(call: Call) -> Response:
    """Public keys that sign ID tokens: the last, the present and the next."""
    # Making a key, once in 90 days, takes a tenth of a second.
    found = await asyncio.to_thread(oauth.keys.published, call.gatekeeper.settings.keys_dir)
    return JSONResponse(found, headers={"Cache-Control": "public, max-age=300"})


def document(issuer: str) -> dict[str, Any]:
    """The discovery document of the hub at `issuer`."""
    secrets = ["client_secret_basic", "client_secret_post"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "device_authorization_endpoint": f"{issuer}/oauth/device",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "service_documentation": f"{issuer}/docs",
        "scopes_supported": sorted(oauth.SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [oauth.keys.ALGORITHM],
        "token_endpoint_auth_methods_supported": [*secrets, "none"],
        "revocation_endpoint_auth_methods_supported": [*secrets, "none"],
        "introspection_endpoint_auth_methods_supported": secrets,
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "preferred_username", "profile",
            "email", "email_verified", "isPro", "canPay", "orgs",
        ],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }  # fmt: skip


ROUTES = [
    guarded("/.well-known/openid-configuration", discovery, needs=None),
    guarded("/.well-known/oauth-authorization-server", discovery, needs=None),
    guarded("/oauth/jwks", jwks, needs=None),
]
