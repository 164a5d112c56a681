"""Mail to a real SMTP server, and what nobody can smuggle into it."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from sqlmodel import col

from gatekeeper import jobs, notices
from gatekeeper.accounts import people
from gatekeeper.db import Database
from gatekeeper.errors import Invalid
from gatekeeper.jobs import Job
from gatekeeper.kit.sealing import Box
from gatekeeper.notices import MailServer, Notice, Postman
from gatekeeper.notices.mail import MailFailed, compose
from gatekeeper.worker import work_once

pytestmark = pytest.mark.anyio
BOX = Box(b"k" * 32)
URL = "https://hub.example.org"


class Inbox:
    """What arrived, as raw messages. `refuses` is how many are turned away first."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.refuses = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            self.refuses -= 1
            return "451 try again"
        self.messages.append(envelope.content.decode())
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, MailServer]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, MailServer("127.0.0.1", port, False, "", "", "hub@example.org")
    controller.stop()


async def somebody(database: Database) -> str:
    async with database.write() as session:
        return (await people.add(session, "ada", email="ada@example.org")).id


def handlers(postman: Postman) -> dict[str, Any]:
    return {notices.MAIL: postman.send_mail, notices.NOTICE_MAIL: postman.send_notice}


async def test_a_notice_goes_out_once_and_says_how_to_stop(database: Database, inbox: tuple[Inbox, MailServer]) -> None:
    ada, (box, server) = await somebody(database), inbox
    postman = Postman(database, server, box=BOX, public_url=URL)
    facts = {"repo": "lab/emoji", "url": "/lab/emoji"}
    async with database.write() as session:
        assert await notices.tell(session, ada, "request-approved", event="e1", **facts)
        assert not await notices.tell(session, ada, "request-approved", event="e1", **facts)
        assert await notices.unread(session, ada) == 1
    assert await work_once(database, handlers(postman))
    assert not await work_once(database, handlers(postman))
    [message] = box.messages
    assert "Subject: Your request for lab/emoji was approved" in message
    assert "To: ada@example.org" in message
    assert f"List-Unsubscribe: <{URL}/notices>" in message
    assert "Auto-Submitted: auto-generated" in message
    async with database.read() as session:
        notice = (await session.scalars(sa.select(Notice))).one()
        assert notice.mailed_at is not None
    await postman.send_notice({"notice": notice.id})  # the job ran twice
    assert len(box.messages) == 1


async def test_a_mail_server_that_refuses_is_asked_again(database: Database, inbox: tuple[Inbox, MailServer]) -> None:
    ada, (box, server) = await somebody(database), inbox
    box.refuses = 1
    postman = Postman(database, server, box=BOX, public_url=URL)
    async with database.write() as session:
        await notices.tell(session, ada, "access-granted", event="e1", repo="lab/emoji", url="/lab/emoji")
    assert await work_once(database, handlers(postman))
    async with database.write() as session:
        job = (await session.scalars(sa.select(Job))).one()
        assert job.finished_at is None
        assert job.error == "MailFailed: the mail server did not take it (SMTPDataError)"
        assert "ada" not in job.error
        await session.execute(sa.update(Job).values(run_at=job.created_at))
    assert await work_once(database, handlers(postman))
    assert len(box.messages) == 1


async def test_who_wants_no_mail_of_a_kind_gets_the_notice_only(
    database: Database, inbox: tuple[Inbox, MailServer]
) -> None:
    ada, (box, server) = await somebody(database), inbox
    postman = Postman(database, server, box=BOX, public_url=URL)
    facts = {"repo": "lab/emoji", "url": "/lab/emoji"}
    async with database.write() as session:
        await notices.tell(session, ada, "access-granted", event="before", **facts)
        await notices.prefer_mail(session, ada, set(notices.KINDS) - {"access-granted"})
        await notices.tell(session, ada, "access-granted", event="after", **facts)
        await notices.tell(session, ada, "access-revoked", event="after", **facts)
        assert await notices.unread(session, ada) == 3
    while await work_once(database, handlers(postman)):
        pass
    [message] = box.messages
    assert "has ended" in message


async def test_a_single_mail_lies_sealed_until_it_is_sent(database: Database, inbox: tuple[Inbox, MailServer]) -> None:
    box, server = inbox
    async with database.write() as session:
        await notices.mail(
            session, "new@example.org", "Confirm", "Open $link to confirm.", {"link": "https://x/SECRET"}, box=BOX
        )
        job = (await session.scalars(sa.select(Job))).one()
        assert "SECRET" not in json.dumps(job.payload)
        assert "new@" not in json.dumps(job.payload)
    assert await work_once(database, handlers(Postman(database, server, box=BOX, public_url=URL)))
    assert "Open https://x/SECRET to confirm." in box.messages[0]
    with pytest.raises(ValueError, match="sealed"):
        Box(b"x" * 32).open(job.payload["sealed"], purpose=f"mail {job.payload['id']}")


async def test_without_a_mail_server_the_jobs_are_done_by_doing_nothing(database: Database) -> None:
    ada = await somebody(database)
    async with database.write() as session:
        await notices.tell(session, ada, "access-granted", event="e", repo="lab/emoji", url="/lab/emoji")
    assert await work_once(database, handlers(Postman(database, None, box=BOX, public_url=URL)))
    async with database.read() as session:
        query = sa.select(Job).where(col(Job.finished_at).is_not(None))
        assert (await session.scalars(query)).one().kind == notices.NOTICE_MAIL


def test_no_header_can_be_broken_out_of() -> None:
    message = compose("hub@example.org", "1", "ada@example.org", "Hi\r\nBcc: eve@example.org\n\nbody", "text")
    assert message["Bcc"] is None
    assert message["Subject"] == "Hi Bcc: eve@example.org body"
    for address in ("ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org", "ada"):
        with pytest.raises((Invalid, ValueError)):
            compose("hub@example.org", "1", address, "Hi", "text")


async def test_an_unreachable_mail_server_is_an_error_without_names() -> None:
    server = MailServer("127.0.0.1", 1, False, "", "", "hub@example.org")
    with pytest.raises(MailFailed, match="ConnectionRefusedError"):
        server.send(compose("hub@example.org", "1", "ada@example.org", "Hi", "text"))
    assert jobs.MOST_ATTEMPTS > 3


def test_every_kind_says_something_with_its_facts() -> None:
    names = "repo url person day commit num webhook organization fired reason outcome incident message action what did"
    facts = dict.fromkeys(names.split(), "x\r\n{y}")
    for kind in notices.KINDS:
        said = notices.say(kind, facts)
        assert "\n" not in said.title
        assert said.path.startswith(("/", "x"))


def test_every_kind_that_one_may_do_without_is_in_one_group_of_the_choices() -> None:
    grouped = [kind for kinds in notices.GROUPS.values() for kind in kinds]

    assert sorted(grouped) == sorted(kind for kind, form in notices.KINDS.items() if form.is_optional)
