"""Each act of a reviewer by page: by the right person it is done, for anybody else the request does not exist."""

import re

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access, accounts
from gatekeeper.access import AccessRequest, AccessStep
from gatekeeper.accounts import OPERATOR, Role
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import Site, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio

# act, what is typed, the state before, the state after
ACTS = [
    ("claim", {}, "in_review", "in_review"),
    ("unclaim", {}, "claimed", "in_review"),
    ("route", {"queue": "legal"}, "in_review", "in_review"),
    ("return", {"comment": "Which group?", "marked": "Affiliation"}, "in_review", "returned"),
    ("refer", {"referee": "alan", "question": "Do you know them?"}, "in_review", "referred"),
    ("recall", {}, "referred", "in_review"),
    ("vote", {"vote": "no", "vote_comment": "Unclear."}, "in_review", "in_review"),
    ("delegate", {"delegate": "alan", "delegate_comment": "They do the work."}, "in_review", "returned"),
    ("approve", {}, "in_review", "active"),
    ("approve", {"conditions": "Name us."}, "in_review", "awaiting_terms"),
    ("reject", {"reject_code": "purpose_unclear"}, "in_review", "rejected"),
    ("add-terms", {"new_conditions": "Name us."}, "active", "awaiting_terms"),
    ("suspend", {"suspend_code": "incident"}, "active", "suspended"),
    ("resume", {}, "suspended", "active"),
    ("revoke", {"revoke_reason": "Misused."}, "active", "revoked"),
    ("close", {}, "active", "closed"),
    ("cancel", {}, "rejected", "in_review"),
]
PREPARED = {
    "in_review": [],
    "claimed": [("claim", {})],
    "referred": [("refer", {"referee": "alan", "question": "Do you know them?"})],
    "active": [("approve", {})],
    "suspended": [("approve", {}), ("suspend", {"suspend_reason": "We look into it."})],
    "rejected": [("reject", {"reason": "No."})],
}


async def asked(site: Site) -> str:
    """Address of ada's request, for its reviewers."""
    await ask_for_access(await site.as_("ada"))
    async with site.gatekeeper.db.read() as session:
        return f"/admin/requests/{await session.scalar(sa.select(col(AccessRequest.id)))}"


async def do(browser: httpx2.AsyncClient, address: str, act: str, **typed: str) -> httpx2.Response:
    """Fill in one of the page's forms and send it."""
    page = await browser.get(address)
    version = inputs(page.text).get("version", "0")
    return await browser.post(f"{address}/{act}", data={"version": version} | typed)


async def state(site: Site) -> str:
    async with site.gatekeeper.db.read() as session:
        return str(await session.scalar(sa.select(col(AccessRequest.state))))


async def steps(site: Site) -> list[str]:
    async with site.gatekeeper.db.read() as session:
        return list(await session.scalars(sa.select(col(AccessStep.act)).order_by(col(AccessStep.id))))


@pytest.mark.parametrize(("act", "typed", "before", "after"), ACTS, ids=[f"{a}-{s}" for a, _, _, s in ACTS])
async def test_an_act_is_done_by_a_reviewer_and_by_nobody_else(
    site: Site, model: Repo, act: str, typed: dict[str, str], before: str, after: str
) -> None:
    address, grace = await asked(site), await site.as_("grace")
    for earlier, words_ in PREPARED[before]:
        assert (await do(grace, address, earlier, **words_)).status_code == 303
    page = await grace.get(address)
    assert f'action="{address}/{act}"' in page.text
    version, was = inputs(page.text)["version"], await steps(site)

    for name in ("ada", "alan"):
        refused = await (await site.as_(name)).post(f"{address}/{act}", data={"version": version} | typed)
        assert refused.status_code == 404
    assert await steps(site) == was
    answer = await do(grace, address, act, **typed)

    assert answer.status_code == 303, words(answer.text)
    assert await state(site) == after
    assert act in await steps(site)
    again = (await grace.get(answer.headers["location"])).text
    assert "notice" in again


# act, the field that is wrong, what was typed, the state before
WRONG = [
    ("approve", "ends_on", {"ends_on": "soon"}, "in_review"),
    ("approve", "ends_on", {"ends_on": "2001-01-01"}, "in_review"),
    ("approve", "conditions", {"conditions": "x" * 2_001}, "in_review"),
    ("reject", "reason", {"reason": "  "}, "in_review"),
    ("reject", "reason", {"reason": "x" * 2_001}, "in_review"),
    ("reject", "reject_code", {"reject_code": "incident", "reason": "No."}, "in_review"),
    ("reject", "reapply_on", {"reapply_on": "1-1-1", "reason": "No."}, "in_review"),
    ("reject", "reapply_on", {"reapply_on": "2001-01-01", "reason": "No."}, "in_review"),
    ("return", "comment", {"comment": ""}, "in_review"),
    ("return", "comment", {"comment": "Why?", "marked": "No such question"}, "in_review"),
    ("refer", "referee", {"referee": "no<body>", "question": "Well?"}, "in_review"),
    ("refer", "question", {"referee": "ada", "question": "Well?"}, "in_review"),
    ("refer", "question", {"referee": "alan", "question": ""}, "in_review"),
    ("vote", "vote_comment", {"vote": "perhaps"}, "in_review"),
    ("route", "queue", {"queue": "nowhere"}, "in_review"),
    ("delegate", "delegate", {"delegate": "nobody", "delegate_comment": "Well."}, "in_review"),
    ("delegate", "delegate_comment", {"delegate": "ada", "delegate_comment": "Well."}, "in_review"),
    ("suspend", "suspend_reason", {}, "active"),
    ("suspend", "suspend_code", {"suspend_code": "purpose_unclear"}, "active"),
    ("revoke", "revoke_reason", {"revoke_reason": ""}, "active"),
    ("add-terms", "new_conditions", {"new_conditions": " "}, "active"),
]


@pytest.mark.parametrize(("act", "field", "typed", "before"), WRONG, ids=[f"{a}-{f}" for a, f, _, _ in WRONG])
async def test_a_wrong_field_is_named_and_what_was_typed_is_kept(
    site: Site, model: Repo, act: str, field: str, typed: dict[str, str], before: str
) -> None:
    address, grace = await asked(site), await site.as_("grace")
    for earlier, said in PREPARED[before]:
        await do(grace, address, earlier, **said)
    was = await steps(site)

    answer = await do(grace, address, act, **typed)

    assert answer.status_code == 422
    assert f'href="#f-{field}"' in answer.text
    assert f'id="f-{field}"' in answer.text
    for name, value in typed.items():
        if name not in ("vote", "marked", "queue", "reject_code", "suspend_code"):  # choices, of which none fits
            assert value.replace("<", "&lt;").replace(">", "&gt;") in answer.text
    assert await steps(site) == was


async def test_the_person_asked_gives_an_opinion_without_being_a_reviewer(site: Site, model: Repo) -> None:
    address, grace, alan = await asked(site), await site.as_("grace"), await site.as_("alan")
    await do(grace, address, "refer", referee="alan", question="Do you <know> them?")

    mine = (await alan.get("/requests")).text
    page = await alan.get(address)
    empty = await do(alan, address, "answer", opinion=" ")
    closed = await do(alan, address, "approve")
    given = await do(alan, address, "answer", opinion="Yes, they are fine.")

    assert f'href="{address}"' in mine
    assert "Do you &lt;know&gt; them?" in page.text
    assert "ada@example.org" not in page.text
    assert (empty.status_code, closed.status_code, given.status_code) == (422, 404, 303)
    assert await state(site) == "in_review"
    assert (await alan.get(address)).status_code == 404
    assert "Yes, they are fine." in words((await grace.get(address)).text)


async def test_an_approval_that_only_counted_says_so(site: Site, model: Repo) -> None:
    address, grace, olga = await asked(site), await site.as_("grace"), await site.as_("olga")
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.update(AccessRequest).values(approvals_needed=2))

    first = await do(grace, address, "approve")
    counted = words((await grace.get(first.headers["location"])).text)
    twice = await do(grace, address, "approve")
    second = await do(olga, address, "approve")

    assert "Your approval counts" in counted
    assert "1 of 2 approvals given" in counted
    assert twice.status_code == 409
    assert "done=approved" in second.headers["location"]
    assert await state(site) == "active"


async def test_the_end_is_prefilled_as_the_stage_proposes(site: Site, model: Repo) -> None:
    address, grace = await asked(site), await site.as_("grace")
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.update(AccessRequest).values(grant_days=90))
        proposed = access.proposed_end(AccessRequest(repo_id="", person_id="", grant_days=90), now())

    assert f'value="{proposed:%Y-%m-%d}"' in (await grace.get(address)).text


async def test_nobody_handles_their_own_request(site: Site, model: Repo) -> None:
    address = await asked(site)
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        await accounts.organizations.add_member(session, lab, site.people["ada"], Role.ADMIN, by=OPERATOR)
    ada = await site.as_("ada")

    page = await ada.get(address)
    answers = {act: (await do(ada, address, act, **typed)).status_code for act, typed, _, _ in ACTS[:11]}

    assert "This is your own request" in words(page.text)
    assert not re.search(rf'action="{address}/', page.text)
    assert set(answers.values()) <= {403, 409}
    assert await state(site) == "in_review"


async def test_an_appeal_is_not_decided_by_who_decided_before(site: Site, model: Repo) -> None:
    address, grace, olga = await asked(site), await site.as_("grace"), await site.as_("olga")
    await do(grace, address, "reject", reason="No.")
    async with site.gatekeeper.db.write() as session:
        ada = await accounts.principals.for_person(session, site.people["ada"])
        request = await access.get(session, address.rpartition("/")[2])
        await access.appeal(session, request, by=ada, text="Look again.")

    page = words((await grace.get(address)).text)
    refused = await do(grace, address, "approve")
    done = await do(olga, address, "approve")

    assert "appeal against your own decision" in page
    assert refused.status_code == 403
    assert done.status_code == 303
    assert await state(site) == "active"
