from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gatekeeper.accounts.oidc import Admits, BadProvider, claims, configured
from gatekeeper.accounts.oidc.kinds import KINDS
from gatekeeper.accounts.oidc.providers import Rule
from gatekeeper.settings import Settings

GOOD = '[staff]\nkind = "keycloak"\nissuer = "https://sso.example.org/realms/staff"\nclient_id = "hub"\n'


def settings(**more: Any) -> Settings:
    return Settings(_env_file=None, **more)


def from_file(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "identity.toml"
    file.write_text(text)
    return settings(identity_file=file)


def test_five_settings_make_a_provider() -> None:
    (provider,) = configured(
        settings(
            oidc_kind="keycloak",
            oidc_issuer="https://sso.example.org/realms/staff",
            oidc_client_id="hub",
            oidc_client_secret="secret",
            oidc_admits="open",
        )
    )

    assert (provider.title, provider.admits, provider.secret()) == ("Keycloak", Admits.OPEN, "secret")
    assert "secret" not in repr(provider).replace("client_secret", "")


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.issuer])
def test_providers_that_there_is_one_of_need_no_issuer(kind: str) -> None:
    (provider,) = configured(settings(oidc_kind=kind, oidc_client_id="hub"))

    assert provider.issuer == KINDS[kind].issuer


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("https:", "http:"),
        GOOD.replace("https://", "https://user@"),
        GOOD.replace("/staff", "/staff?x=1"),
        GOOD.replace("keycloak", "nobody-knows"),
        GOOD.replace('client_id = "hub"', ""),
        GOOD.replace("[staff]", "['../staff']"),
        GOOD + 'admits = "listed"\n',
        GOOD + 'domains = ["example.org"]\n',
        GOOD + 'secret = "misspelled"\n',
        GOOD + 'client_secret_file = "/nowhere/at/all"\n',
        GOOD + '[[staff.roles]]\nvalue = "x"\norganization = "lab"\nrole = "king"\n',
        GOOD + GOOD.replace("[staff]", "[again]"),
        "staff = 1",
        "[staff",
    ],
)
def test_what_cannot_be_enforced_is_refused_at_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadProvider):
        configured(from_file(tmp_path, text))


def test_a_refusal_never_repeats_a_secret(tmp_path: Path) -> None:
    with pytest.raises(BadProvider) as refusal:
        configured(from_file(tmp_path, GOOD + 'client_secret = "hunter2"\nscopes = ["profile"]\n'))

    assert "hunter2" not in str(refusal.value)


def test_passwords_can_be_switched_off_only_where_there_is_a_provider() -> None:
    with pytest.raises(ValidationError):
        settings(local_sign_in=False)
    assert not settings(local_sign_in=False, oidc_kind="google", oidc_client_id="hub").local_sign_in


def test_listed_people_are_those_of_a_checked_domain_or_of_a_group(tmp_path: Path) -> None:
    listed = 'admits = "listed"\ndomains = ["example.org"]\nallowed = [{ value = "staff" }]\n'
    (provider,) = configured(from_file(tmp_path, GOOD + listed))

    assert claims.is_listed(provider, {"email": "a@Example.org", "email_verified": True})
    assert claims.is_listed(provider, {"groups": ["staff"]})
    assert not claims.is_listed(provider, {"email": "a@example.org"})
    assert not claims.is_listed(provider, {"email": "a@example.org", "email_verified": "true"})
    assert not claims.is_listed(provider, {"email": "a@example.org.evil.test", "email_verified": True})
    assert not claims.is_listed(provider, {"groups": "staff2"})


@pytest.mark.parametrize(
    ("found", "path"),
    [
        ({"groups": ["a", "x"]}, "groups"),
        ({"groups": "x"}, "groups"),
        ({"realm_access": {"roles": ["x"]}}, "realm_access.roles"),
        ({"orgs": [{"preferred_username": "x"}, {"preferred_username": "y"}]}, "orgs.preferred_username"),
        ({"https://example.org/groups": ["x"]}, "https://example.org/groups"),
    ],
)
def test_a_rule_finds_its_value_in_lists_paths_and_names_with_dots(found: dict[str, Any], path: str) -> None:
    assert claims.has(found, Rule(claim=path, value="x"))
    assert not claims.has(found, Rule(claim=path, value="X"))
    assert not claims.has({}, Rule(claim=path, value="x"))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"preferred_username": "ada"}, "ada"),
        ({"preferred_username": "Åsa Öberg"}, "Asa-Oberg"),
        ({"preferred_username": "ada@example.org"}, "ada"),
        ({"preferred_username": "admin", "email": "grace@example.org"}, "grace"),
        ({"preferred_username": "../../etc", "name": "x"}, "etc"),
        ({"preferred_username": "<script>"}, "script"),
        ({"preferred_username": 7, "name": "日本"}, ""),
        ({}, ""),
    ],
)
def test_a_proposed_name_is_one_that_the_house_allows(said: dict[str, Any], name: str) -> None:
    assert claims.name_of(said) == name
