"""The ready entries against a stand-in that says what those services are documented to say."""

import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gatekeeper import accounts
from gatekeeper.accounts import Role
from gatekeeper.accounts.oidc import remote
from gatekeeper.accounts.oidc.kinds import KINDS
from gatekeeper.app import close
from tests.gatekeeper.web.providers.stub_issuer import StubIssuer, new_key, stub_issuer
from tests.gatekeeper.web.site import Site, open_site

pytestmark = pytest.mark.anyio


@dataclass
class Said:
    """What a service says of somebody, and which value is worth a role here."""

    value: str
    id_token: dict[str, Any]
    userinfo: dict[str, Any] = field(default_factory=dict)


_MAIL = {"email": "bea@corp.test", "email_verified": True}
SAID = {
    "openid": Said("staff", {"preferred_username": "bea", "groups": ["staff"], **_MAIL}),
    "keycloak": Said("staff", {"preferred_username": "bea", "groups": ["staff"], "acr": "1", **_MAIL}),
    "google": Said("corp.test", {"hd": "corp.test", "name": "Bea B.", "picture": "https://x", **_MAIL}),
    "entra": Said(
        "0b1f5e9c-group",
        {"tid": "t", "oid": "o", "preferred_username": "bea@corp.test", "groups": ["0b1f5e9c-group"]},
        {"email": "bea@corp.test", "name": "Bea B."},
    ),
    "gitlab": Said("corp/staff", {"nickname": "bea", "groups_direct": ["corp/staff"], **_MAIL}, {"groups": ["corp"]}),
    "okta": Said("Staff", {"preferred_username": "bea@corp.test", "groups": ["Everyone", "Staff"], **_MAIL}),
    "auth0": Said("staff", {"nickname": "bea", "groups": ["staff"], **_MAIL}),
    "authentik": Said("staff", {"preferred_username": "bea", "nickname": "bea", "groups": ["staff"], **_MAIL}),
    "huggingface": Said(
        "corp",
        {"preferred_username": "bea", "isPro": False},
        {"orgs": [{"sub": "1", "preferred_username": "corp", "roleInOrg": "write"}], **_MAIL},
    ),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[StubIssuer]:
    with stub_issuer() as stub:
        yield stub


@pytest.fixture
async def hub(template: Path, tmp_path: Path, issuer: StubIssuer) -> AsyncIterator[Site]:
    """A site that knows one provider of each kind; the client's id there is called like the kind."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(template, data_dir / "gatekeeper.sqlite3")
    file = tmp_path / "identity.toml"
    file.write_text(
        "".join(
            f'[{kind}]\nkind = "{kind}"\nissuer = "{issuer.issuer}"\nclient_id = "{kind}"\nadmits = "open"\n'
            f'[[{kind}.roles]]\nvalue = "{said.value}"\norganization = "lab"\nrole = "write"\n'
            for kind, said in SAID.items()
        )
    )
    site = await open_site(data_dir, identity_file=file)
    yield site
    await close(site.gatekeeper)


async def sign_in(browser: httpx2.AsyncClient, issuer: StubIssuer, kind: str) -> httpx2.Response:
    """Go to the provider, and come back with a code for what it says."""
    began = await browser.get(f"/login/with/{kind}")
    asked = parse_qs(urlsplit(began.headers["location"]).query)
    said = json.loads(json.dumps([SAID[kind].id_token, SAID[kind].userinfo]).replace("bea", f"{kind[:6]}-bea"))
    issuer.codes["code"] = {"sub": f"id of {kind}", "aud": kind, "nonce": asked["nonce"][0], **said[0]}
    issuer.userinfo = {"sub": f"id of {kind}", **said[1]}
    return await browser.get(f"/login/with/{kind}/callback", params={"code": "code", "state": asked["state"][0]})


async def test_each_ready_entry_reads_who_somebody_is_and_what_their_groups_are_worth(
    hub: Site, issuer: StubIssuer
) -> None:
    assert set(SAID) == set(KINDS)
    for kind in SAID:
        answer = await sign_in(hub.browser(), issuer, kind)
        assert answer.headers["location"] == "/", kind
        async with hub.gatekeeper.db.read() as session:
            person = await accounts.people.find(session, f"{kind[:6]}-bea")
            assert person is not None, kind
            assert person.email == f"{kind[:6]}-bea@corp.test"
            [(lab, role)] = await accounts.organizations.organizations_of(session, person.id)
            assert (lab.name, role) == ("lab", Role.WRITE), kind


async def test_a_provider_that_changes_its_keys_is_followed_and_the_old_one_is_not_believed_for_good(
    hub: Site, issuer: StubIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.monotonic()
    monkeypatch.setattr(remote.time, "monotonic", lambda: clock)
    assert (await sign_in(hub.browser(), issuer, "openid")).status_code == 303
    old, issuer.key = issuer.key, new_key()

    clock += remote.KEYS_AGAIN_SECONDS  # what is not known is asked for again, but not at once
    assert (await sign_in(hub.browser(), issuer, "openid")).status_code == 303
    issuer.published, issuer.key = [issuer.key], old
    refused = await sign_in(hub.browser(), issuer, "openid")
    issuer.key, issuer.published = issuer.published[0], []

    assert refused.status_code == 401
