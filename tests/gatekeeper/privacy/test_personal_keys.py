"""What people wrote is unreadable without their key, and erasing them destroys it."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, ledger, licensing, models, privacy
from gatekeeper.access.tables import AccessRequest, AccessStep
from gatekeeper.accounts import OPERATOR, people
from gatekeeper.accounts.personal_keys import PersonalKey, key_of
from gatekeeper.db import Database
from gatekeeper.generation import ImageFolder
from gatekeeper.kit.personal import PersonalJson, PersonalText
from gatekeeper.kit.sealing import Box
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger import Sealer
from gatekeeper.licensing.tables import Acceptance
from tests.gatekeeper.licensing.builders import ANSWERS, accept_terms, make_person, make_repo

pytestmark = pytest.mark.anyio
KEY = SigningKey(Ed25519PrivateKey.generate())
SECRET = "My grandmother's recipe"


async def _story(session: AsyncSession) -> tuple[str, str]:
    """Ada asks with words of her own and is turned down; ids of her and of her request."""
    owner, ada = await make_person(session, "owner"), await make_person(session, "ada")
    repo, commit = await make_repo(session, owner)
    terms = await licensing.terms_for(session, repo, commit)
    await accept_terms(session, ada, repo, terms, KEY)
    answers = ANSWERS | {"Institution": SECRET}
    request = await access.submit(session, ada, repo, fields=answers, bundle=terms)
    await access.vote(session, request, by=owner, value="no", comment=f"{SECRET}?")
    await access.reject(session, await access.get(session, request.id), by=owner, reason=f"No: {SECRET}.")
    assert ada.person_id is not None
    return ada.person_id, request.id


def _bytes(database: Database) -> bytes:
    assert database.path is not None
    return b"".join(path.read_bytes() for path in Path(database.path).parent.glob(f"{Path(database.path).name}*"))


async def test_words_are_read_as_written_and_the_file_holds_none(database: Database) -> None:
    async with database.write() as session:
        _, request_id = await _story(session)
    async with database.read() as session:
        request = await session.get_one(AccessRequest, request_id)
        assert (request.fields["Institution"], request.reason) == (SECRET, f"No: {SECRET}.")
        receipt = (await session.scalars(sa.select(col(Acceptance.receipt)))).one()
        assert receipt["statement"]["person"]["name"] == "ada"
    assert SECRET.encode() not in _bytes(database)


async def test_without_its_key_everything_reads_as_nothing_and_lists_go_on(database: Database) -> None:
    async with database.write() as session:
        person_id, _ = await _story(session)
        await session.execute(sa.delete(PersonalKey).where(col(PersonalKey.person_id) == person_id))
    async with database.read() as session:
        for model, column in _personal():
            values = (await session.scalars(sa.select(column))).all()
            assert not any(values), model
        assert [each.state for each in await session.scalars(sa.select(AccessRequest))] == ["rejected"]


async def test_erasing_a_person_reaches_what_was_handed_on_and_leaves_every_proof_valid(
    database: Database, tmp_path: Path
) -> None:
    async with database.write() as session:
        owner, ada, bob = [await make_person(session, name) for name in ("owner", "ada", "bob")]
        repo, commit = await make_repo(session, owner)
        terms = await licensing.terms_for(session, repo, commit)
        await accept_terms(session, ada, repo, terms, KEY)
        request = await access.submit(session, ada, repo, fields=ANSWERS | {"Institution": SECRET}, bundle=terms)
        heir = await people.find(session, "bob")
        await access.delegate(session, request, heir, by=owner, comment="Bob does this now.")
    await Sealer(database, KEY, origin="hub/ledger").seal()
    async with database.write() as session:
        person = await people.get(session, ada.person_id or "")
        assert person is not None
        gone = await privacy.erase(session, person, images=ImageFolder(tmp_path), by=OPERATOR)
        assert gone["personal_key"] == 1
    await Sealer(database, KEY, origin="hub/ledger").seal()
    async with database.read() as session:
        left = await session.get_one(AccessRequest, request.id)
        assert (left.person_id, left.fields) == (bob.person_id, {})
        assert not any(await session.scalars(sa.select(col(AccessStep.data)).where(col(AccessStep.act) == "submit")))
        assert (await ledger.verify(session, KEY.public)).is_intact
    await database.purge()
    assert SECRET.encode() not in _bytes(database)


async def test_words_without_a_key_are_refused(session: AsyncSession) -> None:
    ada = await make_person(session, "ada")
    repo, _ = await make_repo(session, ada, files={"a.txt": b"a"})
    session.add(AccessRequest(repo_id=repo.id, person_id=ada.person_id or "", reason="in clear"))
    with pytest.raises(sa.exc.StatementError, match="under their key"):
        await session.flush()
    await session.rollback()


async def test_the_keys_of_another_server_open_nothing(database: Database) -> None:
    async with database.write() as session:
        await _story(session)
    other = Database(database.url, personal=lambda: Box(b"o" * 32))
    async with other.read() as session:
        with pytest.raises(ValueError, match="not sealed with this key"):
            (await session.scalars(sa.select(AccessRequest))).all()
    await other.close()


async def test_a_person_has_one_key(session: AsyncSession) -> None:
    ada = (await make_person(session, "ada")).person_id or ""
    assert (await key_of(session, ada)).id == (await key_of(session, ada)).id


def _personal() -> list[tuple[str, sa.Column[object]]]:
    return [
        (f"{table.name}.{column.name}", column)
        for table in models.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, PersonalText | PersonalJson)
    ]
