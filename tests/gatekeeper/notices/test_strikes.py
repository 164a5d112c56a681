import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatekeeper import ledger, notices, repos
from gatekeeper.accounts import Person, Principal
from gatekeeper.db import Database
from gatekeeper.generation import Generation, GenerationState, Strike, StrikeKind, review, strikes
from gatekeeper.kit.signing import SigningKey
from gatekeeper.notices.tables import Notice
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())


async def stop(database: Database, person: Principal, repo: Repo, *fired: str) -> Strike:
    async with database.write() as session:
        made = Generation(
            person_id=person.person_id,
            repo_id=repo.id,
            commit_id="0" * 40,
            state=GenerationState.REFUSED,
            settings={},
            prompt_sha256="0" * 64,
        )
        session.add(made)
        await session.flush()
        await strikes.record(session, made, StrikeKind.PROMPT_RULE, fired=fired, reason="Bombs are not made here.")
        return await session.scalar(sa.select(Strike).where(Strike.generation_id == made.id))


async def test_who_was_stopped_is_told_what_fired_once_a_day_and_what_the_review_came_to(database: Database) -> None:
    async with database.write() as session:
        owner, ada = [await make_person(session, name) for name in ("owner", "ada")]
        repo, _ = await make_repo(session, owner)
    sealer = ledger.Sealer(database, KEY, origin="test")
    await sealer.seal()
    await notices.hand_out(database, judge=_nobody)
    first = await stop(database, ada, repo, "weapons.explosives")
    await stop(database, ada, repo, "weapons.explosives")
    await stop(database, ada, repo, "hate.symbols")
    async with database.write() as session:
        await review(session, await session.get_one(Strike, first.id), by=owner, is_upheld=False)
    await sealer.seal()
    await notices.hand_out(database, judge=_nobody)

    async with database.read() as session:
        told = list(await session.scalars(sa.select(Notice).order_by(Notice.id)))
    assert {notice.person_id for notice in told} == {ada.person_id}
    said = [notices.say(notice.kind, notice.facts) for notice in told]
    assert [notice.kind for notice in told] == ["safety-stopped", "safety-stopped", "safety-reviewed"]
    assert "weapons.explosives" in said[0].text
    assert "appeal" in said[0].text
    assert "counts for nothing" in said[2].text
    assert {each.path for each in said} == {"/settings/safety"}


async def test_an_appeal_is_told_to_who_reviews_and_to_who_runs_the_hub_where_nobody_else_may(
    database: Database,
) -> None:
    async with database.write() as session:
        owner, ada = [await make_person(session, name) for name in ("owner", "ada")]
        await make_person(session, "olga", is_admin=True)
        places = [(await make_repo(session, person))[0] for person in (owner, ada, owner)]
    sealer = ledger.Sealer(database, KEY, origin="test")
    await sealer.seal()
    await notices.hand_out(database, judge=_nobody)
    for repo in places:
        struck = await stop(database, ada, repo, "weapons.explosives")
        async with database.write() as session:
            await strikes.appeal(session, ada, struck.id, text="It is a bath bomb.")
    async with database.write() as session:
        await repos.delete(session, await session.get_one(Repo, places[2].id), by=owner)
    await sealer.seal()
    await notices.hand_out(database, judge=_everybody)

    async with database.read() as session:
        told = list(
            await session.scalars(sa.select(Notice).where(Notice.kind == "strike-appealed").order_by(Notice.id))
        )
        names = [(await session.get_one(Person, notice.person_id)).name for notice in told]
    assert names == ["owner", "olga", "olga"]  # the second is ada's own, who has no say in it; the third is deleted
    said = notices.say(told[0].kind, told[0].facts)
    assert "ada" in said.text
    assert said.path == "/admin/strikes"


async def _everybody(*_: object) -> bool:
    return True


async def _nobody(*_: object) -> bool:
    return False
