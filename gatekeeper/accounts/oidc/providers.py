"""Providers that people may sign in through, as an operator configured them: one by settings, several by a file."""

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from gatekeeper.accounts.oidc.kinds import KINDS, Kind
from gatekeeper.accounts.tables import Role
from gatekeeper.settings import Settings

SINGLE = "sso"  # name of the provider that the settings alone describe
_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_SECRETS = 10_000


class Admits(StrEnum):
    """Who gets an account at a first sign-in. People who have one, linked, always come in."""

    OPEN = "open"
    INVITED = "invited"
    LISTED = "listed"
    NOBODY = "nobody"


class Rule(BaseModel):
    """A claim that has, or holds, a value. `claim` may be a path: `realm_access.roles`, `orgs.preferred_username`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = ""
    value: str = Field(min_length=1)


class RoleRule(Rule):
    """What a claim is worth here: a role in an organization of this hub."""

    organization: str = Field(min_length=1)
    role: Role


class Provider(BaseModel):
    """One provider. What is left out comes from its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str = "openid"
    issuer: str = ""
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    title: str = Field("", max_length=40)
    scopes: tuple[str, ...] = ()
    admits: Admits = Admits.INVITED
    domains: tuple[str, ...] = ()
    allowed: tuple[Rule, ...] = ()
    has_second_factor: bool = False
    second_factor_acr: tuple[str, ...] = ()
    roles: tuple[RoleRule, ...] = ()
    administrators: Rule | None = None

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a provider's name is made of a to z, 0 to 9 and -, and starts with a letter")
        return value

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _from_kind(cls, data: Any) -> Any:
        """What the kind knows; rules without a claim are about the groups."""
        kind = KINDS.get(data.get("kind", "openid"))
        if kind is None:
            return data
        filled = {"issuer": kind.issuer, "title": kind.title, "scopes": kind.scopes} | {
            key: value for key, value in data.items() if value not in ("", ())
        }
        for name in ("allowed", "roles"):
            if isinstance(filled.get(name), list | tuple):
                filled[name] = [_with_claim(rule, kind) for rule in filled[name]]
        if filled.get("administrators") is not None:
            filled["administrators"] = _with_claim(filled["administrators"], kind)
        return filled

    @model_validator(mode="after")
    def _enforceable(self) -> Self:
        if not is_safe_address(self.issuer):
            raise ValueError(
                f"issuer must be an https address without query, as in {KINDS[self.kind].issuer_hint} "
                "(http is for loopback only)"
            )
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        if (self.domains or self.allowed) and self.admits is not Admits.LISTED:
            raise ValueError('domains and allowed are for admits = "listed"')
        if self.admits is Admits.LISTED and not (self.domains or self.allowed):
            raise ValueError('admits = "listed" needs domains or allowed')
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("give client_secret or client_secret_file, not both")
        return self

    @property
    def about(self) -> Kind:
        """What is known of its kind."""
        return KINDS[self.kind]

    @property
    def path(self) -> str:
        """Where its sign-in begins here; the addresses to register with it are below."""
        return f"/login/with/{self.name}"

    def secret(self) -> str | None:
        """The client's secret, None for a public client."""
        return self.client_secret.get_secret_value() if self.client_secret else None


class BadProvider(ValueError):
    """The configuration cannot be used. The text names the provider and the field, never a secret."""


def configured(settings: Settings) -> tuple[Provider, ...]:
    """The providers of these settings, in their order. Raises BadProvider."""
    found = []
    if settings.oidc_client_id:
        found.append(
            _provider(
                SINGLE,
                {
                    "kind": settings.oidc_kind,
                    "issuer": settings.oidc_issuer,
                    "client_id": settings.oidc_client_id,
                    "client_secret": settings.oidc_client_secret,
                    "admits": settings.oidc_admits,
                },
            )
        )
    if settings.identity_file is not None:
        try:
            entries = tomllib.loads(settings.identity_file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadProvider(f"{settings.identity_file} cannot be read as TOML: {type(error).__name__}") from None
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                raise BadProvider(f"{settings.identity_file}: {name} must be a table, as in [{name}]")
            found.append(_provider(name, entry))
    for what, values in (
        ("name", [provider.name for provider in found]),
        ("issuer and client", [(provider.issuer, provider.client_id) for provider in found]),
    ):
        if len(set(values)) != len(values):
            raise BadProvider(f"two providers have the same {what}")
    return tuple(found)


def is_safe_address(address: str) -> bool:
    """Whether secrets may be sent there: https, or http on this machine; no user in it, no query."""
    parts = urlsplit(address)
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(
        (parts.scheme == "https" or (parts.scheme == "http" and is_local))
        and parts.hostname
        and not parts.username
        and not parts.query
        and not parts.fragment
    )


def _with_claim(rule: Any, kind: Kind) -> Any:
    return {"claim": kind.groups_claim} | rule if isinstance(rule, dict) else rule


def _provider(name: str, entry: dict[str, Any]) -> Provider:
    try:
        provider = Provider.model_validate({**entry, "name": name})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
        raise BadProvider(f"identity provider {name}: {problems}") from None
    if provider.client_secret_file is None:
        return provider
    try:
        secret = provider.client_secret_file.read_text("utf-8")[:_SECRETS].strip()
    except (OSError, ValueError):
        raise BadProvider(f"identity provider {name}: {provider.client_secret_file} cannot be read") from None
    if not secret:
        raise BadProvider(f"identity provider {name}: {provider.client_secret_file} is empty")
    return provider.model_copy(update={"client_secret": SecretStr(secret), "client_secret_file": None})
