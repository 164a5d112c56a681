"""What runs beside the requests: jobs from the outbox, and tasks that come round again.

Several processes may each run this: jobs are claimed under a lease, sealing takes turns, cleaning may be done twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import (
    access,
    authz,
    community,
    evaluation,
    generation,
    incidents,
    jobs,
    laboratory,
    ledger,
    licensing,
    notices,
    releases,
    tokens,
    transparency,
)
from gatekeeper.accounts import ANONYMOUS, factors, links, offers, oidc, seen, sessions, throttle
from gatekeeper.db import Database
from gatekeeper.generation import ImageFolder, measuring
from gatekeeper.kit.clock import now
from gatekeeper.privacy import retention
from gatekeeper.repos import arrivals, garbage, lfs_parts, popularity, scanning
from gatekeeper.settings import Settings
from gatekeeper.tokens import oauth
from gatekeeper.web.judge import judge_of
from gatekeeper.web.state import Gatekeeper

_log = structlog.get_logger("gatekeeper.worker")

Handler = Callable[[dict[str, Any]], Awaitable[None]]

SEAL_SECONDS = 1
SEAL_MOST = 1000
IDLE_SECONDS = 1
LAST_USE_SECONDS = 60
COUNT_SECONDS = 300
CLEAN_UP_SECONDS = 3600
NOTICE_SECONDS = 1
EMBARGO_SECONDS = 10
ORDERS_SECONDS = 3
CERTIFICATE_SECONDS = 30
EVALUATION_SECONDS = 3600  # a part of an evaluation takes about a minute; a slow order in it may take ten


def background(
    gatekeeper: Gatekeeper, handlers: Mapping[str, Handler] | None = None
) -> list[Coroutine[Any, Any, None]]:
    """The coroutines that a server runs until it stops; each ends by being cancelled.

    handlers  what to do for each kind of job; without it that of the house
    """
    database = gatekeeper.db
    judge = judge_of(gatekeeper)
    courier = notices.Courier(
        database,
        notices.Sender(gatekeeper.webhook_rules),
        box=gatekeeper.keys.sealing,
        judge=judge,
        public_url=gatekeeper.settings.public_url,
    )
    sealer = ledger.Sealer(database, gatekeeper.keys.signing, origin=gatekeeper.settings.ledger_origin)
    tasks = [
        every(SEAL_SECONDS, lambda: sealer.seal(most=SEAL_MOST)),
        every(LAST_USE_SECONDS, lambda: tokens.write_last_use(database)),
        every(LAST_USE_SECONDS, lambda: seen.write_last_seen(database)),
        every(COUNT_SECONDS, lambda: count_downloads(database)),
        every(EMBARGO_SECONDS, lambda: end_embargoes(gatekeeper)),
        every(CLEAN_UP_SECONDS, lambda: clean_up(database, gatekeeper.images)),
        every(CLEAN_UP_SECONDS, lambda: asyncio.to_thread(gatekeeper.notary.authority.look_after)),
        every(CERTIFICATE_SECONDS, lambda: asyncio.to_thread(gatekeeper.notary.follow)),
        every(NOTICE_SECONDS, lambda: notices.hand_out(database, judge)),
        every(NOTICE_SECONDS, lambda: gatekeeper.alarms.tell(database)),
        every(CLEAN_UP_SECONDS, lambda: remind(database)),
        every(COUNT_SECONDS, lambda: sum_up(gatekeeper)),
        every(CLEAN_UP_SECONDS, lambda: retain(database, gatekeeper.settings)),
        every(CLEAN_UP_SECONDS, lambda: clear_evaluations(gatekeeper)),
        every(ORDERS_SECONDS, gatekeeper.studio.keep_up),
        courier.run(),
        every(CLEAN_UP_SECONDS, lambda: lfs_parts.clean_up(database, gatekeeper.store)),
        every(
            CLEAN_UP_SECONDS,
            lambda: garbage.collect_when_due(database, gatekeeper.store, hours=gatekeeper.settings.gc_hours),
        ),
    ]
    tasks.append(work(database, house_handlers(gatekeeper) if handlers is None else handlers))
    if handlers is None:
        # Beside the other jobs, which are done one after another and must not wait for images.
        long = {evaluation.JOB: lambda payload: laboratory.carry_on(gatekeeper.equipment, payload)}
        tasks.append(work(database, long, lease_seconds=EVALUATION_SECONDS))
    return tasks


def house_handlers(gatekeeper: Gatekeeper) -> dict[str, Handler]:
    """What to do for each kind of job that the house promises."""
    settings = gatekeeper.settings
    postman = notices.Postman(
        gatekeeper.db, mail_server(settings), box=gatekeeper.keys.sealing, public_url=settings.public_url
    )
    return {
        notices.MAIL: postman.send_mail,
        notices.MAIL_LINK: lambda payload: notices.send_link(
            gatekeeper.db,
            payload,
            box=gatekeeper.keys.sealing,
            key=gatekeeper.keys.sessions,
            public_url=settings.public_url,
        ),
        notices.NOTICE_MAIL: postman.send_notice,
        arrivals.SCAN_JOB: lambda payload: scanning.handle(gatekeeper.db, gatekeeper.store, payload),
        notices.TELL_APPLICANT: _in_transaction(gatekeeper.db, notices.tell_applicant),
        community.discarding.JOB: lambda payload: community.discarding.handle(gatekeeper.db, payload),
        notices.TELL_HOLDERS: lambda payload: notices.tell_holders(gatekeeper.db, payload),
        incidents.TELL: lambda payload: incidents.tell_holders(gatekeeper.db, payload),
        access.EXPIRING: _in_transaction(gatekeeper.db, access.tell_of_end),
        access.OVERDUE: _in_transaction(gatekeeper.db, access.tell_of_delay),
    }


def _in_transaction(database: Database, tell: Callable[[AsyncSession, dict[str, Any]], Awaitable[object]]) -> Handler:
    """A handler that looks again and tells in one transaction, so that it never races a decision."""

    async def handle(payload: dict[str, Any]) -> None:
        async with database.write() as session:
            await tell(session, payload)

    return handle


def mail_server(settings: Settings) -> notices.MailServer | None:
    """Where mail goes out, None if it goes nowhere."""
    if not settings.mail_host:
        return None
    return notices.MailServer(
        settings.mail_host,
        settings.mail_port,
        is_starttls=settings.mail_starttls,
        user=settings.mail_user,
        password=settings.mail_password.get_secret_value() if settings.mail_password else "",
        sender=settings.mail_from,
    )


async def every(seconds: float, task: Callable[[], Awaitable[object]]) -> None:
    """Run `task` now and again `seconds` after it ended. A failure is logged and changes nothing about that."""
    while True:
        try:
            await task()
        except Exception:
            _log.exception("a recurring task failed", task=getattr(task, "__qualname__", repr(task)))
        await asyncio.sleep(seconds)


async def work(database: Database, handlers: Mapping[str, Handler], *, lease_seconds: int = jobs.LEASE_SECONDS) -> None:
    """Do jobs as they come due."""
    while True:
        try:
            has_worked = await work_once(database, handlers, lease_seconds=lease_seconds)
        except Exception:  # the database itself does not answer: wait, do not die
            _log.exception("jobs could not be read")
            has_worked = False
        if not has_worked:
            await asyncio.sleep(IDLE_SECONDS)


async def work_once(
    database: Database, handlers: Mapping[str, Handler], *, lease_seconds: int = jobs.LEASE_SECONDS
) -> bool:
    """Do the next job that is due, if any; returns whether there was one."""
    async with database.read() as session:
        if not await jobs.is_due(session, handlers.keys()):
            return False
    async with database.write() as session:
        job = await jobs.claim(session, handlers.keys(), lease_seconds=lease_seconds)
    if job is None:
        return False
    try:
        # A handler that outlives its lease would run beside its successor.
        await asyncio.wait_for(handlers[job.kind](job.payload), lease_seconds)
    except Exception as error:
        _log.exception("a job failed", kind=job.kind, job=job.id, attempt=job.attempts)
        async with database.write() as session:
            await jobs.retry(session, job, f"{type(error).__name__}: {error}")
    else:
        async with database.write() as session:
            await jobs.finish(session, job)
    return True


async def count_downloads(database: Database) -> None:
    """Show downloads that were made since the last time."""
    async with database.write() as session:
        await popularity.count_downloads(session)


async def sum_up(gatekeeper: Gatekeeper) -> None:
    """Count refusals, and make the transparency report anew."""
    await gatekeeper.refusals.write(gatekeeper.db)
    async with gatekeeper.db.write() as session:
        policies = await gatekeeper.in_force.refresh(session)
        await transparency.refresh(session, visible=authz.listing_filter(policies, ANONYMOUS, now()))


async def remind(database: Database) -> None:
    """Tell people whose access ends soon."""
    async with database.write() as session:
        await notices.remind_of_ends(session)


async def end_embargoes(gatekeeper: Gatekeeper) -> None:
    """Open the releases whose embargo is over and whose criteria are green; hold the others."""
    async with gatekeeper.db.read() as session:
        due = await releases.due(session)
    for release_id in due:
        try:
            async with gatekeeper.db.write() as session:
                policies = await gatekeeper.in_force.refresh(session)
                ladder = measuring.ladder_here(policies.directory)
                await releases.open_or_hold(session, release_id, ladder=ladder)
        except Exception:  # one that cannot be checked stays closed, and keeps no other one closed
            _log.exception("the end of an embargo could not be checked", release=release_id)


async def retain(database: Database, settings: Settings) -> None:
    """Take out what is personal and was kept long enough, and leave nothing of it in the database's files."""
    async with database.write() as session:
        await retention.enforce(session, retention.Periods.of(settings))
    await database.purge()


async def clear_evaluations(gatekeeper: Gatekeeper) -> None:
    """Remove evaluations' images whose time or repository is over."""
    days = gatekeeper.settings.retention_evaluation_days
    async with gatekeeper.db.write() as session:
        await evaluation.clear(session, gatekeeper.pictures, days=days)


async def clean_up(database: Database, images: ImageFolder) -> None:
    """Forget what is over: sessions, failed sign-ins, finished jobs, images and prompts past their time."""
    async with database.write() as session:
        await sessions.clean_up(session)
        await throttle.clean_up(session)
        await factors.steps.clean_up(session)
        await links.clean_up(session)
        await oidc.clean_up(session)
        await offers.clean_up(session)
        await oauth.grants.clean_up(session)
        await oauth.publishers.clean_up(session)
        await jobs.clean_up(session)
        await access.discard_drafts(session)
        await generation.clean_up(session, images)
        await notices.clean_up(session)
        await licensing.forget_sources(session)
