"""Who watches an order sees previews as long as they may, and as long as the order may."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import accounts, releases, tokens
from gatekeeper.accounts import OPERATOR
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.tokens.tables import AccessToken
from inference.contract import Event, ImageOrder, Preview, Started
from tests.gatekeeper.generation.stub import StubWorker, all_good, image
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio


class Looks(StubWorker):
    """Shows one image, and the others when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def submit(self, order: ImageOrder) -> AsyncIterator[Event]:
        yield Started(steps=9)
        for index in range(order.images):
            yield Preview(index=index, step=1, png_base64=image(order, index).png_base64)
            await self.go_on.wait()
        for event in all_good(order)[-order.images - 1 :]:
            yield event


async def issued(site: Site, label: str) -> tuple[str, dict[str, str]]:
    """A token of grace's, by its id and as headers."""
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        token, secret = await tokens.issue(
            session, site.people["grace"], label=label, scopes=["read", "generate"], key=key
        )
    return token.id, {"authorization": f"Bearer {secret}"}


async def hold(site: Site, repo: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        await releases.hold(session, (await releases.list_for(session, repo))[0], by=by, reason="An incident.")


async def revoke(site: Site, token_id: str) -> None:
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.update(AccessToken).where(col(AccessToken.id) == token_id).values(revoked_at=now()))


@pytest.mark.parametrize(
    ("ends", "kinds"),
    [
        ("nothing", ["started", "preview", "preview", "image", "image", "done"]),
        ("release", ["started", "preview", "failed"]),
        ("watcher", ["started", "preview", "image", "image", "done"]),
    ],
)
async def test_a_right_that_ends_between_two_previews_shows_no_more_of_them(
    site: Site, model: Repo, ends: str, kinds: list[str]
) -> None:
    worker = Looks()
    site.worker(worker)
    _, orderer = await issued(site, "orders")
    watcher_id, watcher = await issued(site, "watches")
    client = site.browser()
    body = {"model": "lab/emoji", "prompt": "a cat", "images": 2, "previews": 1}
    order = (await client.post("/api/generations", json=body, headers=orderer)).json()
    watching = asyncio.create_task(client.get(order["events"], headers=watcher))
    while not site.gatekeeper.studio._runs[order["id"]].latest("preview"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # the watcher has seen it
    if ends == "release":
        await hold(site, model)
    elif ends == "watcher":
        await revoke(site, watcher_id)
    worker.go_on.set()

    told = [line.removeprefix("event: ") for line in (await watching).text.splitlines() if line.startswith("event: ")]
    assert [kind for kind in told if kind not in ("queued", "progress")] == kinds


@pytest.mark.parametrize(("is_signed_out", "previews"), [(False, 2), (True, 1)])
async def test_a_session_that_ended_elsewhere_sees_no_more_previews_in_the_playground(
    site: Site, model: Repo, is_signed_out: bool, previews: int
) -> None:
    worker = Looks()
    site.worker(worker)
    grace = await site.as_("grace")
    order = {"prompt": "a cat", "steps": "5", "guidance": "4", "images": "2", "seed": "7"}
    live = {"accept": "application/x-ndjson"}
    watching = asyncio.create_task(grace.post("/lab/emoji/playground", data=order, headers=live))
    while not (runs := list(site.gatekeeper.studio._runs.values())) or not runs[0].latest("preview"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    if is_signed_out:
        async with site.gatekeeper.db.write() as session:
            await accounts.sessions.end_all(session, site.people["grace"], by=OPERATOR)
    worker.go_on.set()

    told = [json.loads(line)["type"] for line in (await watching).text.splitlines()]
    assert (told.count("preview"), told[-1]) == (previews, "end")
