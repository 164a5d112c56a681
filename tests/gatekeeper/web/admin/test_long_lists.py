"""Lists that go on over several pages: the links from page to page lead to every row, and to each once."""

import re
from html import unescape

import pytest

from gatekeeper import accounts, generation
from gatekeeper.access import AccessBlock, AccessGrant, Prerequisite
from gatekeeper.accounts import OPERATOR, Role
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.generation import Change
from gatekeeper.generation.tables import Strike, StrikeKind, StrikeState
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.admin import blocks, grants, organization_list, prerequisites, quotas, strikes
from tests.gatekeeper.web.site import MODEL, Site

pytestmark = pytest.mark.anyio

OF_HUB = ("/admin/organizations/crowd", "/admin/quotas")
NAMES = ["anna", "bert", "cora"]
LISTS = {
    "/admin/organizations": r"aria-labelledby=\"o-\w+\"",
    f"{MODEL}/grants": r"row-title\">(\w+)",
    "/admin/blocks": r"<strong>(\w+)</strong>: lab",
    "/admin/prerequisites": r"<strong>(\w+)</strong>: Country",
    "/admin/strikes": r"row-title\">(\w+)",
    "/admin/strikes?reviewed=yes": r"row-title\">(\w+)",
    "/admin/organizations/crowd/members": r"<p>(\w+) <span",
    "/admin/quotas": r"#change\">(\w+)</a>",
}


async def test_every_row_of_a_long_list_stands_on_one_of_its_pages(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (organization_list, "_PAGE"),
        (organization_list, "_SHOWN"),
        (organization_list, "_MEMBERS"),
        (quotas, "_PAGE"),
        (grants, "_PAGE"),
        (strikes, "PAGE"),
        (blocks, "PAGE"),
        (prerequisites, "PAGE"),
    ):
        monkeypatch.setattr(module, name, 1)
    async with site.gatekeeper.db.write() as session:
        grace = await accounts.principals.for_person(session, site.people["grace"])
        crowd = await accounts.organizations.create(session, "crowd", by=OPERATOR)
        for name in NAMES:
            person = await accounts.people.add(session, name, email=f"{name}@example.org", by=OPERATOR)
            await accounts.organizations.create(session, f"group-{name}", by=grace)
            await session.flush()  # the rows refer to them
            await accounts.organizations.add_member(session, crowd, person, Role.READ, by=OPERATOR)
            await generation.change_quota(session, person, Change(images_per_day=1), reason="Much.", by=grace)
            ended = now() if name == "anna" else None
            session.add(AccessGrant(repo_id=model.id, person_id=person.id, revoked_at=ended))
            key = await key_of(session, person.id)
            session.add(AccessBlock(person_id=person.id, repo_id=model.id, reason=key.words("No."), lifted_at=ended))
            shown = {"kind": "country", "value": "DE", "evidence": key.words("Seen."), "withdrawn_at": ended}
            session.add(Prerequisite(person_id=person.id, repo_id=model.id, **shown))
            for state in (StrikeState.OPEN, StrikeState.UPHELD):
                session.add(
                    Strike(
                        person_id=person.id,
                        repo_id=model.id,
                        kind=StrikeKind.PROMPT_RULE,
                        state=state,
                        reason="It was stopped.",
                        appealed_at=now() if name == "bert" else None,
                        reviewed_at=now() if state is StrikeState.UPHELD else None,
                    )
                )
    browser, olga = await site.as_("grace"), await site.as_("olga")

    seen: dict[str, list[str]] = {}
    for start, row in LISTS.items():
        at: str | None = start
        while at is not None:
            page = (await (olga if at.startswith(OF_HUB) else browser).get(at)).text
            seen.setdefault(start, []).extend(re.findall(row, page))
            more = re.search(r'rel="next"\s+href="([^"]+)"', page)
            at = unescape(more[1]) if more else None

    assert len(seen.pop("/admin/organizations")) == len(set(NAMES)) + 1  # and the lab
    assert [sorted(each) for each in seen.values()] == [NAMES] * 7
    found = (await olga.get("/admin/quotas?q=BE")).text + (
        await olga.get("/admin/organizations/crowd/members?q=BE")
    ).text
    assert [found.count(name) > 0 for name in NAMES] == [False, True, False]
    beside = (await olga.get("/admin/organizations")).text
    assert re.findall(r"<p>(anna|bert|cora) <span", beside) == ["anna"]
    assert "/admin/organizations/crowd/members" in beside
    assert (await browser.get("/admin/organizations/crowd/members")).status_code == 404, "she is no member"
    for ended_last in (f"{MODEL}/grants", "/admin/blocks", "/admin/prerequisites"):
        assert seen[ended_last][-1] == "anna"
    assert seen["/admin/strikes"][0] == "bert"  # appeals come first
