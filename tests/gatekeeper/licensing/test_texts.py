from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.licensing import texts
from gatekeeper.licensing.tables import LicenseText, TermsBundle
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

ONE = b"Section I\n\n1. \xe2\x80\x9cYou\xe2\x80\x9d may not\n  (a) break  the law;\n"
OTHER = b'# Section I\r\n\r\n- "You" may not\n* Break the **law**;'


def test_copies_of_one_license_fold_to_one_canonical_digest() -> None:
    assert texts.canonical_sha256(ONE) == texts.canonical_sha256(OTHER)
    assert texts.canonical_sha256(ONE) != texts.canonical_sha256(ONE.replace(b"not", b"now"))


@pytest.mark.anyio
async def test_same_bytes_are_one_text_and_one_event(session: AsyncSession) -> None:
    first = await licensing.add(session, ONE, title="One")
    again = await licensing.add(session, ONE, title="Another name")
    assert again is first
    assert len(await events(session, "licensing:text:add")) == 1


@pytest.mark.anyio
async def test_texts_that_differ_in_form_are_suggested_not_merged(session: AsyncSession) -> None:
    await licensing.add(session, ONE, title="One")
    assert [text.title for text in await licensing.similar(session, OTHER)] == ["One"]
    assert await licensing.similar(session, ONE) == []


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b" \n\t ", b"x" * (texts.MAX_TEXT_BYTES + 1)], ids=["empty", "blank", "large"])
async def test_text_nobody_could_read_is_refused(session: AsyncSession, body: bytes) -> None:
    with pytest.raises(Invalid):
        await licensing.add(session, body, title="Bad")


@pytest.mark.anyio
async def test_unknown_digest_is_not_found(session: AsyncSession) -> None:
    with pytest.raises(NotFound):
        await licensing.get(session, "0" * 64)


@pytest.mark.anyio
async def test_catalogue_names_texts_by_their_file(session: AsyncSession, tmp_path: Path) -> None:
    (tmp_path / "test-rail.txt").write_bytes(b"# Test RAIL\n\nBe good.")
    (tmp_path / "notes.toml").write_bytes(b"not = 'a text'")
    (tmp_path / "Not An Id.txt").write_bytes(b"text")
    [text] = await licensing.import_catalogue(session, tmp_path)
    assert text.title == "Test RAIL"
    await licensing.import_catalogue(session, tmp_path)
    assert list(await session.scalars(sa.select(LicenseText))) == [text]
    assert await licensing.by_license_id(session, "test-rail") is text
    assert await licensing.import_catalogue(session, tmp_path / "absent") == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "statement",
    [
        sa.update(LicenseText).values(body=b"swapped"),
        sa.update(LicenseText).values(sha256="0" * 64),
        sa.delete(LicenseText),
        sa.update(TermsBundle).values(texts=[]),
    ],
    ids=["change body", "change digest", "delete", "change bundle"],
)
async def test_database_refuses_to_change_or_delete_a_used_text(database: Database, statement: sa.Update) -> None:
    async with database.write() as session:
        owner = await make_person(session)
        repo, commit = await make_repo(session, owner)
        terms = await licensing.terms_for(session, repo, commit)
        assert terms is not None
    with pytest.raises(sa.exc.IntegrityError):
        async with database.write() as session:
            await session.execute(statement)
    async with database.read() as session:
        assert await licensing.stored(session, terms.sha256) is not None


@pytest.mark.anyio
async def test_text_that_a_repository_brought_first_can_join_the_catalogue(session: AsyncSession) -> None:
    before = await licensing.add(session, ONE, title="LICENSE of a/b")
    text = await licensing.add_license(session, "one", ONE, title="One")
    assert text is before
    assert await licensing.by_license_id(session, "ONE") is before
    await licensing.add_license(session, "one", ONE, title="One")
    assert len(await events(session, "licensing:catalogue:add")) == 1
