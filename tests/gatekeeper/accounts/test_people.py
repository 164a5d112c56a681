"""People: who may be added under which name, and what disabling means."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import OPERATOR, Principal, passwords, people, sessions
from gatekeeper.accounts.principals import for_person
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotSignedIn
from gatekeeper.ledger import LedgerEvent

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


async def test_a_person_is_found_by_name_and_address_whatever_the_case(session: AsyncSession, make_person) -> None:
    ada = await make_person("Ada", email="Ada@Example.org")
    assert await people.find(session, "aDA") is ada
    assert await people.find_by_email(session, "ADA@example.ORG") is ada
    assert await people.find(session, "somebody") is None


@pytest.mark.parametrize("name", ["ada", "ADA", "a.d-a", "a_da"])
async def test_a_name_like_one_that_is_taken_is_refused(session: AsyncSession, make_person, name: str) -> None:
    await make_person("Ada")
    with pytest.raises(Conflict, match="taken"):
        await people.add(session, name, email="other@example.org")
    assert await session.scalar(sa.select(sa.func.count()).select_from(people.Person)) == 1


async def test_letters_that_look_like_digits_make_no_new_name(session: AsyncSession, make_person) -> None:
    await make_person("lil0")
    with pytest.raises(Conflict):
        await people.add(session, "1iIo", email="other@example.org")


async def test_two_people_cannot_share_an_address(session: AsyncSession, make_person) -> None:
    await make_person("ada", email="ada@example.org")
    with pytest.raises(Conflict, match="address"):
        await people.add(session, "bob", email="ADA@example.org")


async def test_the_password_is_stored_only_as_argon2id(make_person) -> None:
    ada = await make_person("ada", password=PASSWORD)
    assert ada.password_hash.startswith("$argon2id$")
    assert await passwords.verify_password(ada.password_hash, PASSWORD)
    assert not await passwords.verify_password(ada.password_hash, PASSWORD + "!")


@pytest.mark.parametrize("password", ["elevenchars", "x" * 1025, "aaaabbbbaaaabbbb", "ada@example.org"])
async def test_a_password_that_is_easy_to_guess_or_too_long_is_refused(make_person, password: str) -> None:
    with pytest.raises(Invalid) as caught:
        await make_person("ada", password=password)
    assert caught.value.next_step


async def test_a_disabled_person_has_no_session_and_no_principal(session: AsyncSession, make_person, key) -> None:
    ada = await make_person("ada")
    _, secret = await sessions.start(session, ada, key=key, user_agent="", days=1)
    await people.disable(session, ada, by=OPERATOR)
    assert await sessions.resolve(session, secret, key=key) is None
    with pytest.raises(NotSignedIn):
        await for_person(session, ada)
    await people.enable(session, ada, by=OPERATOR)
    assert await sessions.resolve(session, secret, key=key) is None


async def test_only_an_administrator_disables(session: AsyncSession, make_person) -> None:
    ada = await make_person("ada")
    with pytest.raises(NotAllowed):
        await people.disable(session, ada, by=Principal(person_id=ada.id))
    assert not ada.is_disabled


async def test_the_last_administrator_stays(session: AsyncSession, make_person) -> None:
    root = await make_person("root-one", is_admin=True)
    with pytest.raises(Conflict, match="last administrator"):
        await people.disable(session, root, by=OPERATOR)
    await make_person("root-two", is_admin=True)
    await people.disable(session, root, by=OPERATOR)
    assert root.is_disabled


async def test_a_new_password_ends_the_other_sessions(session: AsyncSession, make_person, key) -> None:
    ada = await make_person("ada", password=PASSWORD)
    here, secret = await sessions.start(session, ada, key=key, user_agent="", days=1)
    _, elsewhere = await sessions.start(session, ada, key=key, user_agent="", days=1)
    await session.flush()
    me = await sessions.resolve(session, secret, key=key)
    await people.keep_password(session, ada, "the hash of another", by=me)
    assert await sessions.resolve(session, secret, key=key)
    assert await sessions.resolve(session, elsewhere, key=key) is None
    assert me.session_id == here.id


async def test_evidence_of_people_holds_ids_and_no_names(session: AsyncSession, make_person) -> None:
    ada = await make_person("ada", fullname="Ada Lovelace")
    await people.disable(session, ada, by=OPERATOR)
    await session.flush()
    events = list(await session.scalars(sa.select(LedgerEvent)))
    assert [event.kind for event in events] == ["accounts:person:add", "accounts:person:disable"]
    assert {event.subject_id for event in events} == {ada.id}
    assert not any("ada" in str(event.body).lower() for event in events)


def test_a_readable_secret_has_twenty_characters_that_are_not_mistaken() -> None:
    secret = passwords.readable_secret()
    assert len(secret) == 20
    assert not set(secret) & set("0O1lIio")
    assert passwords.check_password(secret)


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "Password1234",
        "qwertyuiop123",
        "iloveyou12345",
        "letmeinletmein",
        "ada@example.org",
        "Ada.Lovelace1",
        "Gatekeeper-Hub1",
    ],
)
def test_common_passwords_and_what_is_made_of_them_or_of_ones_name_are_refused(password: str) -> None:
    with pytest.raises(Invalid, match="easy to guess"):
        passwords.check_password(password, name="ada.lovelace", email="ada@example.org")
    assert passwords.check_password("correct horse battery", name="ada.lovelace", email="ada@example.org")
