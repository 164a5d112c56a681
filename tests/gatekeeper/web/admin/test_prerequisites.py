import re
from datetime import timedelta

import pytest
import time_machine

from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio

PAGE = "/admin/prerequisites"
DEMAND = {"demand-repository": "lab/emoji", "demand-kind": "country", "demand-value": "de, FR"}
SHOWN = {
    "vouch-person": "ada",
    "vouch-kind": "country",
    "vouch-value": "DE",
    "vouch-evidence": "Letter of <the> university.",
    "vouch-place": "repo",
    "vouch-repository": "lab/emoji",
    "vouch-until": (now() + timedelta(days=3)).date().isoformat(),
}


async def test_what_is_demanded_is_shown_recorded_taken_back_and_seen_by_the_applicant(site: Site, model: Repo) -> None:
    grace, ada = await site.as_("grace"), await site.as_("ada")

    async def told() -> str:
        return words((await ada.get(f"{MODEL}/access")).text)

    assert "What access needs beside approval" not in await told()
    assert (await grace.post(f"{PAGE}/demands", data=DEMAND)).status_code == 303
    before = await told()
    assert "Missing: Country (DE, FR)" in before
    assert "Send the maintainers what shows the country" in before
    assert (await grace.post(PAGE, data=SHOWN)).status_code == 303
    during = await told()
    assert "Yours counts until" in during
    assert "Missing" not in during
    with time_machine.travel(now() + timedelta(days=5)):
        assert "Yours lapsed on" in words((await (await site.as_("ada")).get(f"{MODEL}/access")).text)
    page = (await grace.get(PAGE)).text
    assert "Letter of &lt;the&gt; university." in page
    [back] = re.findall(r'action="(/admin/prerequisites/[^"]+/withdraw)"', page)
    reason = f"reason-{back.split('/')[3]}"
    strangers = [
        (await (await site.as_(name)).post(back, data={reason: "No."})).status_code for name in ("ada", "alan")
    ]
    assert strangers == [404, 404]
    assert (await grace.post(back, data={reason: " "})).status_code == 400
    assert (await grace.post(back, data={reason: "It was another person's."})).status_code == 303
    assert "Missing: Country" in await told()
    [waive] = re.findall(r'action="(/admin/prerequisites/demands/[^"]+/waive)"', page)
    assert (await ada.post(waive)).status_code == 404
    assert (await grace.post(waive)).status_code == 303
    assert "What access needs beside approval" not in await told()


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("vouch-person", "nobody", 422),
        ("vouch-person", "grace", 403),
        ("vouch-kind", "fame", 400),
        ("vouch-value", "Atlantis", 400),
        ("vouch-evidence", "", 400),
        ("vouch-evidence", "x" * 3000, 400),
        ("vouch-place", "everywhere", 422),
        ("vouch-repository", "lab/other", 422),
        ("vouch-until", "soon", 422),
        ("vouch-until", "2001-01-01", 400),
    ],
)
async def test_each_wrong_field_is_named_and_nothing_is_lost(
    site: Site, model: Repo, field: str, value: str, status: int
) -> None:
    answer = await (await site.as_("grace")).post(PAGE, data=SHOWN | {field: value})
    assert answer.status_code == status
    assert re.search(rf'name="{field}"[^>]*aria-invalid', answer.text)
    assert 'value="lab/emoji"' in answer.text or field == "vouch-repository"
    assert "Nothing is recorded" in words(answer.text)
