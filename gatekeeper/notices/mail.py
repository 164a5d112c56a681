"""Mail: promised in the transaction of the act, sent by a job, tried again when the server does not take it.

Addresses and texts of single mails lie sealed in the outbox; nothing of them is logged.
"""

import asyncio
import json
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from string import Template
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import jobs
from gatekeeper.accounts import people
from gatekeeper.accounts.names import check_email
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.sealing import Box
from gatekeeper.notices.tables import Notice
from gatekeeper.notices.telling import mail_preferences
from gatekeeper.notices.wording import say

MAIL = "notices:mail"
_SECONDS = 20
_FOOT = "You get this because of your account at {url}. Choose which mails you want: {url}/notices"


class MailFailed(Exception):
    """The mail server did not take it. Says neither to whom nor what."""


@dataclass(frozen=True)
class MailServer:
    """Where mail goes out. `sender` is an address, perhaps with a name before it."""

    host: str
    port: int
    is_starttls: bool
    user: str
    password: str
    sender: str

    def send(self, message: EmailMessage) -> None:
        """Hand a message over; blocks. Raises MailFailed."""
        try:
            with smtplib.SMTP(self.host, self.port, timeout=_SECONDS) as server:
                if self.is_starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            raise MailFailed(f"the mail server did not take it ({type(error).__name__})") from None


async def mail(
    session: AsyncSession, address: str, subject: str, template: str, facts: Mapping[str, Any], *, box: Box
) -> None:
    """Promise one mail to an address, for what is no notice: confirming an address, resetting a password.

    template  plain text with `$name` for each fact
    box       seals address and text until it is sent, for they may hold a link that opens an account
    Raises Invalid for an address that is none, KeyError for a fact that is missing.
    """
    mail_id = new_id()
    text = Template(template).substitute({name: str(value) for name, value in facts.items()})
    content = json.dumps({"to": check_email(address), "subject": subject, "text": text})
    await jobs.enqueue(session, MAIL, {"id": mail_id, "sealed": box.seal(content, purpose=f"mail {mail_id}")})


class Postman:
    """Does the jobs that mails are. Without a mail server they are done by doing nothing."""

    def __init__(self, database: Database, server: MailServer | None, *, box: Box, public_url: str) -> None:
        self._database, self._server, self._box, self._public_url = database, server, box, public_url

    async def send_mail(self, payload: dict[str, Any]) -> None:
        """The job MAIL."""
        if self._server is None:
            return
        found = json.loads(self._box.open(payload["sealed"], purpose=f"mail {payload['id']}"))
        await self._send(self._server, payload["id"], found["to"], found["subject"], found["text"])

    async def send_notice(self, payload: dict[str, Any]) -> None:
        """The job NOTICE_MAIL. Whether it is wanted is asked again: it may have been switched off meanwhile."""
        if self._server is None:
            return
        async with self._database.read() as session:
            notice = await session.get(Notice, payload["notice"])
            person = await people.get(session, notice.person_id) if notice is not None else None
            if notice is None or person is None or person.is_disabled or notice.mailed_at is not None:
                return
            if not (await mail_preferences(session, person.id)).get(notice.kind, False):
                return
        said = say(notice.kind, notice.facts)
        foot = _FOOT.format(url=self._public_url)
        text = f"Hello {person.name},\n\n{said.text}\n\n{self._public_url}{said.path}\n\n-- \n{foot}\n"
        await self._send(self._server, notice.id, person.email, said.title, text)
        async with self._database.write() as session:
            sent = await session.get(Notice, notice.id)
            if sent is not None:
                sent.mailed_at = now()
                session.add(sent)

    async def _send(self, server: MailServer, mail_id: str, address: str, subject: str, text: str) -> None:
        message = compose(server.sender, mail_id, address, subject, text)
        message["Auto-Submitted"] = "auto-generated"
        message["List-Unsubscribe"] = f"<{self._public_url}/notices>"
        await asyncio.to_thread(server.send, message)


def compose(sender: str, mail_id: str, address: str, subject: str, text: str) -> EmailMessage:
    """A message in plain text. Its id is the mail's, so that one sent twice is known for the same.

    INVARIANT: no header can be broken out of: the subject is one line, and the address is checked and built from parts.
    """
    user, _, domain = check_email(address).rpartition("@")
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())[:200]
    message["From"] = sender
    message["To"] = Address(username=user, domain=domain)
    message["Date"] = format_datetime(now())
    message["Message-ID"] = f"<{mail_id}@{sender.rpartition('@')[2].rstrip('>') or 'localhost'}>"
    message.set_content(text)
    return message
