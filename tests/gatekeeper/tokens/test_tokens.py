"""Access tokens: what is issued, what is refused, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import tokens
from gatekeeper.accounts import OPERATOR, Person, Principal, Role, organizations, people
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import new_secret
from gatekeeper.ledger import LedgerEvent

pytestmark = pytest.mark.anyio
KEY = b"k" * 32
REFUSAL = "^Invalid credentials in Authorization header$"


@pytest.fixture
async def ada(session: AsyncSession) -> Person:
    return await people.add(session, "ada", email="ada@example.org")


async def test_a_token_stands_for_its_owner_narrowed_to_its_scopes(session: AsyncSession, ada: Person) -> None:
    lab = await organizations.create(session, "lab", by=Principal(person_id=ada.id))
    token, secret = await tokens.issue(session, ada, label="laptop", key=KEY)
    principal = await tokens.resolve(session, secret, key=KEY)
    assert (principal.person_id, principal.name, principal.token_id) == (ada.id, "ada", token.id)
    assert principal.organizations == {lab.id: Role.ADMIN}
    assert principal.scopes == {"read", "download", "generate"}
    assert secret.startswith("gk_")
    assert token.hint == secret[-4:]
    assert secret not in str(token.model_dump())


async def test_a_write_token_may_write(session: AsyncSession, ada: Person) -> None:
    _, secret = await tokens.issue(session, ada, label="ci", role="write", key=KEY)
    assert tokens.Scope.WRITE in (await tokens.resolve(session, secret, key=KEY)).scopes


@pytest.mark.parametrize(
    "secret",
    ["", "gk_", "x" * 1_000_000, "gk_" + "é" * 44, "gk_" + "A" * 44, "gs_" + "A" * 44, "\ud800", "gk_" + "\x00" * 44],
)
async def test_malformed_tokens_are_refused_without_asking_the_database(secret: str) -> None:
    with pytest.raises(NotSignedIn, match=REFUSAL) as caught:
        await tokens.resolve(None, secret, key=KEY)  # type: ignore[arg-type]
    assert caught.value.next_step


async def test_well_formed_but_unknown_revoked_expired_and_disabled_look_the_same(session, ada: Person) -> None:
    revoked, revoked_secret = await tokens.issue(session, ada, label="revoked", key=KEY)
    await tokens.revoke(session, revoked.id, by=Principal(person_id=ada.id))
    _, live = await tokens.issue(session, ada, label="live", key=KEY)
    for secret, key in [(new_secret("gk_"), KEY), (revoked_secret, KEY), (live, b"other key")]:
        with pytest.raises(NotSignedIn, match=REFUSAL):
            await tokens.resolve(session, secret, key=key)
    with time_machine.travel(now() + timedelta(days=365), tick=False), pytest.raises(NotSignedIn, match=REFUSAL):
        await tokens.resolve(session, live, key=KEY)
    await people.disable(session, ada, by=OPERATOR)
    with pytest.raises(NotSignedIn, match=REFUSAL):
        await tokens.resolve(session, live, key=KEY)


async def test_no_token_lives_for_good(session: AsyncSession, ada: Person) -> None:
    token, secret = await tokens.issue(session, ada, label="long", max_days=30, key=KEY)
    assert timedelta(days=29) < token.expires_at - now() <= timedelta(days=30)
    assert (await tokens.resolve(session, secret, key=KEY)).valid_until == token.expires_at


@pytest.mark.parametrize("ends", [timedelta(days=31), timedelta(seconds=-1), timedelta(0)])
async def test_an_end_that_is_past_or_too_far_is_refused(session: AsyncSession, ada: Person, ends: timedelta) -> None:
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False), pytest.raises(Invalid, match="30 days"):
        await tokens.issue(session, ada, label="x", expires_at=now() + ends, max_days=30, key=KEY)


@pytest.mark.parametrize("label", ["", "   ", "x" * 81, "a\nb", "\u202eevil"])
async def test_a_label_is_required_and_plain(session: AsyncSession, ada: Person, label: str) -> None:
    with pytest.raises(Invalid, match="label"):
        await tokens.issue(session, ada, label=label, key=KEY)


async def test_a_label_is_unique_among_live_tokens_of_one_person(session: AsyncSession, ada: Person) -> None:
    first, _ = await tokens.issue(session, ada, label="laptop", key=KEY)
    with pytest.raises(Conflict, match="laptop"):
        await tokens.issue(session, ada, label=" laptop ", key=KEY)
    bob = await people.add(session, "bob", email="bob@example.org")
    await tokens.issue(session, bob, label="laptop", key=KEY)
    await tokens.revoke(session, first.id, by=OPERATOR)
    second, _ = await tokens.issue(session, ada, label="laptop", key=KEY)
    assert await tokens.list_for(session, ada.id) == [second]


@pytest.mark.parametrize(
    ("role", "scopes"), [("root", None), ("read", ["write"]), ("read", ["admin"]), ("write", []), ("write", ["all"])]
)
async def test_roles_and_scopes_that_make_no_sense_are_refused(session, ada: Person, role: str, scopes) -> None:
    with pytest.raises(Invalid) as caught:
        await tokens.issue(session, ada, label="x", role=role, scopes=scopes, key=KEY)
    assert caught.value.next_step


async def test_scopes_can_be_narrower_than_the_role(session: AsyncSession, ada: Person) -> None:
    token, _ = await tokens.issue(session, ada, label="x", scopes=["download", "read"], key=KEY)
    assert token.scopes == ["download", "read"]


async def test_tokens_are_made_by_their_owner_in_person(session: AsyncSession, ada: Person) -> None:
    bob = await people.add(session, "bob", email="bob@example.org")
    for by in (Principal(person_id=bob.id), Principal(person_id=ada.id, token_id="t"), Principal()):
        with pytest.raises(NotAllowed):
            await tokens.issue(session, ada, label="x", key=KEY, by=by)


async def test_nobody_revokes_another_persons_token(session: AsyncSession, ada: Person) -> None:
    bob = await people.add(session, "bob", email="bob@example.org")
    token, secret = await tokens.issue(session, ada, label="x", key=KEY)
    other, _ = await tokens.issue(session, ada, label="y", key=KEY)
    for by in (Principal(person_id=bob.id), Principal(), Principal(person_id=ada.id, token_id=other.id)):
        with pytest.raises(NotFound):
            await tokens.revoke(session, token.id, by=by)
    with pytest.raises(NotFound):
        await tokens.revoke(session, "no such", by=OPERATOR)
    await tokens.revoke(session, token.id, by=await tokens.resolve(session, secret, key=KEY))
    with pytest.raises(NotSignedIn):
        await tokens.resolve(session, secret, key=KEY)


async def test_all_of_a_persons_tokens_end_at_once(session: AsyncSession, ada: Person) -> None:
    secrets = [(await tokens.issue(session, ada, label=f"t{n}", key=KEY))[1] for n in range(3)]
    assert await tokens.revoke_all(session, ada, by=OPERATOR) == 3
    for secret in secrets:
        with pytest.raises(NotSignedIn):
            await tokens.resolve(session, secret, key=KEY)


async def test_issuing_and_revoking_leave_evidence_without_the_secret(session: AsyncSession, ada: Person) -> None:
    token, secret = await tokens.issue(session, ada, label="laptop", key=KEY)
    await tokens.revoke(session, token.id, by=OPERATOR)
    await tokens.revoke(session, token.id, by=OPERATOR)
    await session.flush()
    events = list(await session.scalars(sa.select(LedgerEvent).where(LedgerEvent.subject_id == token.id)))
    assert [event.kind for event in events] == ["tokens:token:issue", "tokens:token:revoke"]
    assert secret not in str([event.model_dump() for event in events])


async def test_last_use_is_written_outside_the_request(database: Database) -> None:
    async with database.write() as session:
        ada = await people.add(session, "ada", email="ada@example.org")
        token, _ = await tokens.issue(session, ada, label="laptop", key=KEY)
    uses = tokens.LastUse()
    await uses.write(database)
    first = datetime(2026, 5, 1, tzinfo=UTC)
    for instant in (first, first + timedelta(hours=1), first - timedelta(hours=1)):
        with time_machine.travel(instant, tick=False):
            uses.saw(token.id)
            uses.saw("deleted since")
        await uses.write(database)
    async with database.read() as session:
        used = await tokens.last_used(session, ada.id)
        assert {id: use.last_used_at for id, use in used.items()} == {token.id: first + timedelta(hours=1)}
