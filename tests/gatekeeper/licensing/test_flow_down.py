import sys
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing, repos
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.licensing import Catalogue, FlowDown, Place, flow_down
from gatekeeper.repos import Repo
from gatekeeper.repos.mirrors.tables import Mirror
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio

CATALOGUE = Catalogue.load(bundled_dir("policies"))
EMOJI = (bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt").read_bytes()
LOOSER = b"A license of the operator's that forbids less."


@pytest.fixture
async def lab(session: AsyncSession) -> Principal:
    await licensing.add_license(session, "creativeml-openrail-m", LOOSER, title="C")
    return await make_person(session, "lab")


@pytest.fixture
async def base(session: AsyncSession, lab: Principal) -> Repo:
    repo, _ = await make_repo(session, lab, name="base", files={"LICENSE": EMOJI})
    return repo


async def owed(
    session: AsyncSession, text: bytes, *, notice: str = "NOTICE", named: str = "lab/base", shown: bool = True
) -> FlowDown:
    card = f"---\nbase_model: {named}\n---\n# Made from it\n".encode()
    files = {"README.md": card, "LICENSE": text} | ({notice: b"The unet was tuned."} if notice else {})
    repo, commit = await make_repo(session, await make_person(session), files=files)
    return await licensing.flow_down(session, repo, commit, catalogue=CATALOGUE, place_of=place_of(session, shown))


def place_of(session: AsyncSession, shown: bool = True) -> Callable[[Repo], Awaitable[Place | None]]:
    async def at_main(base: Repo) -> Place | None:
        return Place(await repos.resolve_revision(session, base, "main")) if shown else None

    return at_main


async def test_the_base_s_own_text_with_a_notice_is_enough(session: AsyncSession, base: Repo) -> None:
    found = await owed(session, EMOJI)
    assert found.is_met
    assert found.bases == ("lab/base",)


async def test_what_a_looser_text_does_not_forbid_is_missing(session: AsyncSession, base: Repo) -> None:
    [one] = (await owed(session, LOOSER)).owed
    assert (one.base, one.license.id) == ("lab/base", "gatekeeper-emoji-openrail-m")
    assert set(one.missing) == {"disclose", "impersonate"}


async def test_a_base_that_was_renamed_is_found_by_the_name_that_cards_know(
    session: AsyncSession, base: Repo, lab: Principal
) -> None:
    await repos.move(session, base, "lab", "renamed", by=lab)
    assert [one.base for one in (await owed(session, LOOSER)).owed] == ["lab/renamed"]


async def test_a_text_that_nobody_read_passes_nothing_on(session: AsyncSession, base: Repo) -> None:
    [one] = (await owed(session, b"Do as you like.")).owed
    assert one.missing == one.license.restrictions


async def test_a_stricter_text_may_be_another_one(session: AsyncSession, base: Repo) -> None:
    await licensing.add_license(session, "bigcode-openrail-m", b"Forbids more.", title="G")
    assert (await owed(session, b"Forbids more.")).is_met


@pytest.mark.parametrize("notice", ["NOTICE", "CHANGES.md", "changelog.md"])
async def test_changes_are_said_in_a_file(session: AsyncSession, base: Repo, notice: str) -> None:
    assert (await owed(session, EMOJI, notice=notice)).is_met
    assert (await owed(session, EMOJI, notice="")).lacks_notice


async def test_changes_may_be_said_in_the_card(session: AsyncSession, base: Repo, lab: Principal) -> None:
    card = b"---\nbase_model: lab/base\n---\n# Model\n\n## What was changed\n\nThe unet.\n"
    repo, commit = await make_repo(session, lab, files={"README.md": card, "LICENSE": EMOJI})
    assert (await licensing.flow_down(session, repo, commit, catalogue=CATALOGUE, place_of=place_of(session))).is_met


async def test_a_rail_text_whose_restrictions_are_not_worked_out_is_carried_itself(
    session: AsyncSession, lab: Principal
) -> None:
    await licensing.add_license(session, "responsible-ai-source-1.1", b"RAISE text.", title="R")
    await make_repo(session, lab, name="base", files={"LICENSE": b"RAISE text."})
    [one] = (await owed(session, EMOJI)).owed
    assert one.needs_text
    assert (await owed(session, b"RAISE text.")).is_met


@pytest.mark.parametrize("named", ["somebody/else", "lab", "no such name!", '"a\\0b/c"', "x" * 5000])
async def test_a_base_that_is_not_here_owes_nothing(session: AsyncSession, base: Repo, named: str) -> None:
    found = await owed(session, b"Do as you like.", notice="", named=named)
    assert found.is_met
    assert found.bases == ()


def made_from(*names: str) -> bytes:
    return f"---\nbase_model: [{', '.join(names)}]\n---\n# Made from it\n".encode()


async def test_restrictions_flow_through_whatever_stands_between(
    session: AsyncSession, base: Repo, lab: Principal
) -> None:
    free = {"README.md": made_from("lab/base"), "LICENSE": b"Do as you like."}
    between, _ = await make_repo(session, lab, name="between", files=free)
    await repos.move(session, between, "lab", "moved", by=lab)
    [one] = (await owed(session, LOOSER, named="lab/between")).owed
    assert (one.base, set(one.missing)) == ("lab/base", {"disclose", "impersonate"})
    assert (await owed(session, EMOJI, named="lab/between")).is_met


async def test_the_restrictions_of_all_bases_together_are_asked_for(
    session: AsyncSession, base: Repo, lab: Principal
) -> None:
    await licensing.add_license(session, "bigcode-openrail-m", b"Forbids malware, too.", title="G")
    stricter = {"README.md": made_from("lab/base"), "LICENSE": b"Forbids malware, too."}
    await make_repo(session, lab, name="stricter", files=stricter)
    assert {one.base for one in (await owed(session, LOOSER, named="lab/stricter")).owed} == {
        "lab/base",
        "lab/stricter",
    }
    [one] = (await owed(session, EMOJI, named="lab/stricter")).owed
    assert (one.base, one.missing) == ("lab/stricter", ("malware",))


async def test_models_that_name_each_other_are_each_judged_once(session: AsyncSession, lab: Principal) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        await make_repo(session, lab, name=name, files={"README.md": made_from(f"lab/{other}"), "LICENSE": EMOJI})
    assert (await owed(session, EMOJI, named="lab/one")).bases == ("lab/one", "lab/two")


async def test_a_chain_that_is_too_long_is_not_taken_for_good(
    session: AsyncSession, lab: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[flow_down.__module__], "MOST_BASES", 3)
    for number in range(4):
        card = {"README.md": made_from(f"lab/link{number - 1}")}
        await make_repo(session, lab, name=f"link{number}", files=card)
    assert (await owed(session, b"Any text.", named="lab/link2")).is_met
    assert (await owed(session, b"Any text.", named="lab/link3")).is_too_long


async def test_a_mirror_is_a_base_by_the_name_of_what_it_mirrors(
    session: AsyncSession, base: Repo, lab: Principal
) -> None:
    session.add(
        Mirror(
            repo_id=base.id,
            endpoint="https://hub.example.org",
            upstream="Maker/Model",
            revisions=[],
            heads={},
            first="0" * 40,
        )
    )
    [one] = (await owed(session, LOOSER, named="maker/model")).owed
    assert one.base == "lab/base"


async def test_a_base_that_may_not_be_named_is_not_spoken_of(session: AsyncSession, base: Repo) -> None:
    assert (await owed(session, b"Do as you like.", notice="", shown=False)) == FlowDown((), (), False)
