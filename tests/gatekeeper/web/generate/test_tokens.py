"""Tokens that only make images: with the named models, for minutes, and never more than what they were made with."""

from datetime import timedelta

import httpx2
import pytest
import time_machine

from gatekeeper import accounts, tokens
from gatekeeper.accounts import OPERATOR, Reach, Role
from gatekeeper.authz import Action, decide, load
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio
PATH = "/api/inference-tokens"


async def may(site: Site, secret: str, action: Action, repo: Repo) -> bool:
    async with site.gatekeeper.db.read() as session:
        who = await tokens.resolve(session, secret, key=site.gatekeeper.keys.tokens)
        return bool(decide(site.gatekeeper.policies, who, action, await load(session, who, repo), now()))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def ask(caller: httpx2.AsyncClient, **body: object) -> httpx2.Response:
    return await caller.post(PATH, json={"models": ["lab/emoji"]} | body)


async def test_it_generates_with_the_named_models_and_does_nothing_else(site: Site, model: Repo) -> None:
    other = await site.model("other")
    answer = await ask(await site.as_("grace"), minutes=5)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    secret = answer.json()["token"]
    assert await may(site, secret, Action.GENERATE, model)
    assert not await may(site, secret, Action.GENERATE, other)
    for action in (Action.READ_CARD, Action.DOWNLOAD, Action.WRITE, Action.MANAGE):
        assert not await may(site, secret, action, model), action
    async with site.browser() as program:
        assert (await program.get("/api/receipts", headers=bearer(secret))).status_code == 403
        again = await program.post(PATH, json={"models": ["lab/emoji"]}, headers=bearer(secret))
        assert again.status_code == 403
        with time_machine.travel(now() + timedelta(minutes=5, seconds=1), tick=False):
            assert (await program.get("/api/whoami-v2", headers=bearer(secret))).status_code == 401
    assert "No tokens" in (await (await site.as_("grace")).get("/settings/tokens")).text


async def test_made_with_a_token_it_ends_with_that_token(site: Site, model: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        parent, held = await tokens.issue(session, site.people["grace"], label="x", key=key)
        _, blunt = await tokens.issue(session, site.people["grace"], label="y", scopes=["read"], key=key)
    async with site.browser() as program:
        sent = {"models": ["lab/emoji"]}
        assert (await program.post(PATH, json=sent, headers=bearer(blunt))).status_code == 403
        secret = (await program.post(PATH, json=sent, headers=bearer(held))).json()["token"]
        assert await may(site, secret, Action.GENERATE, model)
        async with site.gatekeeper.db.write() as session:
            who = await tokens.resolve(session, held, key=site.gatekeeper.keys.tokens)
            await tokens.revoke(session, parent.id, by=who)
        assert (await program.get("/api/whoami-v2", headers=bearer(secret))).status_code == 401


async def test_whoever_may_not_generate_gets_none_and_learns_nothing(site: Site, model: Repo) -> None:
    draft = await site.model("hidden", stage=Stage.DRAFT)
    ada = await site.as_("ada")
    assert (await ask(ada)).status_code == 403
    hidden, missing = await ask(ada, models=[draft.full_name]), await ask(ada, models=["lab/nothing"])
    assert hidden.status_code == missing.status_code == 404
    assert hidden.json()["error"] == missing.json()["error"]
    assert (await ask(site.browser())).status_code == 401


@pytest.mark.parametrize(
    "body", [{"minutes": 0}, {"minutes": 61}, {"minutes": "5"}, {"models": []}, {"models": [1]}, {"scopes": ["write"]}]
)
async def test_what_is_out_of_bounds_is_refused(site: Site, model: Repo, body: dict[str, object]) -> None:
    assert (await ask(await site.as_("grace"), **body)).status_code == 422


async def test_a_token_for_inference_fetches_its_persons_orders_with_its_models_and_no_other(
    site: Site, model: Repo
) -> None:
    site.worker(StubWorker())
    grace = await site.as_("grace")
    await site.model("other")
    first, second = [(await ask(grace)).json()["token"] for _ in range(2)]
    elsewhere = (await ask(grace, models=["lab/other"])).json()["token"]
    async with site.browser() as program:
        order = {"model": "lab/emoji", "prompt": "a red apple"}
        made = await program.post("/api/generations", json=order, headers=bearer(first))
        assert made.status_code == 202, made.text
        path = f"/api/generations/{made.json()['id']}"

        assert (await program.get(path, headers=bearer(first))).status_code == 200
        assert (await program.delete(path, headers=bearer(first))).status_code == 200
        assert (await program.get(f"{path}/receipt", headers=bearer(first))).status_code in (200, 404)
        assert (await program.get(path, headers=bearer(second))).status_code == 200
        assert (await program.get(f"{path}/events", headers=bearer(second))).status_code == 200
        assert (await program.get(path, headers=bearer(elsewhere))).status_code == 403
        nobodys = "/api/generations/01aaaaaaaaaaaaaaaaaaaaaaaa"
        assert (await program.get(nobodys, headers=bearer(second))).status_code == 403
        assert (await program.get("/api/generations", headers=bearer(first))).status_code == 403
        assert (await program.delete(f"{path}/images", headers=bearer(first))).status_code == 403
        assert (await program.get(path)).status_code == 401
        assert (await (await site.as_("ada")).get(path)).status_code == 404
        assert (await grace.get(path)).status_code == 200


async def test_it_opens_no_other_model_at_any_door_and_ends_with_its_person_and_their_right(
    site: Site, model: Repo
) -> None:
    site.worker(StubWorker())
    other = await site.model("other")
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        await accounts.organizations.add_member(session, lab, site.people["alan"], Role.WRITE, by=OPERATOR)
        key, by = site.gatekeeper.keys.tokens, await accounts.principals.for_person(session, site.people["alan"])
        _, narrow = await tokens.issue(
            session, site.people["alan"], label="x", reach=Reach(repositories=frozenset({model.id})), key=key, by=by
        )
    async with site.browser() as program:
        program.headers["accept"] = "*/*"
        beyond = await program.post(PATH, json={"models": ["lab/other"]}, headers=bearer(narrow))
        assert beyond.status_code == 403  # not even for less than a minute: the parent does not reach it
        mine = bearer((await ask(await site.as_("alan"))).json()["token"])

        async def statuses(name: str) -> list[int]:
            asked = {"prompt": "a red apple", "model": name}
            doors = (
                ("/api/generations", asked),
                ("/v1/images/generations", asked),
                (f"/models/{name}", {"inputs": "a red apple"}),
            )
            return [(await program.post(path, json=body, headers=mine)).status_code for path, body in doors]

        assert await statuses("lab/emoji") == [202, 200, 200]
        assert await statuses("lab/other") == [403, 403, 403]
        for name in ("emoji", "other"):  # nor the hub's files, whichever model it is for
            for path in (f"/lab/{name}/resolve/main/unet/config.json", f"/api/models/lab/{name}/tree/main"):
                assert (await program.get(path, headers=mine)).status_code == 403, path
        assert other.id != model.id

        async with site.gatekeeper.db.write() as session:
            lab = await accounts.organizations.find(session, "lab")
            assert lab is not None
            alan = await session.merge(site.people["alan"])
            await accounts.organizations.remove_member(session, lab, alan, by=OPERATOR)
        assert await statuses("lab/emoji") == [403, 403, 403]  # never more than its person may at this moment
        async with site.gatekeeper.db.write() as session:
            olga = await accounts.principals.for_person(session, site.people["olga"])
            await accounts.people.disable(session, await session.merge(site.people["alan"]), by=olga)
        assert await statuses("lab/emoji") == [401, 401, 401]
