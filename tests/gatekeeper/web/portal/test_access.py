import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gatekeeper.access import AccessRequest
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from gatekeeper.web.portal import access, access_page
from tests.gatekeeper.web.site import CARD, MODEL, Site, accept_terms, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio


async def test_the_exact_license_is_on_the_page_and_no_box_is_ticked(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")

    page = (await ada.get(f"{MODEL}/access")).text

    assert "to give medical advice or to interpret medical results" in words(page)
    assert 'type="checkbox"' in page
    assert not re.search(r"<input[^>]* checked", page)


async def test_accepting_and_asking_leaves_a_request_and_a_receipt(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")

    answer = await ask_for_access(ada)

    assert answer.status_code == 303
    shown = words((await ada.get(answer.headers["location"])).text)
    assert "Your acceptance is recorded" in shown
    assert "Waiting for review" in shown
    assert "lab/emoji" in words((await ada.get("/receipts")).text)


async def test_a_form_with_errors_keeps_what_was_typed_and_links_each_field(site: Site) -> None:
    await site.model(stage=Stage.RESEARCH_PREVIEW)
    ada = await site.as_("ada")

    answer = await ask_for_access(ada, **{"accept-1": "", "q-0": "Univ <b>&", "q-1": "", "q-2": ""})

    assert answer.status_code == 422
    assert 'value="Univ &lt;b&gt;&amp;"' in answer.text
    for field in ("f-accept-1", "f-q-1", "f-q-2"):
        assert f'href="#{field}"' in answer.text
        assert f'id="{field}"' in answer.text
    assert 'href="#f-q-0"' not in answer.text


async def test_nothing_is_accepted_when_an_answer_is_missing(site: Site) -> None:
    await site.model(stage=Stage.RESEARCH_PREVIEW)
    ada = await site.as_("ada")

    refused = await ask_for_access(ada, **{"q-0": ""})

    assert refused.status_code == 422
    assert "No receipts yet" in words((await ada.get("/receipts")).text)


async def test_who_only_wants_an_image_accepts_the_license_and_sends_no_request(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    first = (await ada.get(f"{MODEL}/access")).text
    assert ('name="q-0"' in first, "The weights can be asked for after that" in words(first)) == (False, True)

    accepted = await accept_terms(ada)

    assert accepted.headers["location"] == f"{MODEL}/access?done=terms-accepted"
    then = (await ada.get(accepted.headers["location"])).text
    assert f'href="{MODEL}/playground"' in then.partition("You can make images now")[2]
    assert "For the weights: what the maintainers ask you" in words(then)
    stands = (await ada.get("/api/models/lab/emoji/access")).json()
    assert [stands["capabilities"][use]["allowed"] for use in ("generate", "download")] == [True, False]
    assert "You have asked for nothing yet" in words((await ada.get("/requests")).text)
    assert "/admin/requests/" not in (await grace.get("/admin/requests")).text
    [row] = (await ada.get("/api/receipts")).json()
    act = row["receipt"]["statement"]["act"]
    assert (act["element"], act["label"]) == ("boxes and button", "Accept the license")


async def test_a_page_of_terms_that_was_shown_to_somebody_else_is_refused(site: Site, model: Repo) -> None:
    alan = await site.as_("alan")
    shown_to_alan = inputs((await alan.get(f"{MODEL}/access")).text)["presentation"]
    ada = await site.as_("ada")

    answer = await ask_for_access(ada, presentation=shown_to_alan)

    assert answer.status_code == 422
    assert "not issued to you" in words(answer.text)


async def test_reloading_the_terms_is_one_presentation(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")

    first = inputs((await ada.get(f"{MODEL}/access")).text)["presentation"]
    second = inputs((await ada.get(f"{MODEL}/access")).text)["presentation"]

    assert first == second


async def test_somebody_anonymous_reads_the_terms_and_is_led_to_sign_in(site: Site, model: Repo) -> None:
    page = (await site.browser().get(f"{MODEL}/access")).text

    assert "medical advice" in page
    assert f'href="/login?next={MODEL}/access"' in page
    assert "accept-1" not in page


async def test_a_request_can_be_withdrawn_and_made_again(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/access/withdraw")

    assert answer.status_code == 303
    assert "Withdrawn" in words((await ada.get("/requests")).text)
    again = await ada.get(f"{MODEL}/access")
    assert "Ask for access" in words(again.text)
    assert 'name="q-0"' in again.text


async def test_who_waits_is_led_from_my_requests_to_how_it_stands_and_to_images(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)

    mine = (await ada.get("/requests")).text

    assert f'<a href="{MODEL}/access">lab/emoji</a>' in mine
    assert re.search(rf'href="{MODEL}/access">See how it stands', mine)
    assert re.search(rf'button-main"\s+href="{MODEL}/playground"', mine)
    assert "The maintainers aim to answer within 7 days." in words(mine)
    assert "You can use the model meanwhile." in words(mine)
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.update(AccessRequest).values(waiting_since=now() - timedelta(days=8)))
    for page in ("/requests", f"{MODEL}/access"):
        late = words((await ada.get(page)).text)
        assert "The maintainers aim to answer within 7 days. It is later than they aim for; they were reminded." in late


async def test_questions_of_a_hostile_card_are_escaped(site: Site) -> None:
    card = (
        "---\nlicense: mit\nlibrary_name: diffusers\nextra_gated_fields:\n  '\"><script>alert(1)</script>': text\n---\n"
        + "Words. " * 40
    )
    await site.model("hostile", card=card)
    ada = await site.as_("ada")
    await accept_terms(ada, "/lab/hostile")

    page = (await ada.get("/lab/hostile/access")).text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_the_receipt_can_be_downloaded_and_only_by_its_owner(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    found = re.search(r'href="(/receipts/[^".]+)"', (await ada.get("/receipts")).text)
    assert found is not None

    own = await ada.get(f"{found[1]}.json")
    other = await (await site.as_("alan")).get(f"{found[1]}.json")

    assert own.json()["format"] == "gatekeeper-acceptance"
    statement = own.json()["statement"]
    assert (statement["authentication"]["by"], statement["authentication"]["strength"]) == ("session", "password")
    assert statement["act"]["element"] == "boxes and button"
    assert [box["was_ticked"] for box in statement["act"]["boxes"]] == [False]
    assert statement["scope"]["stage"] == "gated"
    assert len(statement["source"]) == 64
    assert "Genuine" in words((await ada.get(found[1])).text)
    assert other.status_code == 404


async def test_who_withdraws_from_the_terms_is_told_so_and_where_to_accept_again(site: Site, model: Repo) -> None:
    ada, alan = await site.as_("ada"), await site.as_("alan")

    async def make_images() -> dict[str, object]:
        stands = (await ada.get("/api/models/lab/emoji/access")).json()
        return dict(stands["capabilities"]["generate"])

    for by_program in (False, True):
        await ask_for_access(ada)
        row = (await ada.get("/api/receipts")).json()[0]
        assert (await make_images())["allowed"]
        path = f"/api/receipts/{row['id']}" if by_program else f"/receipts/{row['id']}/withdraw"
        method = "DELETE" if by_program else "POST"
        assert (await alan.request(method, path)).status_code == 404
        assert (await make_images())["allowed"]

        done = await ada.request(method, path)

        assert done.status_code == (204 if by_program else 303)
        refused = await make_images()
        assert refused["code"] == "terms_withdrawn"
        assert f"{MODEL}/access" in str(refused["next_step"])
        assert (await ada.request(method, path)).status_code == 409
        page = (await ada.get(f"/receipts/{row['id']}")).text
        assert ("Withdrawn" in words(page), "Withdraw from the terms" in words(page)) == (True, False)


async def test_where_a_name_is_demanded_it_is_typed_and_stands_in_the_receipt(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (access, access_page):
        monkeypatch.setattr(module, "must_sign", lambda _case: True)
    ada = await site.as_("ada")

    refused = await ask_for_access(ada)
    assert (refused.status_code, "Type your full name" in words(refused.text)) == (422, True)
    assert (await ada.get("/api/receipts")).json() == []

    assert (await ask_for_access(ada, typed_name=" Ada Lovelace ")).status_code == 303
    [row] = (await ada.get("/api/receipts")).json()
    assert row["receipt"]["statement"]["act"]["typed_name"] == "Ada Lovelace"
    assert row["is_held"] is False


async def test_a_claim_for_an_institution_is_whole_or_none_and_stands_in_the_receipt_and_before_reviewers(
    site: Site, model: Repo
) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    shown = (await ada.get("/lab/emoji/access")).text
    assert not re.search(r'name="has_authority"[^>]*checked', shown)

    for half in ({"institution": "Lovelace <Institute>"}, {"has_authority": "yes"}):
        refused = await ask_for_access(ada, **half)
        assert refused.status_code == 422
        assert {"institution", "has_authority"} & set(re.findall(r'name="(\w+)"[^>]*aria-invalid', refused.text))
    assert (await ada.get("/api/receipts")).json() == []

    whole = {"institution": " Lovelace <Institute> ", "has_authority": "yes"}
    assert (await ask_for_access(ada, **whole)).status_code == 303
    [row] = (await ada.get("/api/receipts")).json()
    claim = {"institution": "Lovelace <Institute>", "claims_authority": True}
    assert row["receipt"]["statement"]["on_behalf_of"] == claim
    assert "Lovelace &lt;Institute&gt;, with the authority" in (await ada.get(f"/receipts/{row['id']}")).text
    [request] = re.findall(r'href="(/admin/requests/[0-9a-z]{26})', (await grace.get("/admin/requests")).text)[:1]
    assert "Lovelace &lt;Institute&gt;</span>, by their own word" in (await grace.get(request)).text


async def test_a_program_claims_an_institution_only_with_the_authority_said(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    address = "/api/models/lab/emoji/access"
    texts = [text["sha256"] for text in (await ada.get(address)).json()["terms"]]
    fields = {"Affiliation": "University", "Country": "DE", "I agree to be kind": True}
    sent = {"accept": texts, "fields": fields, "on_behalf_of": {"institution": "Lovelace", "has_authority": False}}
    refused = await ada.post(address, json=sent)
    assert refused.status_code == 422
    assert "authority" in refused.headers["x-error-message"]
    sent["on_behalf_of"] = {"institution": "Lovelace", "has_authority": True}
    receipt = (await ada.post(address, json=sent)).json()["receipt"]
    assert receipt["statement"]["on_behalf_of"]["institution"] == "Lovelace"


async def test_a_card_that_asks_for_no_institution_is_asked_with_the_houses_question_where_one_is_needed(
    site: Site,
) -> None:
    card = CARD.replace("  Affiliation: text\n", "  Motive: text\n")
    await site.model(stage=Stage.RESEARCH_PREVIEW, card=card)
    await site.model("gated", card=card)
    ada, grace = await site.as_("ada"), await site.as_("grace")
    page = words((await ada.get(f"{MODEL}/access")).text)
    fields = (await ada.get("/api/models/lab/emoji/access")).json()["fields"]
    elsewhere = (await ada.get("/api/models/lab/gated/access")).json()["fields"]

    assert page.count("Institution (university, company") == 1
    assert [("Institution" in str(asked), "Motive" in str(asked)) for asked in (fields, elsewhere)] == [
        (True, True),
        (False, True),
    ]
    assert (await ask_for_access(ada)).status_code == 422
    assert (await ask_for_access(ada, **{"q-3": "University of Turin"})).status_code == 303
    [request] = re.findall(r'href="(/admin/requests/[0-9a-z]{26})', (await grace.get("/admin/requests")).text)[:1]
    approved = await grace.post(f"{request}/approve", data=inputs((await grace.get(request)).text))
    assert approved.status_code == 303
    assert "You have access" in words((await ada.get(MODEL)).text)
