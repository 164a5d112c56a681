"""What an order was decided on is read once, and again where it changed before the order was taken in."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest
import sqlalchemy as sa
from huggingface_hub.utils import parse_ratelimit_headers
from sqlmodel import col

from gatekeeper import generation, tokens
from gatekeeper.accounts import OPERATOR
from gatekeeper.generation import Change, Generation
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.tokens.tables import AccessToken
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio
BODIES = {
    "/models/lab/emoji": b'{"inputs": "a cat"}',
    "/v1/images/generations": b'{"model": "lab/emoji", "prompt": "a cat", "size": "64x64"}',
    "/api/generations": b'{"model": "lab/emoji", "prompt": "a cat"}',
}


async def grace(site: Site) -> tuple[str, dict[str, str]]:
    """A token of hers, by its id and as headers."""
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        token, secret = await tokens.issue(session, site.people["grace"], label="draw", scopes=["generate"], key=key)
    return token.id, {"authorization": f"Bearer {secret}", "content-type": "application/json"}


@pytest.mark.parametrize("path", BODIES)
async def test_a_right_that_ends_while_the_order_is_sent_takes_no_order_in(site: Site, model: Repo, path: str) -> None:
    site.worker(StubWorker())
    token_id, headers = await grace(site)
    client = site.browser()
    assert (await client.post(path, content=BODIES[path], headers=headers)).status_code in (200, 202)

    async def slowly() -> AsyncIterator[bytes]:
        """The body comes after the guard has decided; what the first order was decided on is remembered."""
        yield BODIES[path][:5]
        async with site.gatekeeper.db.write() as session:
            await session.execute(
                sa.update(AccessToken).where(col(AccessToken.id) == token_id).values(revoked_at=now())
            )
        yield BODIES[path][5:]

    answer = await client.post(path, content=slowly(), headers=headers)
    assert answer.status_code == 401
    async with site.gatekeeper.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Generation)) == 1


async def test_the_facts_of_a_second_order_are_not_read_again(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    _, headers = await grace(site)
    client = site.browser()
    for _ in range(2):  # the first remembers terms, which counts as a change
        assert (await client.post("/models/lab/emoji", json={"inputs": "a cat"}, headers=headers)).status_code == 200
    with site.statements() as asked:
        assert (await client.post("/models/lab/emoji", json={"inputs": "a cat"}, headers=headers)).status_code == 200
    before = asked[: next(number for number, text in enumerate(asked) if "INSERT INTO generation" in text)]
    assert not [text for text in before if "FROM access_token" in text or "FROM access_grant" in text]


async def test_a_client_that_repeats_across_a_restart_is_charged_once(site: Site, model: Repo) -> None:
    stopped = site.worker(StubWorker())
    stopped.gate = asyncio.Event()
    _, headers = await grace(site)
    secret = headers["authorization"].removeprefix("Bearer ")
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site.app))
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=secret, http_client=http)
    asking = asyncio.create_task(client.images.generate(model="lab/emoji", prompt="a cat", size="64x64"))
    while not stopped.orders:
        await asyncio.sleep(0.01)
    before = site.gatekeeper.studio
    site.worker(StubWorker())
    await before.close()
    answer = await asking
    await site.gatekeeper.studio.keep_up()
    async with site.gatekeeper.db.read() as session:
        left, again = await session.scalars(sa.select(Generation).order_by(col(Generation.id)))
    assert (left.code, left.charged_images, left.charged_seconds) == ("interrupted", 0, 0)
    assert (again.id, again.charged_images) == ((answer.model_extra or {})["id"], 1)
    await client.close()


async def test_the_public_client_reads_what_is_used_up_and_when_it_frees(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    _, headers = await grace(site)
    async with site.gatekeeper.db.write() as session:
        few = Change(images_per_day=1)
        await generation.change_quota(session, site.people["grace"], few, reason="For tests.", by=OPERATOR)
    client = site.browser()
    answers = [await client.post(path, content=BODIES[path], headers=headers) for path in BODIES]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    for answer in answers[1:]:
        told = parse_ratelimit_headers(answer.headers)
        assert told is not None
        assert (told.resource_type, told.remaining, told.limit, told.window_seconds) == ("images", 0, 1, 86_400)
        assert 86_000 < told.reset_in_seconds == int(answer.headers["retry-after"])
