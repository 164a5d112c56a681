import re
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
from tests.gatekeeper.web.site import Site, words

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

    assert "A clearer comment." in words((await olga.get(PAGE)).text)
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
