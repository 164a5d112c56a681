"""Bringing deliveries to webhooks: in order for each subject, at least once, again and again for a day.

Each is decided when it is sent: what the webhook's owner may not know by then is withheld.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import people, principals
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.kit.sealing import Box
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import payload, webhooks
from gatekeeper.notices.sending import Outcome, Sender, signature
from gatekeeper.notices.tables import DeliveryState, Webhook, WebhookDelivery
from gatekeeper.notices.telling import tell
from gatekeeper.repos.tables import Repo

MAX_AGE = timedelta(hours=24)
FAILING_TOO_LONG = timedelta(days=3)
KEPT = timedelta(days=30)
SLOTS = 8
LEASE_SECONDS = 60
_FIRST_PAUSE_SECONDS = 10
_LONGEST_PAUSE_SECONDS = 3600

_log = structlog.get_logger("gatekeeper.notices")


@dataclass(frozen=True)
class Question:
    """May this person be told of this? `commit` is what the event is about, None where it is about no commit."""

    person: Principal
    repo: Repo
    domain: str
    scope: str
    commit: str | None


Judge = Callable[[AsyncSession, Question], Awaitable[bool]]


@dataclass(frozen=True)
class _Parcel:
    url: str
    headers: dict[str, str]
    body: bytes


class Courier:
    """Sends what is due. Several processes may have one: deliveries are claimed under a lease."""

    def __init__(self, database: Database, sender: Sender, *, box: Box, judge: Judge, public_url: str) -> None:
        self._database, self._sender, self._box = database, sender, box
        self._judge, self._public_url = judge, public_url

    async def run(self, *, pause_seconds: float = 1) -> None:
        """Send for ever; ends by being cancelled."""
        free = asyncio.Semaphore(SLOTS)
        async with asyncio.TaskGroup() as group:
            while True:
                await free.acquire()
                delivery = await self._claim_safely()
                if delivery is None:
                    free.release()
                    await asyncio.sleep(pause_seconds)
                else:
                    group.create_task(self.bring(delivery)).add_done_callback(lambda _: free.release())

    async def _claim_safely(self) -> WebhookDelivery | None:
        try:
            return await self.claim()
        except Exception:  # the database itself does not answer: wait, do not die
            _log.exception("deliveries could not be read")
            return None

    async def claim(self) -> WebhookDelivery | None:
        """The next delivery that is due, under a lease; None if nothing is."""
        async with self._database.read() as session:
            if await session.scalar(_due(now()).limit(1)) is None:
                return None  # without taking the writers' lock
        async with self._database.write() as session:
            instant = now()
            delivery = await session.scalar(_due(instant).limit(1).with_for_update(skip_locked=True))
            if delivery is not None:
                delivery.attempts += 1
                delivery.claimed_until = instant + timedelta(seconds=LEASE_SECONDS)
                session.add(delivery)
            return delivery

    async def bring(self, delivery: WebhookDelivery) -> None:
        """Make one attempt at a claimed delivery and note how it went."""
        try:
            async with self._database.read() as session:
                parcel = await self._pack(session, delivery)
            outcome = await self._sender.post(parcel.url, parcel.headers, parcel.body) if parcel else None
        except Exception:
            _log.exception("a delivery could not be made", delivery=delivery.id)
            outcome = Outcome(None, 0, 0, "The hub could not make this delivery.")
        try:
            async with self._database.write() as session:
                await self._settle(session, delivery, outcome)
        except Exception:  # its lease ends, and it is tried again
            _log.exception("a delivery could not be noted", delivery=delivery.id)

    async def _pack(self, session: AsyncSession, delivery: WebhookDelivery) -> _Parcel | None:
        """What to send, None if the owner may not know it."""
        hook = await session.get(Webhook, delivery.webhook_id)
        owner = await people.get(session, hook.owner_id) if hook is not None else None
        if hook is None or owner is None or owner.is_disabled:
            return None
        event = repo = None
        if delivery.event_id is not None:
            event = await session.get(LedgerEvent, delivery.event_id)
            repo = await session.get(Repo, event.repo_id) if event is not None and event.repo_id else None
            if event is None or repo is None:
                return None
            person = await principals.for_person(session, owner)
            question = Question(person, repo, delivery.domain, delivery.scope, payload.commit_of(event))
            if not await self._judge(session, question):
                return None
        found = await payload.build(session, hook, delivery, event, repo, public_url=self._public_url)
        body = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
        return _Parcel(hook.url, self._headers(hook, delivery, body), body)

    def _headers(self, hook: Webhook, delivery: WebhookDelivery, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Gatekeeper-Webhook/1",
            "X-Gatekeeper-Webhook": hook.id,
            "X-Gatekeeper-Delivery": delivery.id,
            "X-Gatekeeper-Event": f"{delivery.domain}:{delivery.scope}:{delivery.action}",
        }
        if hook.secret_sealed:
            secret = self._box.open(hook.secret_sealed, purpose=webhooks.purpose(hook))
            headers["X-Webhook-Secret"] = secret
            headers["X-Gatekeeper-Signature"] = signature(secret, body, at=int(now().timestamp()))
        return headers

    async def _settle(self, session: AsyncSession, claimed: WebhookDelivery, outcome: Outcome | None) -> None:
        delivery = await session.get(WebhookDelivery, claimed.id, with_for_update=True)
        # `attempts` names the claim: if it has moved on, or it was given up, somebody else reports.
        if delivery is None or delivery.attempts != claimed.attempts or delivery.state is not DeliveryState.WAITING:
            return
        hook = await session.get_one(Webhook, delivery.webhook_id, with_for_update=True)
        instant, delivery.claimed_until = now(), None
        session.add(delivery)
        if outcome is None:
            delivery.state, delivery.finished_at = DeliveryState.WITHHELD, instant
            delivery.error = "You may not know what this was about."
            return
        delivery.status, delivery.duration_ms = outcome.status, outcome.duration_ms
        delivery.response_bytes, delivery.error = outcome.response_bytes, outcome.error[:300]
        if outcome.is_good:
            delivery.state, delivery.finished_at, hook.failing_since = DeliveryState.DELIVERED, instant, None
            session.add(hook)
            return
        await self._failed(session, hook, delivery, instant)

    async def _failed(self, session: AsyncSession, hook: Webhook, delivery: WebhookDelivery, instant: datetime) -> None:
        delivery.next_at = instant + timedelta(seconds=pause_seconds(delivery.attempts))
        if delivery.scope == webhooks.PING or delivery.next_at > delivery.created_at + MAX_AGE:
            delivery.state, delivery.finished_at = DeliveryState.FAILED, instant
        if delivery.scope != webhooks.PING and hook.failing_since is None:
            hook.failing_since = instant
            session.add(hook)
        if hook.failing_since is not None and instant - hook.failing_since >= FAILING_TOO_LONG:
            await webhooks.disable(session, hook, by=None, because="Nothing arrived for three days.")
            await tell(session, hook.owner_id, "webhook-disabled", event=f"{hook.id}/{delivery.id}", webhook=hook.id)


def pause_seconds(attempts: int) -> float:
    """How long to wait after so many attempts: doubling, a fifth more or less by chance, at most an hour."""
    pause: int = min(_FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 20), _LONGEST_PAUSE_SECONDS)
    return float(pause) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing


async def clean_up(session: AsyncSession) -> None:
    """Forget deliveries that were over long ago."""
    await session.execute(sa.delete(WebhookDelivery).where(col(WebhookDelivery.finished_at) < now() - KEPT))


def _due(instant: datetime) -> sa.Select[WebhookDelivery]:
    """Deliveries that may be sent now: nothing earlier about the same waits, and the webhook is not being spoken to."""
    earlier = sa.orm.aliased(WebhookDelivery)
    busy = sa.orm.aliased(WebhookDelivery)
    is_blocked = sa.exists().where(
        col(earlier.webhook_id) == col(WebhookDelivery.webhook_id),
        col(earlier.subject_key) == col(WebhookDelivery.subject_key),
        col(earlier.state) == DeliveryState.WAITING,
        col(earlier.position) < col(WebhookDelivery.position),
    )
    is_busy = sa.exists().where(
        col(busy.webhook_id) == col(WebhookDelivery.webhook_id),
        col(busy.state) == DeliveryState.WAITING,
        col(busy.claimed_until) > instant,
    )
    return (
        sa.select(WebhookDelivery)
        .where(
            col(WebhookDelivery.state) == DeliveryState.WAITING,
            col(WebhookDelivery.next_at) <= instant,
            ~is_blocked,
            ~is_busy,
        )
        .order_by(col(WebhookDelivery.next_at), col(WebhookDelivery.position), col(WebhookDelivery.id))
    )
