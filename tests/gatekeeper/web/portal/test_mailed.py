"""Links in mails: what they open, when they end, and that asking for one tells nothing."""

import itertools
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper import accounts, jobs, notices
from gatekeeper.accounts import OPERATOR
from gatekeeper.accounts.link_tables import LinkKind, MailLink
from gatekeeper.jobs.tables import Job
from gatekeeper.kit.clock import now
from gatekeeper.settings import Settings
from gatekeeper.worker import house_handlers, work_once
from tests.gatekeeper.notices.postbox import Postbox, postbox
from tests.gatekeeper.web.site import PASSWORD, Site, words

pytestmark = pytest.mark.anyio
FRESH = "another long passphrase"


@pytest.fixture
async def post(site: Site) -> AsyncIterator[Postbox]:
    """A real mail server, to which this hub's mail goes."""
    with postbox() as box:
        update = {
            "mail_host": box.host,
            "mail_port": box.port,
            "mail_starttls": False,
            "mail_from": "hub@example.org",
            "sign_up": "open",
        }
        site.gatekeeper.settings = site.gatekeeper.settings.model_copy(update=update)
        yield box


async def delivered(site: Site, post: Postbox) -> list[str]:
    """The texts of the mails that are due, brought by the worker."""
    before = len(post.messages)
    while await work_once(site.gatekeeper.db, house_handlers(site.gatekeeper)):
        pass
    return [message.get_content() for message in post.messages[before:]]


def link_in(text: str) -> str:
    return re.search(r"http://hub\.test(/\S+\?link=gl_\w+)", text)[1]


async def test_a_forgotten_password_is_chosen_anew_by_mail(site: Site, post: Postbox) -> None:
    ada, browser = await site.as_("ada"), site.browser()
    await browser.post("/reset", data={"email": "ADA@example.org"})
    (mail,) = await delivered(site, post)
    address = link_in(mail)
    secret = address.partition("=")[2]

    assert "Choose a new password" in words((await browser.get(address)).text)
    weak = await browser.post("/reset", data={"link": secret, "password": "short"})
    changed = await browser.post("/reset", data={"link": secret, "password": FRESH})

    assert weak.status_code == 422
    assert changed.headers["location"] == "/login?done=password-reset"
    assert (await ada.get("/settings")).status_code == 401
    assert (await browser.post("/reset", data={"link": secret, "password": FRESH})).status_code == 404
    assert (await browser.get(address)).status_code == 404
    assert (await site.browser().post("/login", data={"name": "ada", "password": FRESH})).status_code == 303


async def test_asking_for_a_link_tells_nothing(site: Site, post: Postbox) -> None:
    """Same page, same status, same rows, for known, unknown, disabled: what differs is in the mail."""
    async with site.gatekeeper.db.write() as session:
        await accounts.people.disable(session, site.people["alan"], by=OPERATOR)
    for path in ("/reset", "/signup"):
        answers, rows = set(), []
        for email in ("ada@example.org", "nobody@example.org", "alan@example.org"):
            answer = await site.browser().post(path, data={"email": email})
            answers.add((answer.status_code, words(answer.text)))
            async with site.gatekeeper.db.read() as session:
                rows.append(await session.scalar(sa.select(sa.func.count()).select_from(Job)))
        assert len(answers) == 1
        assert [later - earlier for earlier, later in itertools.pairwise(rows)] == [1, 1]
    texts = await delivered(site, post)
    assert len(texts) == 3  # ada's reset, ada's "you have an account", nobody's sign-up
    assert sum("You have an account" in text for text in texts) == 1


async def test_links_are_asked_for_three_times_in_five_minutes(site: Site, post: Postbox) -> None:
    for email in ("ada@example.org", "nobody@example.org"):
        for _ in range(3):
            assert (await site.browser().post("/reset", data={"email": email})).status_code == 200
        assert (await site.browser().post("/reset", data={"email": email})).status_code == 429


async def test_a_link_ends_with_its_time_and_with_a_newer_one(site: Site, post: Postbox) -> None:
    browser = site.browser()
    await browser.post("/reset", data={"email": "ada@example.org"})
    first = link_in((await delivered(site, post))[0])
    await browser.post("/reset", data={"email": "ada@example.org"})
    second = link_in((await delivered(site, post))[0])

    assert (await browser.get(first)).status_code == 404
    assert (await browser.get(second)).status_code == 200
    with time_machine.travel(now() + timedelta(hours=1, seconds=1), tick=True):
        assert (await browser.get(second)).status_code == 404


async def test_no_link_lies_in_the_database(site: Site, post: Postbox) -> None:
    await site.browser().post("/reset", data={"email": "ada@example.org"})
    async with site.gatekeeper.db.read() as session:
        stored = str(list(await session.execute(sa.select(Job.__table__))))
    assert "ada@example.org" not in stored
    (mail,) = await delivered(site, post)
    async with site.gatekeeper.db.read() as session:
        stored = str(list(await session.execute(sa.select(Job.__table__))))
        stored += str(list(await session.execute(sa.select(MailLink.__table__))))
    assert link_in(mail).partition("=")[2] not in stored


async def test_signing_up_makes_an_account_with_a_confirmed_address(site: Site, post: Postbox) -> None:
    browser = site.browser()
    await browser.post("/signup", data={"email": "eve@example.org"})
    address = link_in((await delivered(site, post))[0])
    secret = address.partition("=")[2]

    assert "eve@example.org" in words((await browser.get(address)).text)
    taken = await browser.post("/signup/finish", data={"link": secret, "name": "ada", "password": FRESH})
    made = await browser.post("/signup/finish", data={"link": secret, "name": "eve", "password": FRESH})

    assert taken.status_code == 422
    assert made.headers["location"] == "/login?done=signed-up"
    assert (await browser.post("/login", data={"name": "eve", "password": FRESH})).status_code == 303
    assert "Confirmed" in words((await browser.get("/settings")).text)


async def test_a_link_for_one_thing_opens_no_other(site: Site, post: Postbox) -> None:
    browser = site.browser()
    await browser.post("/reset", data={"email": "ada@example.org"})
    secret = link_in((await delivered(site, post))[0]).partition("=")[2]

    made = await browser.post("/signup/finish", data={"link": secret, "name": "eve", "password": FRESH})

    assert made.status_code == 404


@pytest.mark.parametrize(("mode", "asks", "invites"), [("closed", 404, 403), ("invited", 404, 303), ("open", 200, 303)])
async def test_who_gets_an_account_is_a_setting(site: Site, post: Postbox, mode: str, asks: int, invites: int) -> None:
    site.gatekeeper.settings = site.gatekeeper.settings.model_copy(update={"sign_up": mode})
    olga = await site.as_("olga")

    assert (await site.browser().post("/signup", data={"email": "eve@example.org"})).status_code == asks
    assert (await olga.post("/admin/people/invite", data={"guest": "guest@example.org"})).status_code == invites
    assert (await (await site.as_("ada")).post("/admin/people/invite", data={"guest": "g@e.org"})).status_code == 403


async def test_an_address_is_changed_by_whoever_reads_its_mail_and_the_old_one_is_told(
    site: Site, post: Postbox
) -> None:
    ada = await site.as_("ada")
    await ada.post("/settings/email", data={"email": "ada@new.example"})
    address = link_in((await delivered(site, post))[0])
    secret = address.partition("=")[2]

    assert (await (await site.as_("grace")).get(address)).status_code == 404
    assert (await (await site.as_("grace")).post("/settings/email/confirm", data={"link": secret})).status_code == 404
    assert "ada@new.example" in words((await ada.get(address)).text)
    assert (await ada.post("/settings/email/confirm", data={"link": secret})).status_code == 303
    (told,) = await delivered(site, post)

    assert "is another one from now on" in told
    assert "ada@new.example Confirmed" in words((await ada.get("/settings")).text)


async def test_an_address_that_somebody_has_is_not_taken_over(site: Site, post: Postbox) -> None:
    ada = await site.as_("ada")
    await ada.post("/settings/email", data={"email": "grace@example.org"})
    secret = link_in((await delivered(site, post))[0]).partition("=")[2]

    assert (await ada.post("/settings/email/confirm", data={"link": secret})).status_code == 409


async def test_without_a_mail_server_nothing_is_promised(site: Site) -> None:
    assert (await site.browser().get("/reset")).status_code == 404
    with pytest.raises(ValueError, match="mail_host"):
        Settings(sign_up="open", _env_file=None)


async def test_another_site_asks_for_no_mail(site: Site, post: Postbox) -> None:
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    answer = await site.browser().post("/reset", data={"email": "ada@example.org"}, headers=foreign)
    assert answer.status_code in (401, 403)
    assert await delivered(site, post) == []


async def test_sessions_are_listed_with_their_place_and_ended_at_once(site: Site) -> None:
    ada, other = await site.as_("ada"), site.browser()
    other.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    assert (await other.post("/login", data={"name": "ada", "password": PASSWORD})).status_code == 303
    await ada.get("/settings")
    await accounts.seen.write_last_seen(site.gatekeeper.db)

    page = words((await ada.get("/settings")).text)
    await ada.post("/settings/sessions/end")

    assert "From 127.0.0.0/24" in page
    assert "Firefox on Linux Sign out there" in page
    assert "Mozilla" not in page
    assert (await other.get("/settings")).status_code == 401
    assert (await ada.get("/settings")).status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("unix", ""),
    ],
)
def test_of_an_address_its_network_is_kept(address: str, network: str) -> None:
    assert accounts.seen.network_of(address) == network


async def test_links_that_are_over_are_forgotten(site: Site, post: Postbox) -> None:
    async with site.gatekeeper.db.write() as session:
        await notices.ask_link(session, LinkKind.RESET, "ada@example.org", box=site.gatekeeper.keys.sealing)
    await delivered(site, post)
    with time_machine.travel(now() + timedelta(hours=2), tick=True):
        async with site.gatekeeper.db.write() as session:
            await accounts.links.clean_up(session)
            await jobs.clean_up(session)
            assert list(await session.scalars(sa.select(MailLink))) == []
