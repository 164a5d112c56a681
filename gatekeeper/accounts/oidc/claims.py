"""Reading claims: what a provider says of somebody, taken as far as it can be believed."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from gatekeeper.accounts.names import check_email, check_name
from gatekeeper.accounts.oidc.providers import Admits, Provider, Rule
from gatekeeper.errors import Invalid

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_PAIRS = re.compile(r"([._-])[._-]+")


def has(claims: dict[str, Any], rule: Rule) -> bool:
    """Whether the claim is the value or a list that holds it. Letter by letter: groups that look alike are two."""
    return any(_text(value) == rule.value for value in _values(claims, rule.claim))


def email_of(claims: dict[str, Any]) -> str:
    """The address it names, if mail could be sent there; else empty."""
    try:
        return check_email(str(claims.get("email") or ""))
    except Invalid:
        return ""


def verified_email_of(claims: dict[str, Any]) -> str:
    """The address, if the provider says that it checked it."""
    return email_of(claims) if claims.get("email_verified") is True else ""


def fullname_of(claims: dict[str, Any]) -> str:
    """The name to show; empty if it cannot be shown."""
    name = claims.get("name")
    return name.strip() if isinstance(name, str) and len(name) <= 120 and name.isprintable() else ""


def label_of(claims: dict[str, Any]) -> str:
    """What the person calls themselves there, for their list of ways in."""
    for name in ("email", "preferred_username", "name"):
        value = claims.get(name)
        if isinstance(value, str) and value.isprintable() and value.strip():
            return value.strip()[:254]
    return ""


def name_of(claims: dict[str, Any]) -> str:
    """A name that the house's rules allow, made of what the provider says; empty if there is none."""
    email = email_of(claims)
    for value in (
        claims.get("preferred_username"),
        claims.get("nickname"),
        email.partition("@")[0],
        claims.get("name"),
    ):
        if not isinstance(value, str):
            continue
        plain = unicodedata.normalize("NFKD", value.partition("@")[0]).encode("ascii", "ignore").decode()
        proposed = _PAIRS.sub(r"\1", _OTHER.sub("-", plain)).strip("._-")[:39].strip("._-")
        try:
            return check_name(proposed)
        except Invalid:
            continue
    return ""


def is_listed(provider: Provider, claims: dict[str, Any]) -> bool:
    """Whether a provider that admits listed people lists this one: by a checked address's domain, or by a claim."""
    domain = verified_email_of(claims).rpartition("@")[2].lower()
    return provider.admits is Admits.LISTED and (
        (bool(domain) and domain in {each.lower() for each in provider.domains})
        or any(has(claims, rule) for rule in provider.allowed)
    )


def _values(claims: dict[str, Any], path: str) -> Iterator[Any]:
    """The values behind a claim: itself by its whole name, or a path through objects and lists."""
    found: list[Any] = [claims[path]] if path in claims else [claims]
    if path not in claims:
        for step in path.split("."):
            found = [each[step] for each in _flat(found) if isinstance(each, dict) and step in each]
    yield from _flat(found)


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
    return None
