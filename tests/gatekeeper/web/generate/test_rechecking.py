from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy import event
from sqlmodel import col

from gatekeeper import tokens
from gatekeeper.generation import Generation
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, history
from gatekeeper.tokens.tables import AccessToken
from gatekeeper.web.generate import still_allowed
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio


async def ordered(site: Site, repo: Repo) -> Generation:
    """Grace's order, with a token that ends in an hour."""
    async with site.gatekeeper.db.write() as session:
        token, _ = await tokens.issue(
            session,
            site.people["grace"],
            label="draw",
            scopes=["generate"],
            expires_at=now() + timedelta(hours=1),
            key=site.gatekeeper.keys.tokens,
        )
        commit = await history.resolve_revision(session, repo, "main")
    return Generation(person_id=site.people["grace"].id, repo_id=repo.id, commit_id=commit, token_id=token.id)


async def test_nothing_is_read_again_while_nothing_has_changed(site: Site, model: Repo) -> None:
    made, recheck = await ordered(site, model), still_allowed(site.gatekeeper)
    async with site.gatekeeper.db.read() as session:
        assert (await recheck(session, made)).refusal is None
    statements: list[object] = []
    event.listen(site.gatekeeper.db.engine.sync_engine, "before_cursor_execute", lambda *said: statements.append(said))
    async with site.gatekeeper.db.read() as session:
        assert (await recheck(session, made)).refusal is None
    assert not statements


async def test_what_is_revoked_meanwhile_binds_and_so_does_the_end_of_a_token(site: Site, model: Repo) -> None:
    made, recheck = await ordered(site, model), still_allowed(site.gatekeeper)
    async with site.gatekeeper.db.read() as session:
        assert (await recheck(session, made)).refusal is None
        with time_machine.travel(now() + timedelta(hours=2)):
            assert "is gone" in str((await recheck(session, made)).refusal)
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.delete(AccessToken).where(col(AccessToken.id) == made.token_id))
    async with site.gatekeeper.db.read() as session:
        assert "is gone" in str((await recheck(session, made)).refusal)
