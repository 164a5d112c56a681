import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.licensing.tables import RepoTerms, TermsBundle
from tests.gatekeeper.licensing.builders import CARD, LICENSE, commit_files, make_person, make_repo

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["LICENSE", "LICENSE.txt", "LICENSE.md", "license.md"])
async def test_license_file_of_the_commit_is_the_text(session: AsyncSession, name: str) -> None:
    repo, commit = await make_repo(session, await make_person(session), files={name: LICENSE})
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert terms.texts == (sha256_hex(LICENSE),)
    assert terms.documents[0].text == LICENSE.decode()


async def test_catalogue_serves_where_the_commit_has_no_file(session: AsyncSession) -> None:
    await licensing.add_license(session, "test-rail", b"The house RAIL", title="House RAIL")
    repo, commit = await make_repo(session, await make_person(session), files={"README.md": CARD.encode()})
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert [document.title for document in terms.documents] == ["House RAIL"]
    assert [field.name for field in terms.form.fields] == ["Institution", "Country", "Purpose", "I keep to the terms"]


async def test_repository_cannot_pass_its_text_for_the_catalogue_s(session: AsyncSession) -> None:
    owner = await make_person(session)
    liar, commit = await make_repo(session, owner, files={"README.md": CARD.encode(), "LICENSE": b"Do as you like."})
    await licensing.terms_for(session, liar, commit)
    honest, commit = await make_repo(session, owner, files={"README.md": b"---\nlicense: test-rail\n---\n"})
    assert await licensing.terms_for(session, honest, commit) is None


async def test_gate_prompt_is_a_second_text(session: AsyncSession) -> None:
    card = b"---\nextra_gated_prompt: Tell us who you are.\n---\n"
    repo, commit = await make_repo(session, await make_person(session), files={"README.md": card, "LICENSE": LICENSE})
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert [document.body for document in terms.documents] == [LICENSE, b"Tell us who you are."]


async def test_commit_without_text_and_questions_has_no_terms(session: AsyncSession) -> None:
    repo, commit = await make_repo(session, await make_person(session), files={"a.txt": b"a"})
    assert await licensing.terms_for(session, repo, commit) is None


async def test_questions_alone_need_no_acceptance(session: AsyncSession) -> None:
    card = b"---\nextra_gated_fields:\n  Why: text\n---\n"
    repo, commit = await make_repo(session, await make_person(session), files={"README.md": card})
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert not terms.need_acceptance


async def test_another_text_is_another_bundle_and_the_old_commit_keeps_its_own(session: AsyncSession) -> None:
    owner = await make_person(session)
    repo, first = await make_repo(session, owner)
    before = await licensing.terms_for(session, repo, first)
    second = await commit_files(session, repo, {"LICENSE": LICENSE + b"And be kind.\n"}, by=owner)
    after = await licensing.terms_for(session, repo, second)
    assert before is not None
    assert after is not None
    assert before.sha256 != after.sha256
    assert await licensing.terms_for(session, repo, first) == before


async def test_an_addendum_is_accepted_beside_the_license(session: AsyncSession) -> None:
    files = {"LICENSE": LICENSE, "TERMS.md": b"# Terms of the test\n\nReport what you find.\n"}
    repo, commit = await make_repo(session, await make_person(session), files=files)
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert [document.body for document in terms.documents] == list(files.values())


async def test_later_catalogue_does_not_change_an_old_commit(session: AsyncSession) -> None:
    await licensing.add_license(session, "test-rail", b"Version 1", title="RAIL")
    repo, commit = await make_repo(session, await make_person(session), files={"README.md": CARD.encode()})
    before = await licensing.terms_for(session, repo, commit)
    await licensing.add_license(session, "test-rail", b"Version 2", title="RAIL")
    assert await licensing.terms_for(session, repo, commit) == before


async def test_reading_works_out_the_same_terms_without_keeping_them(database: Database) -> None:
    async with database.write() as session:
        repo, commit = await make_repo(session, await make_person(session))
    async with database.read() as session:
        read = await licensing.terms_for(session, repo, commit)
        assert read is not None
        assert await session.get(TermsBundle, read.sha256) is None
    async with database.write() as session:
        kept = await licensing.terms_for(session, repo, commit)
        assert await session.get(RepoTerms, (repo.id, commit, "")) is not None
    assert kept == read


@pytest.mark.parametrize("body", [b"\xff\xfe not text", b"x" * (2**20 + 1)], ids=["not UTF-8", "too large"])
async def test_unreadable_license_shuts_the_gate(session: AsyncSession, body: bytes) -> None:
    repo, commit = await make_repo(session, await make_person(session), files={"LICENSE": body})
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert terms.need_acceptance
    assert "LICENSE" in terms.problems[0]
    with pytest.raises(Invalid):
        await licensing.keep(session, repo, terms)


@pytest.mark.parametrize("card", [b"---\nextra_gated_fields: 3\n---\n", b"\xff", b"no matter"])
async def test_odd_card_never_breaks_reading(session: AsyncSession, card: bytes) -> None:
    repo, commit = await make_repo(session, await make_person(session), files={"README.md": card, "LICENSE": LICENSE})
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    assert terms.form.fields == ()


async def test_unknown_bundle_is_not_found(session: AsyncSession) -> None:
    with pytest.raises(NotFound):
        await licensing.stored(session, "0" * 64)
