"""What people are told about their accounts, by a notice and always by mail."""

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import accounts, ledger, notices, tokens
from gatekeeper.accounts import OPERATOR, Role, Strength, devices, organizations, people, principals
from gatekeeper.accounts.signin import open_session
from gatekeeper.db import Database
from gatekeeper.jobs import Job
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.notices import NOTICE_MAIL, Notice
from gatekeeper.notices.courier import Question
from gatekeeper.tokens import approval

pytestmark = pytest.mark.anyio
KEY = b"k" * 32
SEAL = SigningKey(Ed25519PrivateKey.generate())


async def never(session: AsyncSession, question: Question) -> bool:
    return False


async def told(database: Database) -> list[tuple[str, str]]:
    """Whom the ledger's events led to tell what, in order."""
    await ledger.Sealer(database, SEAL, origin="test").seal()
    await notices.hand_out(database, judge=never)
    async with database.read() as session:
        rows = await session.execute(
            sa.select(accounts.Person.name, Notice.kind)
            .join(accounts.Person, col(accounts.Person.id) == col(Notice.person_id))
            .order_by(col(Notice.id))
        )
        return [(name, kind) for name, kind in rows]


async def enter(session: AsyncSession, person: accounts.Person, device: str = "") -> None:
    await open_session(session, person, Strength.PASSWORD, key=KEY, user_agent="", days=1, replaces=None, device=device)


async def test_a_new_password_a_new_factor_and_a_new_browser_are_told_by_mail_whatever_was_chosen(
    database: Database,
) -> None:
    await told(database)
    async with database.write() as session:
        ada = await people.add(session, "ada", email="ada@example.org")
        await notices.prefer_mail(session, ada.id, set())
        await enter(session, ada)  # the first ever is nothing to tell
    async with database.write() as session:
        await enter(session, ada, devices.mark(ada.id, key=KEY))
        await enter(session, ada, devices.mark("somebody else", key=KEY))
        await people.keep_password(session, ada, "the hash of another", by=OPERATOR)
        await ledger.record(session, "accounts:passkey:add", actor=ada.id, subject="a passkey")

    assert await told(database) == [("ada", "new-browser"), ("ada", "password-changed"), ("ada", "sign-in-changed")]
    async with database.read() as session:
        mails = list(await session.scalars(sa.select(Job).where(col(Job.kind) == NOTICE_MAIL)))
    assert len(mails) == 3


async def test_administrators_are_told_of_a_token_that_waits_for_their_approval(database: Database) -> None:
    await told(database)
    async with database.write() as session:
        ada, bob = [await people.add(session, name, email=f"{name}@example.org") for name in ("ada", "bob")]
        lab = await organizations.create(session, "lab", by=await principals.for_person(session, ada))
        await organizations.add_member(session, lab, bob, Role.WRITE, by=OPERATOR)
        await tokens.issue(session, bob, label="before", role="read", key=KEY)
        await approval.set_policy(session, lab, needs_approval=True, max_days=None, by=OPERATOR)
    async with database.write() as session:
        elsewhere = accounts.Reach(owners=frozenset({bob.id}))
        await tokens.issue(session, bob, label="waits", role="read", key=KEY)
        await tokens.issue(session, bob, label="elsewhere", role="read", key=KEY, reach=elsewhere)

    assert ("ada", "token-waiting") in await told(database)
    assert {name for name, kind in await told(database) if kind == "token-waiting"} == {"ada"}


async def test_members_are_told_when_their_organization_asks_for_a_second_factor_that_they_lack(
    database: Database,
) -> None:
    await told(database)
    async with database.write() as session:
        ada, bob = [await people.add(session, name, email=f"{name}@example.org") for name in ("ada", "bob")]
        lab = await organizations.create(session, "lab", by=OPERATOR)
        for person in (ada, bob):
            await organizations.add_member(session, lab, person, Role.READ, by=OPERATOR)
        session.add(accounts.factors.Totp(person_id=bob.id, sealed="-", confirmed_at=now()))
        await accounts.memberships.ask_factor(session, lab, asks=True, by=OPERATOR)
    assert await told(database) == [("ada", "factor-asked")]
