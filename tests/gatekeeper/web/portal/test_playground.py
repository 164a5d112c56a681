import json
import re
from html import unescape

import pytest

from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from inference.contract import Done, ErrorCode, Event, Failed, RefusalCode, Refused
from tests.gatekeeper.generation.stub import StubWorker, image, withheld
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

ORDER = {"prompt": "a red apple", "steps": "5", "guidance": "4", "images": "1", "seed": "7"}


async def test_without_script_an_order_ends_on_the_page_of_its_image(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/playground", data=ORDER | {"negative_prompt": "leaves & stems"})

    assert answer.status_code == 303
    page = (await ada.get(answer.headers["location"])).text
    address = re.search(r'src="(/generations/[^"]+\.png)"', page)
    assert address is not None
    image = await ada.get(address[1])
    assert image.headers["content-type"] == "image/png"
    assert "no-store" in image.headers["cache-control"]
    receipt = await ada.get(address[1].replace("/images/", "/receipts/").replace(".png", ".json"))
    assert receipt.json()["statement"]["seed"] == 7
    change, another = (re.search(rf'href="([^"]+)">{word}<', page)[1] for word in ("Change it", "Another one"))
    assert ("seed=7" in change, "seed=" in another) == (True, False)
    form = (await ada.get(unescape(change))).text
    assert 'value="leaves &amp; stems"' in form
    idea = re.search(r'href="([^"]+)">a red apple', form)[1]  # a suggestion leaves the settings as they are
    assert 'value="leaves &amp; stems"' in (await ada.get(unescape(idea))).text
    assert "Images and prompt are gone for good" in words(page)
    assert address[1] in (await ada.get(f"{MODEL}/playground")).text  # beside the next order
    home = (await ada.get("/")).text
    assert re.search(rf'button-main"\s+href="{MODEL}/playground"', home)
    assert home.count("A small model that draws emoji") == 1
    alan = await site.as_("alan")
    assert (await alan.get(answer.headers["location"])).status_code == 404
    assert (await alan.get(address[1])).status_code == 404


async def test_with_script_the_progress_is_told_line_by_line(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/playground", data=ORDER, headers={"accept": "application/x-ndjson"})

    events = [json.loads(line) for line in answer.text.splitlines()]
    assert [event["type"] for event in events] == ["accepted", "queued", "started", "progress", "end"]
    assert (await ada.get(events[-1]["location"])).status_code == 200


async def test_a_refusal_names_its_rule_its_reason_and_what_to_do(site: Site, model: Repo) -> None:
    refusal = Refused(
        code=RefusalCode.PROMPT_SCREENED,
        reason="Bombs are not <made> here.",
        rule_ids=("weapons.explosives",),
        restrictions=("law",),
    )
    site.worker(StubWorker(lambda order: [refusal]))
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/playground", data=ORDER)

    page = await ada.get(answer.headers["location"])
    text = words(page.text)
    assert "This prompt was refused, and nothing was made" in text
    assert "Bombs are not <made> here." in text
    assert "weapons.explosives" in text
    assert "breaking any applicable law" in text
    assert "What you can do:" in text
    assert "<made>" not in page.text


async def test_the_page_says_what_helps_by_what_went_wrong(site: Site, model: Repo) -> None:
    def failed(code: ErrorCode) -> list[Event]:
        return [Failed(code=code, message="It says why.")]

    away = Refused(code=RefusalCode.PROMPT_UNSCREENED, reason="The classifier is away.", rule_ids=("x",))
    table: list[tuple[list[Event], str]] = [
        ([away], "It is not your doing. Order again later"),
        (failed(ErrorCode.SAFETY_CANNOT_ACT), "Set the guidance above 1 and order again."),
        (failed(ErrorCode.OUT_OF_MEMORY), "Order a smaller size"),
        (failed(ErrorCode.MODEL_REFUSED), "Tell the model's maintainers."),
        (failed(ErrorCode.NOT_FINITE), "Order again in a moment. It cost you nothing."),
    ]
    ada = await site.as_("ada")
    await ask_for_access(ada)
    for answer, step in table:
        site.worker(StubWorker(lambda order, answer=answer: answer))  # type: ignore[misc]
        page = await ada.get((await ada.post(f"{MODEL}/playground", data=ORDER)).headers["location"])
        text = words(page.text)
        assert step in text, answer
        assert "Describe something else" not in text
        assert "/settings/safety" not in page.text.partition('role="status"')[2].partition("</div>")[0]


async def test_a_withheld_image_says_what_the_check_saw(site: Site, model: Repo) -> None:
    site.worker(StubWorker(lambda order: [withheld(order), Done(delivered=0, withheld=1, compute_seconds=0.1)]))
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/playground", data=ORDER)

    text = words((await ada.get(answer.headers["location"])).text)
    assert "is not given out" in text
    assert "The image shows a skull." in text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": "0"}, "steps"),
        ({"steps": "10000"}, "steps"),
        ({"guidance": "nan"}, "guidance"),
        ({"images": "99"}, "images"),
        ({"seed": "-1"}, "seed"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 10_000}, "prompt"),
    ],
)
async def test_an_order_that_cannot_be_served_keeps_the_form(
    site: Site, model: Repo, change: dict[str, str], field: str
) -> None:
    worker = site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)

    answer = await ada.post(f"{MODEL}/playground", data=ORDER | change)

    assert answer.status_code == 422
    assert f'href="#f-{field}"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "prompt" in change or 'value="a red apple"' in answer.text
    assert worker.orders == []


async def test_who_has_not_accepted_the_license_is_told_so(site: Site, model: Repo) -> None:
    worker = site.worker(StubWorker())
    ada = await site.as_("ada")

    html = (await ada.get(f"{MODEL}/playground")).text
    page = words(html)
    nobody = (await site.browser().get(f"{MODEL}/playground")).text
    answer = await ada.post(f"{MODEL}/playground", data=ORDER)

    assert "You have not accepted the license yet." in page
    assert f'href="{MODEL}/access">' in html  # one thing to do, and no form that leads nowhere
    assert f"{MODEL}/access" not in page
    assert f'href="/login?next={MODEL}/playground"' in nobody
    assert 'name="prompt"' not in html + nobody
    assert answer.status_code == 403
    assert "You have not accepted the license yet." in words(answer.text)
    assert worker.orders == []


async def test_words_outside_the_vocabulary_are_named(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)

    page = words((await ada.get(f"{MODEL}/playground?prompt=a+red+<zeppelin>")).text)

    assert "Outside this model’s vocabulary: <zeppelin>." in page


async def test_a_hub_without_inference_says_so(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    await ask_for_access(ada)

    page = await ada.get(f"{MODEL}/playground")

    assert "Hosted inference is switched off" in words(page.text)
    assert "About this model" in page.text
    assert 'name="prompt"' not in page.text


async def test_every_word_that_the_model_knows_is_a_link_that_adds_it(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)

    page = (await ada.get(f"{MODEL}/playground?prompt=a+red")).text

    assert '<a href="?prompt=a%20red%20apple">apple</a>' in page
    assert 'value="a red apple"' in (await ada.get(f"{MODEL}/playground?prompt=a%20red%20apple")).text


async def test_the_gallery_has_each_order_s_receipt_and_the_way_to_delete_it(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)
    page = (await ada.post(f"{MODEL}/playground", data=ORDER)).headers["location"]

    gallery = (await ada.get("/generations")).text

    assert f'href="{page}/receipts/0.json"' in gallery
    assert f'action="{page}/delete"' in gallery
    assert (await ada.post(f"{page}/delete")).headers["location"] == "/generations?done=images-deleted"
    assert f'action="{page}/delete"' not in (await ada.get("/generations")).text


async def test_what_was_withheld_beside_what_was_given_is_said_with_its_reason_and_scores(
    site: Site, model: Repo
) -> None:
    site.worker(
        StubWorker(
            lambda order: [withheld(order, 0), image(order, 1), Done(delivered=1, withheld=1, compute_seconds=1)]
        )
    )
    ada = await site.as_("ada")
    await ask_for_access(ada)
    answer = await ada.post(f"{MODEL}/playground", data=ORDER | {"images": "2"})
    page = await ada.get(answer.headers["location"])
    text = words(page.text)
    assert "1 of 2 is not given out The image shows a skull." in text
    assert 'href="/settings/safety"' in page.text
    assert "Image 1 skull Withheld +0.200 Image 2 skull -0.100" in text


def levels(page: str) -> list[str]:
    choice = re.search(r'<select id="f-sld_level".*?</select>', page, re.DOTALL)
    return re.findall(r'value="([^"]*)"', choice[0]) if choice else []


async def test_the_level_of_steering_is_chosen_within_what_is_allowed(site: Site, model: Repo) -> None:
    worker = site.worker(StubWorker())
    await site.model("draft", stage=Stage.DRAFT)
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)

    hers, owners = (await ada.get(f"{MODEL}/playground")).text, (await grace.get("/lab/draft/playground")).text
    too_low = await ada.post(f"{MODEL}/playground", data=ORDER | {"sld_level": "off"})
    stronger = await ada.post(f"{MODEL}/playground", data=ORDER | {"sld_level": "max"})
    await ada.post(f"{MODEL}/playground", data=ORDER | {"sld_level": ""})

    assert levels(hers) == ["", "medium", "strong", "max"]
    assert "As is asked here: medium" in hers
    assert "a quota of their own" not in hers
    assert levels(owners) == ["", "off", "weak", "medium", "strong", "max"]
    assert "a quota of their own: 50 images in 24 hours" in words(owners)
    assert (too_low.status_code, stronger.status_code) == (422, 303)
    assert "here it can be medium, strong, max" in words(too_low.text)
    assert [order.safety.sld_level for order in worker.orders] == ["max", "medium"]
