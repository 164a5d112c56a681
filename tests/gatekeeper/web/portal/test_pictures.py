import io
import re

import httpx2
import pytest
from PIL import Image
from sqlalchemy import select
from sqlmodel import col

from gatekeeper import accounts, releases, repos
from gatekeeper.community import pulls
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, Gate, RepoKind, history, samples
from tests.gatekeeper.web.site import CARD, Site

pytestmark = pytest.mark.anyio

_WIDGET = "widget:\n- text: a  red\n    apple\n  output:\n    url: samples/apple.png\n"
SAMPLED = CARD.replace("extra_gated_fields", f"{_WIDGET}extra_gated_fields") + "\n![A plot](plots/fid.png)\n"


def png(color: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (640, 640), color).save(out, "PNG")
    return out.getvalue()


FILES = {"samples/apple.png": png(), "samples/other.png": png("blue"), "plots/fid.png": png("green")}


def shown(page: httpx2.Response) -> list[str]:
    return re.findall(r'<img[^>]*src="(/[^"]*/picture/[^"]*)"', page.text)


async def test_a_card_shows_its_samples_with_their_prompts_and_lists_show_one(site: Site) -> None:
    await site.model(card=SAMPLED, more=FILES)
    nobody = site.browser()

    page, models = await nobody.get("/lab/emoji"), await nobody.get("/models?q=emoji")

    assert 'alt="Sample for “a red apple”"' in page.text
    (small,) = shown(models)
    assert shown(page) == [small]  # of the plot, which lies behind the gate, there is a link
    assert "A plot (image among the files)" in page.text
    answer = await nobody.get(small)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert Image.open(io.BytesIO(answer.content)).size == (320, 320)
    again = await nobody.get(small, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    async with site.gatekeeper.db.read() as session:
        downloads = select(LedgerEvent).where(col(LedgerEvent.kind) == "repos:file:download")
        assert not (await session.scalars(downloads)).all()


async def test_only_what_the_card_names_is_shown_and_what_is_refused_is_as_what_is_not_there(site: Site) -> None:
    await site.model(card=SAMPLED, more=FILES)
    nobody, owner = site.browser(), await site.as_("grace")
    base = shown(await nobody.get("/lab/emoji"))[0].partition("/samples/")[0]

    unnamed = [await browser.get(f"{base}/samples/other.png") for browser in (nobody, owner)]
    missing, behind = await nobody.get(f"{base}/samples/none.png"), await nobody.get(f"{base}/plots/fid.png")

    assert {answer.status_code for answer in (*unnamed, missing, behind)} == {404}
    assert missing.headers["x-error-message"] == behind.headers["x-error-message"]
    assert (await owner.get(f"{base}/plots/fid.png")).status_code == 200
    assert any("plots/fid.png" in address for address in shown(await owner.get("/lab/emoji")))


async def test_what_is_no_image_is_not_shown_whatever_its_name(site: Site) -> None:
    await site.model(card=SAMPLED, more={"samples/apple.png": b"<svg onload=alert(1)>"})
    owner = await site.as_("grace")

    (address,) = shown(await owner.get("/models?q=emoji"))

    assert (await owner.get(address)).status_code == 404


async def test_a_hold_takes_the_pictures_away_and_a_draft_has_none_for_others(site: Site) -> None:
    repo = await site.model(card=SAMPLED, more=FILES)
    await site.model("secret", stage=Stage.DRAFT, card=SAMPLED, more=FILES)
    nobody, owner = site.browser(), await site.as_("grace")
    (address,) = shown(await nobody.get("/models"))
    (hidden,) = {each for each in shown(await owner.get("/models")) if "/secret/" in each}
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        await releases.hold(session, (await releases.list_for(session, repo))[0], by=by, reason="Faces were reported.")

    assert (await nobody.get(address)).status_code == 404
    assert not shown(await nobody.get("/models"))
    assert (await nobody.get(hidden)).headers["x-error-code"] == "RepoNotFound"
    assert (await owner.get(hidden)).status_code == 200


async def test_a_pull_request_publishes_no_picture_of_a_gated_repository(site: Site) -> None:
    repo = await site.plain(RepoKind.MODEL, "gated", gate=Gate.MANUAL)
    async with site.gatekeeper.db.write() as session:
        owner = await accounts.principals.for_person(session, site.people["grace"])
        await repos.commit(session, repo, "main", [AddFile("a.png", png())], summary="More", by=owner)
        ada = await accounts.principals.for_person(session, site.people["ada"])
        base = await history.resolve_revision(session, repo, "main")
        pull = await pulls.open_pull(session, repo, title="Mine", text="", by=ada, base=base)
        card = [AddFile("README.md", b"---\nthumbnail: a.png\n---\nMine\n")]
        store = site.gatekeeper.store
        made = await pulls.commit(session, repo, pull, card, summary="Mine", by=ada, store=store, may_write=False)
    browsers = {name: await site.as_(name) for name in ("ada", "grace")}

    answers = {
        name: (await browser.get(f"/lab/gated/picture/{made}/a.png")).status_code for name, browser in browsers.items()
    }

    assert answers == {"ada": 404, "grace": 200}


def test_samples_are_images_of_the_repository_alone() -> None:
    addresses = ["https://else.example/a.png", "//else.example/a.png", "/settings.png", "../../x.png", "a%2F..%2Fb.png"]
    addresses += ["a.svg", "a.html", 7, None, "./pictures/a%20b.PNG"]
    data = {"thumbnail": addresses[0], "widget": [{"output": {"url": address}} for address in addresses] + ["x", {}]}

    assert [each.path for each in samples.samples_of(data)] == ["pictures/a b.PNG"]
    assert samples.samples_of({"widget": "x"}) == ()
