"""Second factors: codes that are good once, slowly guessed, and lost with what they stand for."""

from datetime import timedelta

import pyotp
import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper.accounts import (
    OPERATOR,
    Principal,
    SecondStepNeeded,
    Strength,
    devices,
    factors,
    people,
    principals,
    second_step,
    sessions,
    sign_in,
    throttle,
)
from gatekeeper.accounts.factors.tables import RecoveryCode, SignInStep, Totp
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.kit.sealing import Box

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"
BOX = Box(b"b" * 32)


@pytest.fixture
async def ada(database: Database) -> people.Person:
    async with database.write() as session:
        return await people.add(session, "Ada", email="ada@example.org", password=PASSWORD)


async def in_browser(database: Database, key: bytes, **more) -> Principal:
    signed_in = await sign_in(database, "ada", PASSWORD, address="192.0.2.7", key=key, **more)
    async with database.read() as session:
        return await sessions.resolve(session, signed_in.secret, key=key)


async def with_app(database: Database, ada, key: bytes) -> tuple[pyotp.TOTP, list[str]]:
    """Give Ada an app; the code that confirmed it is half a minute old."""
    by = await in_browser(database, key)
    async with database.write() as session:
        await factors.totp.begin(session, ada, box=BOX)
    async with database.write() as session:
        app = pyotp.TOTP((await factors.totp.under_way(session, ada, box=BOX, issuer="Hub")).secret)
        await factors.totp.confirm(session, ada, app.at(now() - timedelta(seconds=30)), box=BOX, by=by)
        _, codes = await second_step.added(session, ada, key=key, by=by)
    return app, codes


async def step(database: Database, key: bytes) -> str:
    needed = await sign_in(database, "ada", PASSWORD, address="192.0.2.7", key=key)
    assert isinstance(needed, SecondStepNeeded)
    return needed.secret


async def finish(database: Database, key: bytes, secret: str, code: str):
    return await second_step.with_code(database, secret, code, box=BOX, address="192.0.2.7", key=key)


async def test_an_app_counts_once_a_first_code_confirms_it(database: Database, ada, key) -> None:
    async with database.write() as session:
        await factors.totp.begin(session, ada, box=BOX)
        with pytest.raises(Invalid):
            await factors.totp.confirm(session, ada, "000000x", box=BOX, by=OPERATOR)

    assert not isinstance(await sign_in(database, "ada", PASSWORD, address="a", key=key), SecondStepNeeded)

    await with_app(database, ada, key)
    await step(database, key)
    async with database.write() as session:
        assert await factors.totp.under_way(session, ada, box=BOX, issuer="Hub") is None
        with pytest.raises(Conflict):
            await factors.totp.begin(session, ada, box=BOX)


async def test_the_second_step_gives_a_strong_session(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)

    signed_in = await finish(database, key, await step(database, key), f" {app.now()[:3]} {app.now()[3:]} ")

    async with database.read() as session:
        principal = await sessions.resolve(session, signed_in.secret, key=key)
    assert principal.strength is Strength.SECOND_FACTOR
    assert principal.signed_in_at is not None


async def test_a_code_is_good_once_however_it_is_written(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)
    code = app.now()
    await finish(database, key, await step(database, key), code)

    for again in (code, f" {code}", f"{code[:3]} {code[3:]}", f"{code}\n"):
        with pytest.raises(NotSignedIn):
            await finish(database, key, await step(database, key), again)


async def test_a_code_that_is_older_than_one_that_was_used_is_refused(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)
    await finish(database, key, await step(database, key), app.now())

    with pytest.raises(NotSignedIn):
        await finish(database, key, await step(database, key), app.at(now() - timedelta(seconds=30)))


async def test_codes_are_guessed_five_times_in_five_minutes(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)
    for number in range(throttle.PER_FACTOR):
        with pytest.raises(NotSignedIn) as caught:
            await finish(database, key, await step(database, key), f"{(int(app.now()) + number + 1) % 10**6:06}")
        assert caught.value.details["can_retry"]

    with pytest.raises(TooMany):
        await finish(database, key, await step(database, key), app.now())
    with time_machine.travel(now() + timedelta(seconds=throttle.WINDOW_SECONDS + 1), tick=True):
        assert await finish(database, key, await step(database, key), app.now())


async def test_a_recovery_code_is_good_once_and_kept_hashed(database: Database, ada, key) -> None:
    _, codes = await with_app(database, ada, key)

    await finish(database, key, await step(database, key), codes[0].upper().replace("-", " "))

    with pytest.raises(NotSignedIn):
        await finish(database, key, await step(database, key), codes[0])
    async with database.read() as session:
        stored = str(list(await session.execute(sa.select(RecoveryCode.__table__))))
        assert (await factors.held(session, ada.id)).codes_left == len(codes) - 1
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


async def test_the_apps_secret_is_sealed(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)
    async with database.read() as session:
        assert app.secret not in (await session.scalar(sa.select(Totp.sealed)))


async def test_a_step_ends_with_its_time_its_use_and_a_new_password(database: Database, ada, key) -> None:
    app, codes = await with_app(database, ada, key)
    used, late, stale = await step(database, key), await step(database, key), await step(database, key)

    await finish(database, key, used, app.now())
    with pytest.raises(NotSignedIn, match="too long"):
        await finish(database, key, used, codes[0])
    with (
        time_machine.travel(now() + timedelta(seconds=factors.steps.LIFE_SECONDS + 1), tick=True),
        pytest.raises(NotSignedIn, match="too long"),
    ):
        await finish(database, key, late, codes[0])
    async with database.write() as session:
        by = await principals.for_person(session, await people.get(session, ada.id))
        await people.keep_password(session, ada, "the hash of another", by=by)
    with pytest.raises(NotSignedIn, match="too long"):
        await finish(database, key, stale, codes[0])


async def test_a_disabled_person_does_not_finish_what_they_began(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)
    begun = await step(database, key)
    async with database.write() as session:
        await people.disable(session, await people.get(session, ada.id), by=OPERATOR)

    with pytest.raises(NotSignedIn):
        await finish(database, key, begun, app.now())


async def test_a_new_factor_gives_the_session_a_new_secret_and_ends_the_others(database: Database, ada, key) -> None:
    other = await sign_in(database, "ada", PASSWORD, address="a", key=key)
    mine = await sign_in(database, "ada", PASSWORD, address="a", key=key)
    async with database.write() as session:
        by = await sessions.resolve(session, mine.secret, key=key)
        secret, codes = await second_step.added(session, ada, key=key, by=by)
    async with database.read() as session:
        assert await sessions.resolve(session, other.secret, key=key) is None
        assert await sessions.resolve(session, mine.secret, key=key) is None
        assert (await sessions.resolve(session, secret, key=key)).strength is Strength.SECOND_FACTOR
    assert len(set(codes)) == factors.recovery.COUNT


async def test_with_the_last_factor_go_the_recovery_codes(database: Database, ada, key) -> None:
    app, _ = await with_app(database, ada, key)
    signed_in = await finish(database, key, await step(database, key), app.now())
    async with database.write() as session:
        by = await sessions.resolve(session, signed_in.secret, key=key)
        await factors.totp.remove(session, ada, by=by)
        await second_step.removed(session, ada, by=by)
    async with database.read() as session:
        held = await factors.held(session, ada.id)
        assert (await sessions.resolve(session, signed_in.secret, key=key)).strength is Strength.PASSWORD
    assert (held.any, held.codes_left) == (False, 0)


async def test_lost_factors_are_taken_off_by_the_operator_only(database: Database, ada, key) -> None:
    await with_app(database, ada, key)
    async with database.write() as session:
        with pytest.raises(NotAllowed):
            await second_step.take_off(session, ada, by=await principals.for_person(session, ada))
        await second_step.take_off(session, ada, by=OPERATOR)

    assert not isinstance(await sign_in(database, "ada", PASSWORD, address="a", key=key), SecondStepNeeded)


async def test_a_passkey_of_somebody_else_is_not_there(database: Database, ada, key) -> None:
    async with database.write() as session:
        with pytest.raises(NotFound):
            await factors.passkeys.remove(session, ada, "01ARZ3NDEKTSV4RRFFQ69G5FAV", by=OPERATOR)


@pytest.mark.parametrize("answer", [{}, {"id": 1}, {"id": "!"}, {"id": "AAAA", "response": []}, {"id": "AAAA"}])
async def test_a_hostile_passkey_answer_is_a_refusal(database: Database, ada, key, answer) -> None:
    rp = factors.RelyingParty("localhost", "http://localhost:8000")
    async with database.write() as session:
        _, secret = await factors.passkeys.begin(session, rp=rp, key=key)
    async with database.write() as session:
        with pytest.raises(NotSignedIn):
            await second_step.with_passkey(session, factors.tables.StepKind.PASSKEY, secret, answer, rp=rp, key=key)


async def test_strangers_cannot_lock_the_owner_out_of_a_browser_they_use(database: Database, ada, key) -> None:
    mark = devices.mark(ada.id, key=key)
    for number in range(throttle.PER_ACCOUNT):
        with pytest.raises(NotSignedIn):
            await sign_in(database, "ada", "wrong " * 3, address=f"192.0.2.{number}", key=key)

    with pytest.raises(TooMany):
        await sign_in(database, "ada", PASSWORD, address="198.51.100.1", key=key)
    assert await sign_in(database, "ada", PASSWORD, address="198.51.100.1", key=key, device=mark)


@pytest.mark.parametrize("bad", ["", "x", "x" * 91, "\u00e9" * 91])
def test_a_mark_is_good_for_its_person_only(key: bytes, bad: str) -> None:
    mark = devices.mark("ada", key=key)
    assert devices.mark_for("ada", mark, key=key)
    assert not devices.mark_for("bob", mark, key=key)
    assert not devices.mark_for("ada", mark[:-1] + ("0" if mark[-1] != "0" else "1"), key=key)
    assert not devices.mark_for("ada", bad, key=key)


async def test_tries_with_a_mark_are_counted_too(database: Database, ada, key) -> None:
    mark = devices.mark(ada.id, key=key)
    for _ in range(throttle.PER_ACCOUNT):
        with pytest.raises(NotSignedIn):
            await sign_in(database, "ada", "wrong " * 3, address="a", key=key, device=mark)
    with pytest.raises(TooMany):
        await sign_in(database, "ada", PASSWORD, address="a", key=key, device=mark)


async def test_steps_that_nobody_finished_are_forgotten(database: Database, ada, key) -> None:
    await with_app(database, ada, key)
    await step(database, key)
    with time_machine.travel(now() + timedelta(seconds=factors.steps.LIFE_SECONDS + 1), tick=True):
        async with database.write() as session:
            await factors.steps.clean_up(session)
            assert list(await session.scalars(sa.select(SignInStep))) == []
