"""Ready entries: what is known of the usual providers, so that an operator writes the issuer and a client only.

GitHub's sign-in for people is OAuth without OpenID (no discovery, no ID token), so it has no entry.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a provider's entry takes from its kind, unless it says otherwise.

    issuer         where there is only one
    issuer_hint    how its issuer looks, for messages and documentation
    groups_claim   where it names groups, for rules that name no claim
    is_fresh_told  it sends `auth_time` when asked for a fresh sign-in; where not, asking is all that can be done
    fresh_prompt   what to ask for to have somebody sign in again
    """

    title: str
    issuer: str = ""
    issuer_hint: str = "https://sso.example.org"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    is_fresh_told: bool = True
    fresh_prompt: str = "login"


KINDS: dict[str, Kind] = {
    "openid": Kind("Single sign-on"),
    "keycloak": Kind("Keycloak", issuer_hint="https://sso.example.org/realms/REALM"),
    "google": Kind(
        "Google",
        issuer="https://accounts.google.com",
        groups_claim="hd",
        is_fresh_told=False,
        fresh_prompt="select_account",
    ),
    "entra": Kind("Microsoft", issuer_hint="https://login.microsoftonline.com/TENANT-ID/v2.0", is_fresh_told=False),
    "gitlab": Kind("GitLab", issuer_hint="https://gitlab.com", groups_claim="groups_direct"),
    "okta": Kind("Okta", issuer_hint="https://COMPANY.okta.com", scopes=("openid", "profile", "email", "groups")),
    "auth0": Kind("Auth0", issuer_hint="https://TENANT.eu.auth0.com/"),
    "authentik": Kind("authentik", issuer_hint="https://sso.example.org/application/o/SLUG/"),
    "huggingface": Kind(
        "Hugging Face",
        issuer="https://huggingface.co",
        groups_claim="orgs.preferred_username",
        is_fresh_told=False,
    ),
}
