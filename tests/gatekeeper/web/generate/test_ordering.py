"""What an order was decided on is read once, and again where it changed before the order was taken in."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import tokens
from gatekeeper.generation import Generation
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
