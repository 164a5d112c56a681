"""Mails that hold a link. The request only promises that an address is looked at; here it is.

So nobody learns from an answer, or from how long it takes, whether an address has an account: whoever reads its
mail learns it.
"""

import json
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import jobs
from gatekeeper.accounts import links, people
from gatekeeper.accounts.link_tables import LinkKind
from gatekeeper.accounts.names import check_email
from gatekeeper.accounts.tables import Person
from gatekeeper.db import Database
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.sealing import Box
from gatekeeper.notices.mail import mail

MAIL_LINK = "notices:mail-link"

_HELD = {
    LinkKind.RESET: (
        "Choose a new password",
        "/reset",
        "Hello $name,\n\nsomebody, probably you, wants to choose a new password for your account. Within an hour, "
        "open\n\n$link\n\nIf it was not you, do nothing: your password stays as it is.\n",
    ),
    LinkKind.EMAIL: (
        "Confirm your e-mail address",
        "/settings/email/confirm",
        "Hello $name,\n\nto make this the address of your account, open within a day, where you are signed in,\n"
        "\n$link\n\nIf you do not know of this, do nothing.\n",
    ),
    LinkKind.SIGN_UP: (
        "Finish signing up",
        "/signup/finish",
        "Hello,\n\nto choose a name and a password at $hub, open within a day\n\n$link\n\nIf it was not you who "
        "asked, do nothing: there is no account then.\n",
    ),
    LinkKind.INVITE: (
        "You are invited",
        "/signup/finish",
        "Hello,\n\nan administrator of $hub invites you to have an account there. Within a week, open\n\n$link\n"
        "\nIf you want none, do nothing.\n",
    ),
}
_HAS_ONE = (
    "You have an account already",
    "Hello $name,\n\nsomebody, probably you, wanted to sign up at $hub with this address. You have an account "
    "there: sign in at\n\n$hub/login\n\nwhere you can also choose a new password. If it was not you, do nothing.\n",
)


async def ask_link(
    session: AsyncSession, kind: LinkKind, email: str, *, box: Box, person: Person | None = None
) -> None:
    """Promise that `email` gets the mail of this kind that is right for it, if any is.

    person  whose address it is to become (EMAIL)
    Raises Invalid for an address that is none.
    """
    job_id = new_id()
    content = json.dumps({"kind": kind.value, "email": check_email(email), "person": person.id if person else None})
    await jobs.enqueue(session, MAIL_LINK, {"id": job_id, "sealed": box.seal(content, purpose=f"link {job_id}")})


async def send_link(database: Database, payload: dict[str, Any], *, box: Box, key: bytes, public_url: str) -> None:
    """The job MAIL_LINK."""
    asked = json.loads(box.open(payload["sealed"], purpose=f"link {payload['id']}"))
    kind, email = LinkKind(asked["kind"]), asked["email"]
    async with database.write() as session:
        known = await people.find_by_email(session, email)
        person = await people.get(session, asked["person"]) if kind is LinkKind.EMAIL else known
        match kind:
            case LinkKind.RESET:
                is_right = person is not None and not person.is_disabled and person.password_hash is not None
            case LinkKind.EMAIL:
                is_right = person is not None and not person.is_disabled
            case _:
                is_right = person is None
        facts = {"hub": public_url, "name": person.name if person else ""}
        if is_right:
            subject, path, text = _HELD[kind]
            secret = await links.start(session, kind, email, key=key, person=person)
            await mail(session, email, subject, text, facts | {"link": f"{public_url}{path}?link={secret}"}, box=box)
        elif kind is LinkKind.SIGN_UP and person is not None and not person.is_disabled:
            await mail(session, email, *_HAS_ONE, facts, box=box)
