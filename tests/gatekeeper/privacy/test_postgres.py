"""The same statements on PostgreSQL: export, erasure and retention run, and leave no name."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper import privacy, schema
from gatekeeper.accounts import OPERATOR, Person, people
from gatekeeper.db import Database
from gatekeeper.generation import ImageFolder
from gatekeeper.notices.tables import Notice
from tests.gatekeeper.licensing.builders import make_person
from tests.postgres import running_postgres

pytestmark = pytest.mark.anyio


async def test_a_person_is_exported_and_erased_on_postgresql(tmp_path: Path) -> None:
    with running_postgres() as url:
        database = Database(url)
        await schema.upgrade(database)
        async with database.write() as session:
            ada = await make_person(session, "ada")
            other = await make_person(session, "alan")
            facts = {"repo": "lab/emoji", "url": "/lab/emoji", "person": "ada"}
            session.add(Notice(person_id=other.person_id, kind="request-submitted", event_key="e", facts=facts))
        async with database.write() as session:
            person = await people.get(session, ada.person_id or "")
            assert person is not None
            assert (await privacy.export_of(session, person))["person"]["name"] == "ada"
            await privacy.erase(session, person, images=ImageFolder(tmp_path), by=OPERATOR)
            assert await privacy.enforce(session, privacy.Periods()) == {}
        async with database.read() as session:
            names = set(await session.scalars(sa.select(Person.name)))  # type: ignore[call-overload]
            assert names == {"alan", f"erased-{ada.person_id}"}
            assert (await session.scalars(sa.select(Notice))).all() == []
        await database.close()
