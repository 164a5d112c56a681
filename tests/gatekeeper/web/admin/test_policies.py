import io
import re
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from gatekeeper import authz
from gatekeeper.accounts.principal import OPERATOR
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.authz.folders import changed_folder
from tests.gatekeeper.web.site import URL, Site, words

pytestmark = pytest.mark.anyio

PAGE = "/admin/policies"
KNOW = (bundled_dir("policies") / "know.cedar").read_text()
WIDE, NARROW = '["research_preview", "gated", "open"].contains(resource.stage)', 'resource.stage == "open"'


async def test_the_matrix_is_printed_and_a_pasted_change_names_who_would_lose(site: Site, model: Repo) -> None:
    olga = await site.as_("olga")
    page = await olga.get(f"{PAGE}?file=know.cedar")
    assert "weights download owners members, terms accepted named testers, terms accepted" in words(page.text)
    assert "Research preview" in words(page.text)
    assert WIDE.replace('"', "&#34;") in page.text
    before = site.gatekeeper.policies.sha256
    sent = {"bundle": "", "file": "know.cedar", "text": KNOW.replace(WIDE, NARROW)}
    told = words((await olga.post(f"{PAGE}/simulate", data=sent)).text)
    assert "know it exists at gated: everyone becomes" in told
    assert "loses: everybody without an account know lab/emoji" in told
    same = words((await olga.post(f"{PAGE}/simulate", data=sent | {"text": KNOW})).text)
    assert same.count("Nothing changes.") == 3
    assert site.gatekeeper.policies.sha256 == before


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"file": "know.cedar", "text": "permit (nonsense"}, "text"),
        ({"file": "../../etc/passwd", "text": "x"}, "text"),
        ({"bundle": "0" * 64}, "bundle"),
    ],
)
async def test_what_cannot_be_used_is_said_and_changes_nothing(site: Site, sent: dict[str, str], field: str) -> None:
    answer = await (await site.as_("olga")).post(f"{PAGE}/simulate", data=sent)
    assert answer.status_code == 422
    assert re.search(rf'name="{field}"[^>]*aria-invalid', answer.text)


async def test_an_earlier_bundle_comes_back_by_an_administrator_who_means_it_and_signed_in_lately(
    site: Site, tmp_path: Path
) -> None:
    gatekeeper = site.gatekeeper
    folder = changed_folder(tmp_path, know=("// Who knows", "// Changed. Who knows"))
    async with gatekeeper.db.write() as session:
        first = await authz.follow_folder(session, gatekeeper.policies)
        await authz.activate(session, folder, by=OPERATOR, note="A clearer comment.")
    to = first.bundle_sha256
    olga, grace = await site.as_("olga"), await site.as_("grace")
    sent = {"to": to, f"sure-{to}": to, f"note-{to}": "It was clearer before."}

    page = (await olga.get(PAGE)).text
    assert "A clearer comment." in words(page)
    assert f'action="{PAGE}/rollback"' not in page, "what it would change is shown first"
    assert f'name="bundle" value="{to}"' in page
    looked = (await olga.post(f"{PAGE}/simulate", data={"bundle": to})).text
    assert f'action="{PAGE}/rollback"' in looked
    assert [(await grace.get(PAGE)).status_code, (await grace.post(f"{PAGE}/rollback", data=sent)).status_code] == [
        403
    ] * 2
    assert (await olga.post(f"{PAGE}/rollback", data=sent | {f"sure-{to}": ""})).status_code == 422
    assert (await olga.post(f"{PAGE}/rollback", data=sent | {f"note-{to}": " "})).status_code == 400
    with time_machine.travel(now() + timedelta(hours=1), tick=False):
        late = await olga.post(f"{PAGE}/rollback", data=sent)
    assert "done=rolled-back" not in late.headers.get("location", "")
    assert gatekeeper.policies.sha256 != to
    assert (await olga.post(f"{PAGE}/rollback", data=sent)).headers["location"] == f"{PAGE}?done=rolled-back"
    await olga.get(PAGE)
    assert gatekeeper.policies.sha256 == to


def zipped(folder: Path, top: str = "policies/", compression: int = zipfile.ZIP_STORED) -> bytes:
    """What somebody makes of a folder: everything in it below one name, and something that does not belong there."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            archive.write(path, top + path.relative_to(folder).as_posix())
        archive.writestr(f"{top}../../evil.cedar", "permit(principal, action, resource);")
        archive.writestr(f"{top}licenses/../../evil.txt", "evil")
    return written.getvalue()


async def test_a_folder_that_was_sent_is_put_in_force_by_who_saw_what_it_changes(
    site: Site, model: Repo, tmp_path: Path
) -> None:
    olga, grace = await site.as_("olga"), await site.as_("grace")
    async with site.gatekeeper.db.write() as session:
        await authz.follow_folder(session, site.gatekeeper.policies)
    before = site.gatekeeper.policies.sha256
    folder = changed_folder(tmp_path, know=("// Who knows", "// Changed. Who knows"))
    files = {"folder": ("policies.zip", zipped(folder))}
    assert (await grace.post(f"{PAGE}/candidates", files=files)).status_code == 403

    kept = (await olga.post(f"{PAGE}/candidates", files=files)).headers["location"]
    to = re.search(r"bundle=([0-9a-f]{64})", kept)[1]  # type: ignore[index]
    assert to == authz.check(folder).sha256, "nothing else of the archive belongs to it"
    await olga.get(kept)
    assert site.gatekeeper.policies.sha256 == before
    seen = await olga.post(f"{PAGE}/simulate", data={"bundle": to})
    assert words(seen.text).count("Nothing changes.") == 3
    assert f'name="instead_of" value="{before}"' in seen.text

    sent = {"to": to, "instead_of": before, f"sure-{to}": to, f"note-{to}": "A clearer comment."}
    assert (await grace.post(f"{PAGE}/activate", data=sent)).status_code == 403
    refused = {f"sure-{to}": "", f"note-{to}": " ", "instead_of": to, "to": "0" * 64}
    for field, wrong in refused.items():
        assert (await olga.post(f"{PAGE}/activate", data=sent | {field: wrong})).status_code in (400, 404, 409, 422)
    with time_machine.travel(now() + timedelta(hours=1), tick=False):
        late = await olga.post(f"{PAGE}/activate", data=sent, headers={"referer": f"{URL}{PAGE}/simulate"})
    assert late.headers["location"] == f"/login?again=1&next={PAGE}/simulate"
    assert (await olga.get(f"{PAGE}/simulate")).headers["location"] == PAGE, "it shows what was sent, which is gone"
    await olga.get(PAGE)
    assert site.gatekeeper.policies.sha256 == before

    assert (await olga.post(f"{PAGE}/activate", data=sent)).headers["location"] == f"{PAGE}?done=policies-active"
    await olga.get(PAGE)
    assert site.gatekeeper.policies.sha256 == to


@pytest.mark.parametrize("what", ["no archive", "another archive", "a syntax error", "a case that fails", "too much"])
async def test_a_bad_folder_is_refused_with_what_is_wrong_and_the_old_one_stays(
    site: Site, tmp_path: Path, what: str
) -> None:
    said = {"a syntax error": "know.cedar", "a case that fails": "should be", "too much": "4 MiB"}.get(what, "")
    match what:
        case "no archive":
            archive = b"PK no"
        case "another archive":
            (tmp_path / "a.txt").write_text("a")
            archive = zipped(tmp_path)
        case "a syntax error":
            archive = zipped(changed_folder(tmp_path, know=("permit", "permitt")))
        case "a case that fails":
            archive = zipped(changed_folder(tmp_path, know=(WIDE, NARROW)))
        case _:
            folder = changed_folder(tmp_path, know=("// Who", "// Who"))
            (folder / "licenses" / "large.txt").write_bytes(bytes(5 * 2**20))
            archive = zipped(folder, compression=zipfile.ZIP_DEFLATED)
    before = site.gatekeeper.policies.sha256
    answer = await (await site.as_("olga")).post(f"{PAGE}/candidates", files={"folder": ("x.zip", archive)})
    assert answer.status_code == 422
    assert said in words(answer.text)
    assert site.gatekeeper.policies.sha256 == before
