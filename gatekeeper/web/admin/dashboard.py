"""What needs me, in one query for all of it; and how the hub's parts do, for whoever runs it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access, jobs, ledger
from gatekeeper.access import AccessGrant
from gatekeeper.generation import Strike, StrikeState
from gatekeeper.incidents import WAITING, Incident
from gatekeeper.kit.clock import day_words, now
from gatekeeper.kit.figures import plural, size_text
from gatekeeper.notices import DeliveryState, Webhook, WebhookDelivery
from gatekeeper.releases import Release
from gatekeeper.repos import Repo, scanning, usage
from gatekeeper.web.admin.incidents import cared_for
from gatekeeper.web.admin.inference import ask
from gatekeeper.web.admin.repositories import with_holds, with_proposals
from gatekeeper.web.admin.scope import in_care, in_care_or_gone
from gatekeeper.web.guard import Call
from gatekeeper.web.health import parts_of

MOST_COUNTED = access.MOST_COUNTED
_SOON = timedelta(days=30)
_LATE = timedelta(minutes=5)  # work that waited longer than that waits for something
_CHECKED = 100  # events: some 10 ms
_PAGES = {"database": "/admin/settings", "storage": "/admin/storage", "evidence": "/admin/ledger"}
_APPEALED = col(Strike.appealed_at).is_not(None)

Query = sa.Select[Any]


@dataclass(frozen=True)
class Tile:
    """How many of something, counted up to a bound, and where they are handled. `is_urgent`: there should be none."""

    count: str
    text: str
    href: str


@dataclass(frozen=True)
class Part:
    """How one part of the hub does, and where it is looked after. `kind` is yes, wait or stop."""

    name: str
    kind: str
    text: str
    href: str


async def tiles(call: Call, *, is_operator: bool) -> list[Tile]:
    """What waits in the caller's care; for who runs the hub, also what of the hub's own work failed."""
    found: list[tuple[Query, str, str, str]] = [
        (_in_care(call, with_proposals()), "open proposal", "open proposals", "/admin/repositories?waiting=proposal"),
        (_strikes(call).where(_APPEALED), "appeal waits", "appeals wait", "/admin/strikes"),
        (_strikes(call).where(~_APPEALED), "strike to review", "strikes to review", "/admin/strikes"),
        (_incidents(call), "incident or report", "incidents and reports", "/admin/incidents"),
        (_expiring(call), "grant ends within 30 days", "grants end within 30 days", "/admin/grants?ends=30"),
        (_in_care(call, with_holds()), "release on hold", "releases on hold", "/admin/repositories?waiting=held"),
        (sa.select(col(Repo.id)).where(in_care(call)), "repository", "repositories", "/admin/repositories"),
    ]
    if is_operator:
        failing = sa.select(col(Webhook.id)).where(
            sa.or_(col(Webhook.failing_since).is_not(None), col(Webhook.disabled_because) != "")
        )
        failed = sa.select(col(WebhookDelivery.id)).where(col(WebhookDelivery.state) == DeliveryState.FAILED)
        found += [
            (failing, "webhook fails or is off", "webhooks fail or are off", "/admin/webhooks"),
            (failed, "delivery given up", "deliveries given up", "/admin/webhooks/failed"),
        ]
    counted = await call.session.execute(sa.select(*(_bounded(query) for query, *_ in found)))
    waiting = await access.count_waiting(call.session, repos=[in_care(call)])
    rows = [(waiting, "request waits", "requests wait", "/admin/requests")]
    rows += [(int(n), *rest) for n, (_, *rest) in zip(counted.one(), found, strict=True)]  # type: ignore[misc]
    rows.sort(key=lambda row: not row[0])  # what there is of comes first
    return [
        Tile(f"{n:,} or more" if n >= MOST_COUNTED else f"{n:,}", one if n == 1 else many, href)
        for n, one, many, href in rows
    ]


async def health(call: Call) -> tuple[list[Part], jobs.Backlog]:
    """How each part of the hub does now, with where it is looked after, and the work that was set aside."""
    known = await parts_of(call.gatekeeper)
    backlog = await jobs.backlog(call.session)
    lost_mail = sum(count for kind, count, _ in backlog.failed if "mail" in kind)
    parts = [_part(name.capitalize(), state, _PAGES[name]) for name, state in known.items() if name != "inference"]
    parts += [await _files(call), await _scans(call), await _inference(call, known["inference"])]
    alarms = call.gatekeeper.alarms
    failed = f"failed {alarms.count:,} times since this process started, and denied each time: see its log"
    parts.append(_part("Policies", failed if alarms.is_recent else "ok", "/admin/policies"))
    parts += [_waits("Jobs", backlog.due, backlog.due_since, "due", "#failed"), *await _ledger(call)]
    if not call.gatekeeper.settings.mail_host:
        parts.append(Part("Mail", "wait", "no mail server is set, so none is sent", "/admin/settings"))
    elif lost_mail:
        parts.append(Part("Mail", "stop", f"{lost_mail:,} could not be sent", "#failed"))
    else:
        parts.append(_part("Mail", "ok", "/admin/settings"))
    return parts, backlog


async def _files(call: Call) -> Part:
    """What the store holds, and whether all of it was there and whole when that was looked at last."""
    totals = await usage.totals(call.session)
    held = f"{size_text(totals.stored + totals.xorbs)} in {plural(totals.files, 'file')}"
    newest = (await ledger.events(call.session, kind="repos:store:verify", limit=1)).items
    lost = [f"{newest[0].body[what]:,} {what}" for what in ("missing", "damaged") if newest and newest[0].body[what]]
    if lost:
        return Part("Files", "stop", f"{held}; {' and '.join(lost)} when last verified", "/admin/storage")
    if not newest:
        return Part("Files", "yes", f"{held}, not verified yet", "/admin/storage")
    return Part("Files", "yes", f"{held}, whole on {day_words(newest[0].occurred_at)}", "/admin/storage")


async def _scans(call: Call) -> Part:
    found = await scanning.count_flagged(call.session, most=MOST_COUNTED)
    text = f"{plural(found, 'file')} with something found" if found else "nothing found in any file"
    return Part("Scans", "stop" if found else "yes", text, "/admin/storage")


async def _inference(call: Call, state: str) -> Part:
    asked = (await ask(call)).health if state == "ok" else None
    if asked is None:
        return _part("Inference", state, "/admin/inference")
    line = f"{asked.waiting_orders:,} in the line, {asked.running_orders:,} in the making"
    return Part("Inference", "yes", line, "/admin/inference")


async def _ledger(call: Call) -> list[Part]:
    sealing, since = await ledger.pending(call.session)
    report = await ledger.verify_newest(call.session, call.gatekeeper.keys.signing.public, most=_CHECKED)
    chain = "the newest events are unchanged" if report.is_intact else report.faults[0]
    return [
        _waits("Ledger", sealing, since, "to be sealed", "/admin/ledger"),
        Part("Chain of evidence", "yes" if report.is_intact else "stop", chain, "/admin/ledger"),
    ]


def _part(name: str, state: str, href: str) -> Part:
    if state == "ok":
        return Part(name, "yes", "all well", href)
    text = "switched off" if state == "off" else state
    return Part(name, "wait" if state in ("off", "loading") else "stop", text, href)


def _waits(name: str, count: int, since: Any, what: str, href: str) -> Part:
    if not count or since is None:
        return Part(name, "yes", f"nothing is {what}", href)
    is_late = now() - since > _LATE
    text = f"{count:,} {what}{', the oldest for minutes' if is_late else ''}"
    return Part(name, "stop" if is_late else "yes", text, href)


def _in_care(call: Call, releases: Query) -> Query:
    return releases.where(col(Release.repo_id).in_(sa.select(col(Repo.id)).where(in_care(call))))


def _strikes(call: Call) -> Query:
    query = sa.select(col(Strike.id)).join(Repo, col(Repo.id) == col(Strike.repo_id))
    return query.where(in_care_or_gone(call), col(Strike.state) == StrikeState.OPEN)


def _incidents(call: Call) -> Query:
    query, repos = sa.select(col(Incident.id)).where(col(Incident.state).in_(WAITING)), cared_for(call)
    return query if repos is None else query.where(col(Incident.repo_id).in_(sa.select(col(Repo.id)).where(repos)))


def _expiring(call: Call) -> Query:
    instant = now()
    return (
        sa.select(col(AccessGrant.id))
        .join(Repo, col(Repo.id) == col(AccessGrant.repo_id))
        .where(
            in_care(call),
            col(AccessGrant.revoked_at).is_(None),
            col(AccessGrant.ends_at) > instant,
            col(AccessGrant.ends_at) <= instant + _SOON,
        )
    )


def _bounded(query: Query) -> sa.ScalarSelect[Any]:
    """How many there are, counted up to a bound so that a large hub's page stays quick."""
    return sa.select(sa.func.count()).select_from(query.limit(MOST_COUNTED).subquery()).scalar_subquery()
