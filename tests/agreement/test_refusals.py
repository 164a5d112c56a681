"""Credentials that are none, orders outside their limits, and two who decide at once."""

import asyncio
import base64

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access
from gatekeeper.ledger import LedgerEvent
from tests.agreement.hub import Hub
from tests.gatekeeper.licensing.builders import make_person, make_repo

_ORDER = {"prompt": "an apple", "steps": 4, "images": 1, "seed": 1, "width": 64, "height": 64, "guidance_scale": 2.0}


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "credential",
    [
        "Bearer",
        "Bearer ",
        "Bearer gk_",
        "Bearer hf_" + "a" * 34,
        "Bearer gk_" + "a" * 100_000,
        "Bearer \u00e9\u00e8".encode("latin-1").decode("latin-1"),
        "Basic",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Digest x",
        "gk_without_scheme",
    ],
    ids=lambda value: repr(value[:14]),
)
def test_a_malformed_token_is_called_wrong(hub: Hub, credential: str) -> None:
    for address in ("/api/models/ada/gated", "/ada/gated/resolve/main/README.md", "/api/whoami-v2"):
        answer = hub.ask("GET", address, {"Authorization": credential.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code == 401, credential[:40]
        assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"
        assert answer.json()["next_step"]


def test_a_token_with_a_wrong_sign_is_unknown(hub: Hub, ada: dict[str, dict[str, str]]) -> None:
    secret = ada["token"]["Authorization"]
    for changed in (secret[:-1] + ("a" if secret[-1] != "a" else "b"), secret.upper(), secret + "a", secret[:-1]):
        assert hub.ask("GET", "/api/whoami-v2", {"Authorization": changed}).status_code == 401


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("steps", 10_000), ("steps", True), ("steps", 4.5), ("images", 0), ("images", 1000),
        ("width", 65), ("height", -8), ("width", 2**40), ("seed", -1), ("seed", 2**70), ("seed", 1e308),
        ("guidance_scale", -1), ("guidance_scale", 1e308), ("guidance_scale", True), ("prompt", "x" * 10_000),
        ("prompt", ""), ("prompt", "\0"), ("sld_level", "none"), ("negative_prompt", "x" * 10_000),
    ],
)  # fmt: skip
def test_an_order_outside_its_limits_is_refused_by_name(
    hub: Hub, ada: dict[str, dict[str, str]], name: str, value: object
) -> None:
    answer = hub.ask("POST", "/api/generations", ada["token"], json={"model": "ada/gated", **_ORDER, name: value})
    assert answer.status_code == 422, answer.text
    assert name in answer.json()["error"]


def test_what_the_server_does_by_itself_is_a_job_s_and_names_the_policies(hub: Hub) -> None:
    begun = hub.read(
        lambda session: session.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "policies:bundle:activate"))
    )
    assert begun is not None
    assert (begun.door, begun.credential, begun.policy_sha256) == ("job", None, hub.gatekeeper.policies.sha256)


def test_of_two_approvals_at_once_one_counts(hub: Hub, ada: dict[str, dict[str, str]]) -> None:
    async def ask(session: AsyncSession) -> str:
        bob = await make_person(session, "bob")
        owner = await make_person(session, "olga")
        repo, _ = await make_repo(session, owner, name="asked", files={"a.txt": b"a"})
        return (await access.submit(session, bob, repo, fields=None, bundle=None)).id

    request_id = hub.write(ask)
    body = {"status": "accepted", "requestId": request_id}
    path = "/api/models/olga/asked/user-access-request/handle"

    async def twice() -> list[int]:
        transport = httpx2.ASGITransport(hub.client.app)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            both = [client.post(path, json=body, headers=ada["token"]) for _ in range(2)]
            return sorted(answer.status_code for answer in await asyncio.gather(*both))

    before = hub.rows()["access_grant"]
    assert hub.client.portal is not None
    assert hub.client.portal.call(twice) == [200, 404]  # in the public hub's words
    assert hub.rows()["access_grant"] == before + 1
