"""What an applicant does by page: drafts, answers asked back, appeals, conditions, renewals, and the end."""

import re
from datetime import timedelta

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access, accounts
from gatekeeper.access import AccessGrant, AccessRequest, RequestState
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, accept_terms, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio

CARD = """---
license: other
license_name: gatekeeper-emoji-openrail-m
library_name: diffusers
pipeline_tag: text-to-image
extra_gated_fields:
  Use:
    type: multi_select
    options: [Research, Teaching, Art]
    max_choices: 2
  Reviewed:
    type: select
    options: ["Yes", "No"]
  Board:
    type: text
    when: {Reviewed: "Yes"}
    help: Who looked at it.
  Plan:
    type: long_text
    min_chars: 10
  Remarks:
    type: text
    optional: true
---
# Emoji

A small model that draws emoji from their names, made for tests of these pages and for nothing else at all.
"""


async def request_of(site: Site) -> AccessRequest:
    async with site.gatekeeper.db.read() as session:
        found = await session.scalars(sa.select(AccessRequest).order_by(col(AccessRequest.id).desc()))
        return found.all()[0]


async def decide(site: Site, act: str, **values: object) -> None:
    """A reviewer's act, by its verb."""
    async with site.gatekeeper.db.write() as session:
        grace = await accounts.principals.for_person(session, site.people["grace"])
        request = await access.get(session, (await request_of(site)).id)
        await getattr(access, act)(session, request, by=grace, **values)


async def fill(browser: httpx2.AsyncClient, address: str, **answers: object) -> httpx2.Response:
    """Fill in the questions, once the license is accepted, and send them."""
    page = (await browser.get(address)).text
    if 'name="accept-1"' in page:
        await accept_terms(browser)
        page = (await browser.get(address)).text
    return await browser.post(f"{MODEL}/access", data=inputs(page) | answers)


async def test_every_kind_of_question_is_asked_and_each_mistake_is_named(site: Site) -> None:
    await site.model(card=CARD)
    ada = await site.as_("ada")
    await accept_terms(ada)

    page = (await ada.get(f"{MODEL}/access")).text
    wrong = await fill(ada, f"{MODEL}/access", **{"q-0": ["Research", "Art", "Teaching"], "q-1": "Yes", "q-3": "<b>"})
    right = await fill(
        ada, f"{MODEL}/access", **{"q-0": ["Research", "Art"], "q-1": "No", "q-2": "hidden", "q-3": "A longer plan."}
    )

    assert "Answer only if “Reviewed” is “Yes”. Who looked at it." in words(page)
    assert page.count("(optional)") == 1
    assert re.search(r'<textarea[^>]+name="q-3"', page)
    assert len(re.findall(r'type="checkbox"\s+id="[^"]+"\s+name="q-0"', page)) == 3
    assert wrong.status_code == 422
    for name in ("q-0", "q-2", "q-3"):
        assert f'href="#f-{name}"' in wrong.text
        assert f'id="f-{name}"' in wrong.text
    assert "&lt;b&gt;" in wrong.text
    assert len(re.findall(r'name="q-0"\s+value="\w+" checked', wrong.text)) == 3
    assert right.status_code == 303
    assert (await request_of(site)).fields == {"Use": ["Research", "Art"], "Reviewed": "No", "Plan": "A longer plan."}


BAD = [
    ("q-0", "Cooking", "must be one of"),
    ("q-0", ["Research", "Research", "Art", "Teaching"], "More was chosen"),
    ("q-1", "Perhaps", "must be one of"),
    ("q-3", "short", "at least 10"),
    ("q-3", "x" * 10_001, "at most 10,000"),
    ("q-3", "control \x07 character", "control characters"),
    ("q-4", "x" * 2_001, "at most 2,000"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(BAD)])
async def test_a_bad_answer_is_refused_beside_its_field_and_nothing_is_kept(
    site: Site, name: str, value: object, said: str
) -> None:
    await site.model(card=CARD)
    ada = await site.as_("ada")
    good = {"q-0": ["Art"], "q-1": "No", "q-3": "A longer plan."}

    answer = await fill(ada, f"{MODEL}/access", **(good | {name: value}))

    assert answer.status_code == 422
    assert f'href="#f-{name}"' in answer.text
    assert said in words(answer.text)
    assert "You have asked for nothing yet" in words((await ada.get("/requests")).text)


async def test_a_draft_is_kept_for_its_author_alone_and_sent_later(site: Site) -> None:
    await site.model(card=CARD)
    ada, grace = await site.as_("ada"), await site.as_("grace")

    saved = await fill(ada, f"{MODEL}/access", **{"q-3": "Not done", "q-0": ["Art"], "save": "yes"})
    page = (await ada.get(f"{MODEL}/access")).text
    draft = await request_of(site)
    hidden = await grace.get(f"/admin/requests/{draft.id}")
    sent = await fill(ada, f"{MODEL}/access", **{"q-0": ["Art"], "q-1": "No", "q-3": "Now it is done."})

    assert saved.headers["location"].endswith("done=draft-saved")
    assert draft.state is RequestState.DRAFT
    assert "Not done" in page
    assert re.search(r'value="Art" checked', page)
    assert "No receipts yet" not in words((await ada.get("/receipts")).text)
    assert hidden.status_code == 404
    assert sent.status_code == 303
    assert (await request_of(site)).state is RequestState.IN_REVIEW


async def test_a_draft_that_is_too_long_is_refused_and_can_be_thrown_away(site: Site) -> None:
    await site.model(card=CARD, stage=Stage.RESEARCH_PREVIEW)
    ada = await site.as_("ada")
    page = (await ada.get(f"{MODEL}/access")).text

    ticked = {"accept-1": re.findall(r'name="accept-1"\s+value="(\w+)"', page)[0], "institution": "Lovelace <&>"}
    long = await ada.post(f"{MODEL}/access", data=inputs(page) | ticked | {"q-3": "x" * 10_001, "save": "yes"})
    await ada.post(f"{MODEL}/access", data={"q-3": "words", "save": "yes"})
    thrown = await ada.post(f"{MODEL}/access/withdraw", data={"what": "request"})

    assert long.status_code == 422
    assert 'href="#f-q-3"' in long.text
    assert re.search(rf'name="accept-1"\s+value="{ticked["accept-1"]}" checked', long.text)
    assert 'value="Lovelace &lt;&amp;&gt;"' in long.text
    assert inputs(long.text)["presentation"] == inputs(page)["presentation"]
    assert "A draft keeps your answers." in words(page)
    assert thrown.headers["location"] == "/requests?done=withdrawn"
    assert (await request_of(site)).state is RequestState.WITHDRAWN


async def test_a_returned_request_shows_what_is_asked_and_the_old_answers(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada, **{"q-0": "Old <answer>"})
    await decide(site, "give_back", comment="Which <group>?", marked=("Affiliation",))

    page = (await ada.get(f"{MODEL}/access")).text
    mine = words((await ada.get("/requests")).text)
    saved = await fill(ada, f"{MODEL}/access", **{"q-0": "Half an <answer>", "save": "yes"})
    drafted, reviewed = await request_of(site), await (await site.as_("grace")).get("/admin/requests")
    kept = (await ada.get(f"{MODEL}/access")).text
    review = await (await site.as_("grace")).get(f"/admin/requests/{drafted.id}")
    again = await fill(ada, f"{MODEL}/access", **{"q-0": "New answer", "q-1": "DE", "q-2": "yes"})

    assert "Which &lt;group&gt;?" in page
    assert "It is about: Affiliation" in words(page)
    assert "Send it again" in words(page)
    assert "Ask for access" not in words(page)
    assert 'value="Old &lt;answer&gt;"' in page
    assert "Answer what was asked" in mine
    assert saved.headers["location"].endswith("done=draft-saved")
    assert 'value="Half an &lt;answer&gt;"' in kept
    assert (drafted.state, drafted.fields["Affiliation"]) == (RequestState.RETURNED, "Old <answer>")
    assert "Old &lt;answer&gt;" in review.text
    assert "Half an" not in review.text + reviewed.text
    assert again.status_code == 303
    request = await request_of(site)
    assert (request.state, request.fields["Affiliation"]) == (RequestState.IN_REVIEW, "New answer")
    assert request.draft == {}


async def test_answers_are_taken_back_and_changed(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/access/correct")

    assert answer.headers["location"].endswith("done=corrected")
    assert 'value="University"' in (await ada.get(f"{MODEL}/access")).text


async def test_conditions_are_agreed_to_as_they_were_read(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await decide(site, "approve", conditions="Name <us>.")
    page = (await ada.get(f"{MODEL}/access")).text
    digest = re.search(r'name="confirm"\s+value="([0-9a-f]{64})"', page)
    assert digest is not None

    silent = await ada.post(f"{MODEL}/access/confirm", data={})
    other = await ada.post(f"{MODEL}/access/confirm", data={"confirm": "0" * 64})
    agreed = await ada.post(f"{MODEL}/access/confirm", data={"confirm": digest[1]})

    assert "Name &lt;us&gt;." in page
    for refused in (silent, other):
        assert refused.status_code == 422
        assert 'href="#f-confirm"' in refused.text
    assert agreed.status_code == 303
    assert "You have access" in words((await ada.get(MODEL)).text)


async def test_a_rejection_is_appealed_once_and_the_words_are_kept(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await decide(site, "reject", reason="No.")

    empty = await ada.post(f"{MODEL}/access/appeal", data={"appeal": " "})
    long = await ada.post(f"{MODEL}/access/appeal", data={"appeal": "x" * 2_001})
    sent = await ada.post(f"{MODEL}/access/appeal", data={"appeal": "Look again, please."})
    twice = await ada.post(f"{MODEL}/access/appeal", data={"appeal": "And again."})

    assert (empty.status_code, long.status_code, sent.status_code, twice.status_code) == (422, 422, 303, 409)
    assert 'href="#f-appeal"' in long.text
    assert "x" * 2_001 in long.text
    assert (await request_of(site)).state is RequestState.IN_REVIEW


async def test_access_with_an_end_is_renewed_while_it_lasts(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await decide(site, "approve", ends_at=now() + timedelta(days=5))

    plain = (await ada.get(f"{MODEL}/access")).text
    page = (await ada.get(f"{MODEL}/access?renew=1")).text
    reminded = words((await ada.get("/")).text)
    sent = await ada.post(f"{MODEL}/access", data=inputs(page) | {"q-0": "Still there", "q-1": "DE", "q-2": "yes"})
    asked = await request_of(site)
    not_again = words((await ada.get("/")).text)
    waiting = (await ada.get(f"{MODEL}/access")).text
    back = await ada.post(f"{MODEL}/access/withdraw", data={"what": "request"})

    assert "Renew your access" in words(plain)
    assert "Renew it" in reminded
    assert "Renew it" not in not_again
    assert 'name="q-0"' not in plain
    assert 'value="University"' in page
    assert sent.status_code == 303
    assert (asked.state, asked.predecessor_id is not None) == (RequestState.IN_REVIEW, True)
    assert 'name="q-0"' not in waiting
    assert back.headers["location"] == "/requests?done=withdrawn"
    async with site.gatekeeper.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).where(col(AccessGrant.revoked_at).is_(None))) == 1


async def test_who_is_approved_without_the_institution_that_downloads_need_asks_again_and_names_it(site: Site) -> None:
    await site.model(stage=Stage.RESEARCH_PREVIEW)
    ada = await site.as_("ada")
    await ask_for_access(ada, **{"q-0": "none"})
    await decide(site, "approve")

    box = words((await ada.get(MODEL)).text)
    page = (await ada.get(f"{MODEL}/access")).text
    sent = await ada.post(f"{MODEL}/access", data=inputs(page) | {"q-0": "Saarland", "q-1": "DE", "q-2": "yes"})
    waiting = words((await ada.get(MODEL)).text)
    await decide(site, "approve")
    after = words((await ada.get(MODEL)).text)

    assert "Approved: ask again and name your institution" in box
    assert "Weights go to people who named their institution. Ask again and name it." in words(page)
    assert "You can use the model now" not in words(page)
    assert 'value="none"' in page
    assert sent.headers["location"].endswith("done=requested")
    assert "Waiting for a maintainer" in waiting
    assert "You have access" in after


async def test_who_gave_access_up_tells_what_became_of_the_copies(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await decide(site, "approve")
    for page in ((await ada.get("/requests")).text, (await ada.get(f"{MODEL}/access")).text):
        assert f'button-main" href="{MODEL}/playground">Open the playground' in " ".join(page.split())
        assert "to come back you have to ask again" in words(page)
    given_up = await ada.post(f"{MODEL}/access/withdraw")

    odd = await ada.post(f"{MODEL}/access/close-out", data={"close_out": "sold"})
    said = await ada.post(f"{MODEL}/access/close-out", data={"close_out": "deleted", "close_out_comment": "All."})
    twice = await ada.post(f"{MODEL}/access/close-out", data={"close_out": "deleted"})

    assert given_up.headers["location"] == "/requests?done=given-up"
    assert odd.status_code == 422
    assert 'href="#f-close_out"' in odd.text
    assert (said.status_code, twice.status_code) == (303, 409)
    assert str((await request_of(site)).close_out) == "deleted"


async def test_who_gave_access_up_is_offered_the_form_again(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await decide(site, "approve")
    await ada.post(f"{MODEL}/access/withdraw")

    mine, page = words((await ada.get("/requests")).text), (await ada.get(f"{MODEL}/access")).text
    again = await ada.post(f"{MODEL}/access", data=inputs(page) | {"q-0": "University", "q-1": "DE", "q-2": "yes"})

    assert "Ask again" in mine
    assert "was revoked" not in words(page)
    assert again.status_code == 303
    assert (await request_of(site)).state is RequestState.IN_REVIEW


@pytest.mark.parametrize("act", ["withdraw", "correct", "appeal", "confirm", "close-out"])
async def test_who_has_not_asked_is_told_so_and_strangers_change_nothing(site: Site, model: Repo, act: str) -> None:
    await ask_for_access(await site.as_("ada"))

    answer = await (await site.as_("alan")).post(f"{MODEL}/access/{act}", data={"appeal": "x", "close_out": "deleted"})

    assert answer.status_code == 409
    assert (await request_of(site)).state is RequestState.IN_REVIEW


@pytest.mark.parametrize("state", [RequestState.IN_REVIEW, RequestState.RETURNED, RequestState.AWAITING_TERMS])
async def test_a_request_is_withdrawn_in_every_state_that_allows_it(
    site: Site, model: Repo, state: RequestState
) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    match state:
        case RequestState.RETURNED:
            await decide(site, "give_back", comment="Why?")
        case RequestState.AWAITING_TERMS:
            await decide(site, "approve", conditions="Name us.")
    assert (await request_of(site)).state is state
    assert "Withdraw the request" in words((await ada.get(f"{MODEL}/access")).text)

    await ada.post(f"{MODEL}/access/withdraw", data={"what": "request"})

    assert (await request_of(site)).state is RequestState.WITHDRAWN


async def test_the_history_is_told_without_what_only_reviewers_read(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await decide(site, "vote", value="no", comment="I have doubts.")
    await decide(site, "reject", reason="Not now.")

    page = words((await ada.get(f"{MODEL}/access")).text)

    assert "Sent by you" in page
    assert "Not now." in page
    assert "I have doubts." not in page
    assert "Vote" not in page
