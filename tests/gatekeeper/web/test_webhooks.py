"""Webhooks from an act to a real receiver, and notices: what is told, to whom, in which order, and what is withheld."""

import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import col

from gatekeeper import access, accounts, community, ledger, notices, releases, repos, tokens
from gatekeeper.access.tables import AccessRequest
from gatekeeper.notices import Courier, DeliveryState, Notice, Rules, Sender, Wanted, Watched, WebhookDelivery
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, Repo, RepoKind, catalogue
from gatekeeper.web.judge import judge_of
from gatekeeper.worker import house_handlers, work_once
from tests.gatekeeper.notices.receiver import Receiver, receiving
from tests.gatekeeper.web.site import URL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio
RULES = Rules((ipaddress.ip_network("127.0.0.0/8"),))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


async def principal(site: Site, session: Any, name: str) -> accounts.Principal:
    return await accounts.principals.for_person(session, site.people[name])


async def hook_of(site: Site, name: str, receiver: Receiver, *watched: Watched, **more: Any) -> str:
    """The id of a new webhook of this person; what happened before it is handed out first."""
    await hand_out(site)
    house = site.gatekeeper
    async with house.db.write() as session:
        by = await principal(site, session, name)
        wanted = Wanted(url=receiver.url, watched=watched or (Watched("org", "lab"),), **more)
        return (await notices.webhooks.create(session, wanted, by=by, rules=RULES, box=house.keys.sealing)).id


async def hand_out(site: Site) -> None:
    """Seal what happened, make deliveries and notices of it, and do the jobs."""
    house = site.gatekeeper
    await ledger.Sealer(house.db, house.keys.signing).seal()
    await notices.hand_out(house.db, judge_of(house))
    while await work_once(house.db, house_handlers(house)):
        pass


async def deliver(site: Site) -> int:
    """Hand out and send what is due; returns how many attempts that were."""
    await hand_out(site)
    house = site.gatekeeper
    courier = Courier(house.db, Sender(RULES), box=house.keys.sealing, judge=judge_of(house), public_url=URL)
    count = 0
    while delivery := await courier.claim():
        await courier.bring(delivery)
        count += 1
    return count


async def write(site: Site, repo: Repo, name: str, path: str) -> str:
    async with site.gatekeeper.db.write() as session:
        by = await principal(site, session, name)
        return await repos.commit(session, repo, "main", [AddFile(path, b"x")], summary="Add", by=by)


async def make(site: Site, owner: str, full_name: str, *, private: bool = False) -> Repo:
    async with site.gatekeeper.db.write() as session:
        by = await principal(site, session, owner)
        namespace, _, name = full_name.partition("/")
        return await repos.create(session, RepoKind.MODEL, namespace, name, by=by, private=private)


async def states(site: Site) -> list[str]:
    async with site.gatekeeper.db.read() as session:
        query = sa.select(col(WebhookDelivery.state)).order_by(col(WebhookDelivery.position))
        return [state.value for state in await session.scalars(query)]


async def told(site: Site, name: str) -> list[str]:
    async with site.gatekeeper.db.read() as session:
        query = sa.select(col(Notice.kind)).where(col(Notice.person_id) == site.people[name].id)
        return sorted(await session.scalars(query))


async def test_a_delivery_is_signed_and_says_what_happened(site: Site, receiver: Receiver) -> None:
    repo = await make(site, "ada", "ada/one")
    hook = await hook_of(site, "ada", receiver, Watched("model", "ADA/one"), secret="s3cret", domains=("repo",))
    oid = await write(site, repo, "ada", "a.txt")
    assert await deliver(site) == 1
    [(headers, body)] = receiver.got
    said = json.loads(body)
    assert said["event"] == {"action": "update", "scope": "repo.content"}
    assert said["webhook"] == {"id": hook, "version": 3}
    assert said["repo"]["name"] == "ada/one"
    assert said["repo"]["type"] == "model"
    assert said["repo"]["headSha"] == oid
    assert said["repo"]["url"]["web"] == f"{URL}/ada/one"
    [reference] = said["updatedRefs"]
    assert (reference["ref"], reference["newSha"]) == ("refs/heads/main", oid)
    assert len(reference["oldSha"]) == 40
    assert headers["x-webhook-secret"] == "s3cret"
    assert headers["x-gatekeeper-webhook"] == hook
    assert len(headers["x-gatekeeper-delivery"]) == 26
    at, mac = (part.partition("=")[2] for part in headers["x-gatekeeper-signature"].split(","))
    expected = hmac.new(b"s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, expected)
    assert await deliver(site) == 0


async def test_without_a_secret_nothing_pretends_to_be_signed(site: Site, receiver: Receiver) -> None:
    repo = await make(site, "ada", "ada/one")
    await hook_of(site, "ada", receiver, Watched("user", "ada"))
    await write(site, repo, "ada", "a.txt")
    await deliver(site)
    [(headers, _)] = receiver.got
    assert "x-webhook-secret" not in headers
    assert "x-gatekeeper-signature" not in headers


async def test_events_of_one_repository_arrive_in_order_also_over_failures(site: Site, receiver: Receiver) -> None:
    one, two = await make(site, "ada", "ada/one"), await make(site, "ada", "ada/two")
    await hook_of(site, "ada", receiver, Watched("user", "ada"))
    sent = [await write(site, one, "ada", f"{number}.txt") for number in range(3)]
    other = await write(site, two, "ada", "0.txt")
    receiver.answers = [500]
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        # The first of `one` fails and holds its followers back; `two` goes its own way.
        assert await deliver(site) == 2
        assert [json.loads(body)["repo"]["name"] for _, body in receiver.got] == ["ada/one", "ada/two"]
        assert await deliver(site) == 0
        clock.shift(60)
        assert await deliver(site) == 3
    heads = [json.loads(body)["updatedRefs"][0]["newSha"] for _, body in receiver.got]
    assert heads == [sent[0], other, *sent]
    ids = [headers["x-gatekeeper-delivery"] for headers, _ in receiver.got]
    assert ids[0] == ids[2]  # the same delivery, so a receiver can tell
    assert await states(site) == ["delivered"] * 4


async def test_pauses_grow_and_after_a_day_a_delivery_is_given_up(site: Site, receiver: Receiver) -> None:
    repo = await make(site, "ada", "ada/one")
    await hook_of(site, "ada", receiver, Watched("user", "ada"))
    await write(site, repo, "ada", "a.txt")
    receiver.answers = [500] * 1000
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        for _ in range(40):
            await deliver(site)
            clock.shift(4400)
    assert await states(site) == ["failed"]
    assert 15 < len(receiver.got) < 40
    pauses = [notices.courier.pause_seconds(attempt) for attempt in range(1, 40)]
    assert pauses[0] < 13 < pauses[2]
    assert max(pauses) <= 3600 * 1.2


async def test_a_webhook_that_fails_for_three_days_is_switched_off_and_its_owner_told(
    site: Site, receiver: Receiver
) -> None:
    repo = await make(site, "ada", "ada/one")
    hook_id = await hook_of(site, "ada", receiver, Watched("user", "ada"))
    receiver.answers = [500] * 1000
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        for day in range(4):
            await write(site, repo, "ada", f"{day}.txt")
            await deliver(site)
            clock.shift(timedelta(hours=25))
        await deliver(site)
        count = len(receiver.got)
        await write(site, repo, "ada", "more.txt")
        assert await deliver(site) == 0
    assert len(receiver.got) == count
    assert await told(site, "ada") == ["webhook-disabled"]
    async with site.gatekeeper.db.read() as session:
        hook = await session.get_one(notices.Webhook, hook_id)
        assert hook.disabled_at is not None
    assert "waiting" not in await states(site)


async def test_what_the_owner_may_not_know_by_now_is_withheld(site: Site, receiver: Receiver) -> None:
    public, private = await make(site, "ada", "ada/open"), await make(site, "ada", "ada/hidden", private=True)
    await hook_of(site, "alan", receiver, Watched("user", "ada"), Watched("model", "ada/hidden"))
    await write(site, private, "ada", "a.txt")
    await write(site, public, "ada", "a.txt")
    async with site.gatekeeper.db.write() as session:
        row = await session.get_one(Repo, public.id)
        by = await principal(site, session, "ada")
        await catalogue.update_settings(session, row, private=True, by=by)
    await deliver(site)
    assert receiver.got == []
    assert set(await states(site)) == {"withheld"}


async def test_drafts_of_a_staged_model_are_told_to_its_members_only(site: Site, receiver: Receiver) -> None:
    repo = await site.model(stage=Stage.OPEN)
    await hook_of(site, "alan", receiver)
    await write(site, repo, "grace", "draft.txt")
    await deliver(site)
    assert receiver.got == []
    await hook_of(site, "grace", receiver)
    await write(site, repo, "grace", "draft2.txt")
    await deliver(site)
    [(_, body)] = receiver.got
    assert json.loads(body)["event"]["scope"] == "repo.content"


async def test_a_disabled_owner_hears_nothing(site: Site, receiver: Receiver) -> None:
    repo = await make(site, "ada", "ada/one")
    await hook_of(site, "alan", receiver, Watched("user", "ada"))
    await write(site, repo, "ada", "a.txt")
    async with site.gatekeeper.db.write() as session:
        olga = await principal(site, session, "olga")
        alan = await session.get_one(accounts.Person, site.people["alan"].id)
        await accounts.people.disable(session, alan, by=olga)
    await deliver(site)
    assert receiver.got == []


async def test_a_move_is_told_with_both_names_and_a_watch_follows(site: Site, receiver: Receiver) -> None:
    repo = await make(site, "ada", "ada/one")
    await hook_of(site, "alan", receiver, Watched("model", "ada/one"))
    async with site.gatekeeper.db.write() as session:
        row, by = await session.get_one(Repo, repo.id), await principal(site, session, "ada")
        await repos.move(session, row, "ada", "renamed", by=by)
    await write(site, await fresh(site, repo), "ada", "a.txt")
    await deliver(site)
    said = [json.loads(body) for _, body in receiver.got]
    assert said[0]["event"]["action"] == "move"
    assert said[0]["repo"]["name"] == "ada/one"
    assert said[0]["movedTo"]["name"] == "ada/renamed"
    assert said[1]["repo"]["name"] == "ada/renamed"


async def test_a_deletion_is_told(site: Site, receiver: Receiver) -> None:
    repo = await make(site, "ada", "ada/one")
    await hook_of(site, "alan", receiver, Watched("model", "ada/one"))
    async with site.gatekeeper.db.write() as session:
        row, by = await session.get_one(Repo, repo.id), await principal(site, session, "ada")
        await catalogue.delete(session, row, by=by)
    await deliver(site)
    [(_, body)] = receiver.got
    assert json.loads(body)["event"] == {"action": "delete", "scope": "repo"}
    assert json.loads(body)["repo"]["name"] == "ada/one"


async def fresh(site: Site, repo: Repo) -> Repo:
    async with site.gatekeeper.db.read() as session:
        return await session.get_one(Repo, repo.id)


async def test_access_events_reach_reviewers_only_and_hold_no_answer(site: Site, receiver: Receiver) -> None:
    await site.model()
    await hook_of(site, "alan", receiver, domains=("access",))
    mine = await hook_of(site, "grace", receiver, domains=("access",))
    browser = await site.as_("ada")
    assert (await ask_for_access(browser, **{"q-0": "Secret Institute"})).status_code == 303
    await deliver(site)
    assert receiver.got
    for headers, body in receiver.got:
        assert headers["x-gatekeeper-webhook"] == mine
        assert b"Secret Institute" not in body
        assert b"ada@" not in body
    kinds = [json.loads(body)["access"]["kind"] for _, body in receiver.got]
    assert "access:request:submit" in kinds


async def test_reviewers_applicants_and_holders_are_told(site: Site) -> None:
    repo = await site.model()
    await hand_out(site)
    browser = await site.as_("ada")
    await ask_for_access(browser)
    await hand_out(site)
    assert await told(site, "grace") == ["request-submitted"]
    async with site.gatekeeper.db.write() as session:
        by = await principal(site, session, "grace")
        request = (await session.scalars(sa.select(AccessRequest))).one()
        await access.approve(session, request, by=by, ends_at=datetime.now(UTC) + timedelta(days=90))
    async with site.gatekeeper.db.write() as session:
        by = await principal(site, session, "grace")
        [release] = await releases.list_for(session, repo)
        await releases.hold(session, release, by=by, reason="Something is wrong")
    await hand_out(site)
    await hand_out(site)
    assert await told(site, "ada") == ["release-held"]  # the approval can still be undone
    with time_machine.travel(datetime.now(UTC) + 2 * access.UNDO_WITHIN):
        await hand_out(site)
    assert await told(site, "ada") == ["release-held", "request-approved"]
    assert await told(site, "alan") == []
    page = words((await browser.get("/notices")).text)
    assert "2 notices" in page
    assert "A release of lab/emoji is on hold" in page
    held = re.findall(r'action="(/notices/\w+/read)"', (await browser.get("/notices")).text)[-1]
    assert (await (await site.as_("alan")).post(held, data={"open": "yes"})).status_code == 404
    opened = await browser.post(held, data={"open": "yes"})
    assert (opened.status_code, opened.headers["location"]) == (303, "/lab/emoji")
    assert "1 notice" in words((await browser.get("/notices")).text)
    await browser.post("/notices/read")
    assert "2 notices" not in words((await browser.get("/notices")).text)


async def test_a_discussion_is_told_to_webhooks_participants_and_who_is_mentioned(
    site: Site, receiver: Receiver
) -> None:
    repo = await make(site, "grace", "lab/talk")
    await hook_of(site, "alan", receiver, domains=("discussion",))
    async with site.gatekeeper.db.write() as session:
        ada, grace = await principal(site, session, "ada"), await principal(site, session, "grace")
        row = await session.get_one(Repo, repo.id)
        made = await community.discussions.open_discussion(session, row, title="A question", text="Why?", by=ada)
        answer = await community.writing.comment(session, row, made, "Ask @alan and @ada", by=grace)
        hidden = await community.writing.comment(session, row, made, "Rude words", by=grace)
        hidden.hidden_at = datetime.now(UTC)
        session.add(hidden)
    await deliver(site)
    said = [json.loads(body) for _, body in receiver.got]
    assert {each["discussion"]["num"] for each in said} == {1}
    assert said[0]["discussion"]["title"] == "A question"
    texts = {each["comment"]["id"]: each["comment"] for each in said if "comment" in each}
    assert texts[answer.id]["content"] == "Ask @alan and @ada"
    assert texts[hidden.id]["hidden"] is True
    assert b"Rude words" not in b"".join(body for _, body in receiver.got)
    assert await told(site, "alan") == [
        "discussion-reply",
        "mentioned",
    ]  # who is mentioned follows
    assert await told(site, "ada") == ["discussion-reply", "discussion-reply", "mentioned"]
    assert await told(site, "grace") == ["discussion-opened"]  # who maintains it


async def test_who_follows_is_told_why_and_who_no_longer_does_is_left_in_peace(site: Site) -> None:
    repo = await site.model("emoji", stage=Stage.INTERNAL)
    talk = await make(site, "grace", "lab/talk")
    ada, alan = await site.as_("ada"), await site.as_("alan")
    assert "Follow lab/talk" in words((await ada.get("/lab/talk")).text)
    followed = await ada.post("/lab/talk/follow", data={"follow": "true"})
    assert followed.headers["location"] == "/lab/talk?done=followed"
    assert (await ada.post("/lab/emoji/follow", data={"follow": "true"})).status_code == 404
    await hand_out(site)
    async with site.gatekeeper.db.write() as session:
        row, release = await session.get_one(Repo, talk.id), (await releases.list_for(session, repo))[0]
        by = await principal(site, session, "alan")
        made = await community.discussions.open_discussion(session, row, title="A question", text="Why?", by=by)
        by = await principal(site, session, "grace")
        for person in ("ada", "alan"):  # neither may list the files of an internal release
            await notices.following.follow(session, repo, by=await principal(site, session, person))
        await ledger.record(session, "releases:release:promote", repo=repo.id, body={"commit": release.commit_id})
    await hand_out(site)
    assert await told(site, "ada") == ["discussion-opened"]
    page = words((await ada.get("/notices")).text)
    assert "Because you follow this repository" in page
    assert "What you follow lab/talk Unfollow" in page

    await alan.post(f"/lab/talk/discussions/{made.num}/follow", data={"follow": "false"})
    await ada.post("/lab/talk/follow", data={"follow": "false"})
    async with site.gatekeeper.db.write() as session:
        by = await principal(site, session, "grace")
        row = await session.get_one(Repo, talk.id)
        await community.writing.comment(session, row, made, "Nobody listens.", by=by)
    await hand_out(site)
    assert await told(site, "ada") == ["discussion-opened"]
    assert await told(site, "alan") == []


async def test_nobody_is_told_of_a_mention_in_what_they_may_not_know(site: Site) -> None:
    repo = await make(site, "ada", "ada/hidden", private=True)
    await hand_out(site)
    async with site.gatekeeper.db.write() as session:
        ada, row = await principal(site, session, "ada"), await session.get_one(Repo, repo.id)
        await community.discussions.open_discussion(session, row, title="A secret", text="Hello @alan", by=ada)
    await hand_out(site)
    assert await told(site, "alan") == []


async def test_an_end_is_told_thirty_days_a_week_and_a_day_before(site: Site) -> None:
    repo = await site.model()
    start = datetime.now(UTC)
    async with site.gatekeeper.db.write() as session:
        by = await principal(site, session, "grace")
        row = await session.get_one(Repo, repo.id)
        await access.grant_directly(session, row, site.people["ada"], by=by, ends_at=start + timedelta(days=60))
    counts = []
    for day in (1, 29, 31, 32, 54, 55, 59.5, 59.7, 61):
        with time_machine.travel(start + timedelta(days=day), tick=False):
            async with site.gatekeeper.db.write() as session:
                counts.append(await notices.remind_of_ends(session))
    assert counts == [0, 0, 1, 0, 1, 0, 1, 0, 0]


async def test_an_event_that_cannot_be_handed_out_keeps_no_other_back(
    site: Site, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = await make(site, "ada", "ada/one")
    await hook_of(site, "ada", receiver, Watched("user", "ada"))
    async with site.gatekeeper.db.write() as session:
        await ledger.record(session, "access:request:return", repo=repo.id, body={"person_id": "nobody-there"})
    await write(site, repo, "ada", "a.txt")
    await deliver(site)
    assert len(receiver.got) == 1


async def test_pages_make_test_and_log_a_webhook_and_never_show_its_secret(
    site: Site, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(site.gatekeeper), "webhook_rules", property(lambda _: RULES))
    browser = await site.as_("ada")
    form = {"url": receiver.url, "watched": "org lab\nmodel ada/one", "domains": ["repo", "access"], "secret": "hush"}
    made = await browser.post("/settings/webhooks", data=form)
    assert made.status_code == 303, words(made.text)
    url = made.headers["location"].partition("?")[0]
    assert (await browser.post(f"{url}/ping")).status_code == 303
    await deliver(site)
    [(headers, body)] = receiver.got
    assert json.loads(body)["event"] == {"action": "ping", "scope": "ping"}
    assert "x-gatekeeper-signature" in headers
    page = (await browser.get(url)).text
    assert "delivered" in words(page)
    assert "hush" not in page
    async with site.gatekeeper.db.read() as session:
        [delivery] = await session.scalars(sa.select(WebhookDelivery))
        assert delivery.state is DeliveryState.DELIVERED
        hook = await session.get_one(notices.Webhook, delivery.webhook_id)
        assert "hush" not in hook.secret_sealed
    await browser.post(f"{url}/deliveries/{delivery.id}/redeliver")
    await deliver(site)
    assert len(receiver.got) == 2
    bad = await browser.post("/settings/webhooks", data=form | {"url": "https://10.0.0.1/", "watched": "org lab"})
    assert bad.status_code == 422
    assert "private network" in words(bad.text)
    other = await site.as_("alan")
    for path in ("", "/ping", "/delete", "/disable"):
        answer = await (other.post(url + path, data=form) if path else other.get(url))
        assert answer.status_code == 404
    olga = await site.as_("olga")
    admin = await olga.get("/admin/webhooks")
    assert "127.0.0.1" in words(admin.text)
    assert "/hook" not in words(admin.text).replace("/hooks", "")
    assert (await other.get("/admin/webhooks")).status_code == 403
    assert (await browser.post(f"{url}/delete")).status_code == 303
    assert (await browser.get(url)).status_code == 404


async def test_a_read_token_manages_no_webhooks(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        _, secret = await tokens.issue(
            session, site.people["ada"], label="read", role="read", key=site.gatekeeper.keys.tokens
        )
    headers = {"authorization": f"Bearer {secret}"}
    body = {"url": "https://hooks.example.org/", "watched": [{"type": "user", "name": "ada"}]}
    async with site.browser() as browser:
        assert (await browser.get("/api/settings/webhooks", headers=headers)).json() == []
        assert (await browser.post("/api/settings/webhooks", json=body, headers=headers)).status_code == 403
        assert (await browser.post("/api/settings/webhooks", json=body)).status_code == 401
