"""The transparency report: a page and data for everybody, and the refusals that it counts."""

import pytest

from gatekeeper.repos import Repo
from gatekeeper.web.templating import tick
from gatekeeper.worker import sum_up
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio


async def test_before_the_first_report_the_page_says_so(site: Site) -> None:
    page = await site.browser().get("/transparency")
    assert page.status_code == 200
    assert "Not made yet" in words(page.text)


async def test_refusals_by_rule_and_stages_are_told_to_everybody(site: Site, model: Repo) -> None:
    browser = site.browser()
    for _ in range(7):
        refused = await browser.get(f"{MODEL}/resolve/main/unet/config.json")
        assert refused.status_code in (401, 403)
    await sum_up(site.gatekeeper)
    page = await browser.get("/transparency")
    text = words(page.text)
    assert "What the rules refused" in text
    assert f"curl {site.url}/api/ledger/key" in text
    assert "Median days to a decision" in text
    assert "fewer than 5" in text  # one model stands at a stage
    report = (await browser.get("/api/transparency")).json()
    assert [share["count"] for share in report["denials"]] == [7]
    assert report["stages"] == [{"cause": "gated", "count": None}]
    assert report["months"][-1]["denied"] == 7


def test_months_are_named_under_their_columns_and_days_numbered() -> None:
    assert [tick(label) for label in ("2026-01", "2025-12", "2026-12-24", "07")] == ["Jan", "Dec", "24", "07"]
