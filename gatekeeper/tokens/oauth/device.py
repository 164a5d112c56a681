"""The device flow's own part (RFC 8628): a program shows a code, a person types it and decides.

The code is short, so tries are counted per person and address, and what a person sees before deciding says which
program asked and when: somebody else's code, sent by mail, should look as foreign as it is.
"""

import hmac
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Person, Principal, throttle
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash
from gatekeeper.tokens.oauth import clients, grants
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.tables import DeviceRequest, DeviceState

DEVICE_PREFIX = "gd_"
EXPIRES_SECONDS = 900
INTERVAL_SECONDS = 5
_LETTERS = frozenset("BCDFGHJKLMNPQRSTVWXZ")  # no vowels, so no words; 20**8 codes


async def begin(
    session: AsyncSession,
    client: Client,
    *,
    device_code: str,
    user_code: str,
    scopes: list[str],
    user_agent: str,
    key: bytes,
) -> DeviceRequest:
    """Remember a program's request. Both codes are stored as keyed hashes."""
    request = DeviceRequest(
        device_code_hash=keyed_hash(key, device_code),
        user_code_hash=keyed_hash(key, f"user code {normal(user_code)}"),
        client_id=client.client_id,
        scopes=sorted(scopes),
        user_agent="".join(sign for sign in user_agent[:200] if sign.isprintable()),
        expires_at=now() + timedelta(seconds=EXPIRES_SECONDS),
        interval_seconds=INTERVAL_SECONDS,
    )
    session.add(request)
    await session.flush()
    return request


async def look_up(
    database: Database, user_code: str, *, address: str, by: Principal, key: bytes, throttle_key: bytes
) -> tuple[DeviceRequest, Client]:
    """The request that shows this code, for the person who typed it.

    Opens its own transaction, for a wrong try is counted although it is refused. Raises NotFound, the same for a code
    that never was, is over or was answered, and TooMany with `retry_after_seconds`.
    """
    target = throttle.Target.of(f"device {by.person_id}", f"device {address}", key=throttle_key)
    try:
        async with database.write() as session:
            attempt = await throttle.reserve(session, target)
            await session.flush()
            found = await _pending(session, user_code, key=key)
            client = await clients.find(session, found.client_id, key=key) if found else None
            if found is not None and client is not None:
                await throttle.forgive(session, attempt)
    except TooMany as error:
        raise TooMany("Too many wrong codes.", next_step=error.next_step, details=error.details) from None
    if found is None or client is None:
        raise NotFound(
            "There is no request with this code.",
            next_step="Compare it with what your program shows. A code works for 15 minutes and once.",
        )
    return found, client


async def decide(
    session: AsyncSession, request_id: str, *, allow: bool, scopes: list[str], by: Principal, key: bytes
) -> None:
    """Let the waiting program in, with these scopes, or turn it away. Only in person: a token cannot.

    scopes  some of those asked for

    Raises Conflict when it was answered or is over, Invalid for no scope or one that was not asked for.
    """
    person = await session.get(Person, by.person_id) if by.person_id else None
    if person is None or by.token_id is not None or person.is_disabled:
        raise NotAllowed("A program is let in by a person.", next_step="Sign in in a browser and do it there.")
    request = await session.scalar(
        sa.select(DeviceRequest).where(col(DeviceRequest.id) == request_id).with_for_update()
    )
    client = await clients.find(session, request.client_id, key=key) if request else None
    if request is None or client is None or request.state is not DeviceState.PENDING or request.expires_at <= now():
        raise Conflict("This code has been answered or is over.", next_step="Start again in your program.")
    if not allow:
        request.state = DeviceState.DENIED
        session.add(request)
        await ledger.record(session, "tokens:device:deny", actor=person.id, subject=request.id)
        return
    if not scopes or not set(scopes) <= set(request.scopes):
        raise Invalid(
            "Choose at least one thing that it may do, out of those it asks for.",
            next_step="Tick one, or turn it away.",
            details={"field": "scopes"},
        )
    # The client files a token under its label, so two logins must not have the same.
    label = f"hf-{request.id[-8:]}" if client.is_built_in else f"{client.name[:60]} {request.id[-8:]}"
    grant = await grants.open_grant(session, client, person, scopes=scopes, label=label)
    request.state, request.grant_id = DeviceState.APPROVED, grant.id
    session.add(request)


async def find_by_device_code(session: AsyncSession, device_code: str, *, key: bytes) -> DeviceRequest | None:
    """The request whose program holds this code, its row locked."""
    if not is_well_formed(device_code, DEVICE_PREFIX):
        return None
    digest = keyed_hash(key, device_code)
    found = await session.scalar(
        sa.select(DeviceRequest).where(col(DeviceRequest.device_code_hash) == digest).with_for_update()
    )
    return found if found is not None and hmac.compare_digest(found.device_code_hash, digest) else None


async def is_too_fast(session: AsyncSession, request: DeviceRequest) -> bool:
    """Note that the program asked; whether it should have waited longer, which makes it wait longer still."""
    instant = now()
    # A second less than was said: clocks and networks are not exact.
    earliest = request.polled_at and request.polled_at + timedelta(seconds=request.interval_seconds - 1)
    request.polled_at = instant
    is_fast = earliest is not None and instant < earliest
    if is_fast:
        request.interval_seconds += 5
    session.add(request)
    return is_fast


async def use_up(session: AsyncSession, request: DeviceRequest) -> bool:
    """Whether this is the first time that the answered request is turned into tokens."""
    done = await session.execute(
        sa.update(DeviceRequest)
        .where(col(DeviceRequest.id) == request.id, col(DeviceRequest.state) == DeviceState.APPROVED)
        .values(state=DeviceState.USED)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined] # an UPDATE's result counts its rows


def normal(user_code: str) -> str:
    """`user_code` as it was made, whatever case and separators it was typed with; "" for what cannot be one."""
    letters = "".join(sign for sign in user_code[:40].upper() if sign not in " -\t\u2010\u2011\u2013\u2014")
    return f"{letters[:4]}-{letters[4:]}" if len(letters) == 8 and set(letters) <= _LETTERS else ""


async def _pending(session: AsyncSession, user_code: str, *, key: bytes) -> DeviceRequest | None:
    code = normal(user_code)
    if not code:
        return None
    found = await session.scalar(
        sa.select(DeviceRequest).where(col(DeviceRequest.user_code_hash) == keyed_hash(key, f"user code {code}"))
    )
    return found if found and found.state is DeviceState.PENDING and found.expires_at > now() else None
