import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing
from gatekeeper.accounts import OPERATOR
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.licensing import Catalogue
from tests.gatekeeper.licensing.builders import events, make_person

pytestmark = pytest.mark.anyio

CATALOGUE = Catalogue.load(bundled_dir("policies"))
EMOJI = (bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt").read_bytes()
REWRAPPED = EMOJI.replace(b'"', "”".encode()).replace(b"\n\n", b"\n\n\n")
COUNTS = {
    "creativeml-openrail-m": 11,
    "openrail++": 11,
    "bigscience-openrail-m": 13,
    "bigscience-bloom-rail-1.0": 13,
    "bigcode-openrail-m": 14,
}


@pytest.mark.parametrize(("license_id", "count"), COUNTS.items())
def test_the_family_s_restrictions_are_all_there(license_id: str, count: int) -> None:
    known = CATALOGUE.licenses[license_id]
    assert len(set(known.restrictions)) == count
    assert known.is_rail
    assert ("latest_version" in known.duties) is (license_id not in ("openrail++", "bigcode-openrail-m"))
    assert ("irrevocable" in known.duties) is (license_id != "bigcode-openrail-m")


PACKAGED = [known for known in CATALOGUE.licenses.values() if known.package]


@pytest.mark.parametrize("known", PACKAGED, ids=lambda known: known.id)
def test_digests_are_those_of_the_package_s_texts(known: licensing.Known) -> None:
    pytest.importorskip("licensedcode")
    body = licensing.packaged_text(known.package)
    assert sha256_hex(body) in known.copies
    assert licensing.canonical_sha256(body) in known.words
    assert licensing.is_readable(body)


def test_no_copy_is_of_two_licenses() -> None:
    copies = [sha256 for known in CATALOGUE.licenses.values() for sha256 in known.copies]
    assert len(copies) == len(set(copies))


def test_what_the_package_lacks_is_said() -> None:
    with pytest.raises(NotFound, match="package"):
        licensing.packaged_text("no-such-text")


async def test_an_exact_copy_is_recognized_and_the_same_words_are_only_suggested(session: AsyncSession) -> None:
    text = await licensing.add(session, REWRAPPED, title="LICENSE")
    assert await licensing.recognized(session, sha256_hex(EMOJI), catalogue=CATALOGUE) is not None
    assert await licensing.recognized(session, text.sha256, catalogue=CATALOGUE) is None
    found = await licensing.suggested(session, REWRAPPED, catalogue=CATALOGUE)
    assert [known.id for known in found] == ["gatekeeper-emoji-openrail-m"]


async def test_a_person_confirms_what_the_words_suggest(session: AsyncSession) -> None:
    text = await licensing.add(session, REWRAPPED, title="LICENSE")
    by = await make_person(session)
    with pytest.raises(Invalid, match="not those of"):
        await licensing.recognize(session, text, "mit", catalogue=CATALOGUE, by=by)
    with pytest.raises(Invalid, match="no license"):
        await licensing.recognize(session, text, "no-such-license", catalogue=CATALOGUE, by=by)
    await licensing.recognize(session, text, "gatekeeper-emoji-openrail-m", catalogue=CATALOGUE, by=by)
    known = await licensing.recognized(session, text.sha256, catalogue=CATALOGUE)
    assert known is not None
    assert known.id == "gatekeeper-emoji-openrail-m"
    assert await licensing.license_ids(session, {text.sha256, "0" * 64}) == {text.sha256: known.id}
    with pytest.raises(Conflict):
        await licensing.recognize(session, text, known.id, catalogue=CATALOGUE, by=by)
    [event] = await events(session, "licensing:text:recognize")
    assert (event.subject_id, event.actor_id, event.body["has_same_words"]) == (text.sha256, by.person_id, True)


async def test_the_operator_may_say_what_a_text_of_other_words_is(session: AsyncSession) -> None:
    text = await licensing.add(session, b"MIT, in our words.", title="LICENSE")
    administrator = await make_person(session, is_admin=True)
    with pytest.raises(Invalid):
        await licensing.recognize(session, text, "mit", catalogue=CATALOGUE, by=administrator)
    await licensing.recognize(session, text, "mit", catalogue=CATALOGUE, by=OPERATOR)
    [event] = await events(session, "licensing:text:recognize")
    assert event.body["has_same_words"] is False


async def test_words_of_a_text_of_the_operator_are_suggested(session: AsyncSession) -> None:
    await licensing.add_license(session, "openrail++", "The 2023 text, as “quoted”.".encode(), title="RAIL++")
    found = await licensing.suggested(session, b'The 2023 text, as  "quoted".', catalogue=CATALOGUE)
    assert [known.id for known in found] == ["openrail++"]
