"""Webhooks' verbs: make, change, switch off and delete one, try it, and read what was delivered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, Invalid, NotFound, NotSignedIn, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import Page, page_of
from gatekeeper.kit.sealing import Box
from gatekeeper.notices.events import Domain
from gatekeeper.notices.tables import DeliveryState, Webhook, WebhookDelivery, WebhookWatch
from gatekeeper.notices.targets import Rules, check_url
from gatekeeper.repos.names import key_of
from gatekeeper.repos.tables import RepoKind

MOST_WEBHOOKS = 50
MOST_WATCHED = 100
LONGEST_SECRET = 200
PING = "ping"
_KINDS = {"model": RepoKind.MODEL, "dataset": RepoKind.DATASET, "space": RepoKind.SPACE}
_SPACES = ("user", "org")
_REPO_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_SPACE_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)


@dataclass(frozen=True)
class Watched:
    """Something a webhook watches: `kind` is user, org, model, dataset or space."""

    kind: str
    name: str


@dataclass(frozen=True)
class Wanted:
    """What a webhook should be. In a change, None leaves a field as it is."""

    url: str | None = None
    watched: tuple[Watched, ...] | None = None
    domains: tuple[str, ...] | None = None
    secret: str | None = None


async def create(session: AsyncSession, wanted: Wanted, *, by: Principal, rules: Rules, box: Box) -> Webhook:
    """A new webhook of `by`. Whether they may know what it watches is decided at each delivery, not here."""
    if by.person_id is None:
        raise NotSignedIn("A webhook belongs to a person.", next_step="Sign in or send a token.")
    count = sa.select(sa.func.count()).select_from(Webhook).where(col(Webhook.owner_id) == by.person_id)
    if (await session.scalar(count) or 0) >= MOST_WEBHOOKS:
        raise TooMany(f"A person has at most {MOST_WEBHOOKS} webhooks.", next_step="Delete one first.")
    if not wanted.url:
        raise Invalid("A webhook needs an address.", next_step="Send `url`. This hub runs no jobs.")
    if not wanted.watched:
        raise Invalid("A webhook watches something.", next_step="Name a user, an organization or a repository.")
    hook = Webhook(
        owner_id=by.person_id, url=check_url(wanted.url, rules), domains=_domains(wanted.domains or ("repo",))
    )
    session.add(hook)
    await session.flush()  # its watches refer to it
    _seal(hook, wanted.secret or "", box)
    await _watch(session, hook, wanted.watched)
    await note_down(session, "create", hook, by=by)
    return hook


async def update(
    session: AsyncSession, hook: Webhook, wanted: Wanted, *, by: Principal, rules: Rules, box: Box
) -> Webhook:
    """Change what is given. No watched things at all leaves those there are."""
    if wanted.url is not None:
        hook.url = check_url(wanted.url, rules)
    if wanted.domains is not None:
        hook.domains = _domains(wanted.domains)
    if wanted.secret is not None:
        _seal(hook, wanted.secret, box)
    if wanted.watched:
        await session.execute(sa.delete(WebhookWatch).where(col(WebhookWatch.webhook_id) == hook.id))
        await _watch(session, hook, wanted.watched)
    session.add(hook)
    await note_down(session, "update", hook, by=by)
    return hook


async def enable(session: AsyncSession, hook: Webhook, *, by: Principal) -> Webhook:
    """Let it hear of events from now on; what happened meanwhile is not made up for."""
    hook.disabled_at, hook.disabled_because, hook.failing_since = None, "", None
    session.add(hook)
    await note_down(session, "enable", hook, by=by)
    return hook


async def disable(session: AsyncSession, hook: Webhook, *, by: Principal | None, because: str = "") -> Webhook:
    """Switch it off; what waits is given up. `by` None: the hub itself does it."""
    hook.disabled_at, hook.disabled_because = now(), because
    session.add(hook)
    await session.execute(
        sa.update(WebhookDelivery)
        .where(col(WebhookDelivery.webhook_id) == hook.id, col(WebhookDelivery.state) == DeliveryState.WAITING)
        .values(state=DeliveryState.FAILED, finished_at=now(), error="The webhook was switched off.")
    )
    await note_down(session, "disable", hook, by=by)
    return hook


async def delete(session: AsyncSession, hook: Webhook, *, by: Principal) -> None:
    """Take it away with its log."""
    for table in (WebhookWatch, WebhookDelivery):
        await session.execute(sa.delete(table).where(table.webhook_id == hook.id))  # type: ignore[arg-type]
    await session.delete(hook)
    await note_down(session, "delete", hook, by=by)


async def own(session: AsyncSession, hook_id: str, *, by: Principal) -> Webhook:
    """A webhook of `by`. Raises NotFound, alike for somebody else's and for none."""
    hook = await session.get(Webhook, hook_id[:26])
    if hook is None or by.person_id is None or hook.owner_id != by.person_id:
        raise NotFound("There is no such webhook.", next_step="Look at the list of your webhooks.")
    return hook


async def list_for(session: AsyncSession, person_id: str) -> list[Webhook]:
    """A person's webhooks, oldest first."""
    query = sa.select(Webhook).where(col(Webhook.owner_id) == person_id).order_by(col(Webhook.id))
    return list(await session.scalars(query))


async def list_all(session: AsyncSession, *, after: str = "", limit: int = 50) -> Page[Webhook]:
    """Everybody's, for administrators."""
    query = sa.select(Webhook).where(col(Webhook.id) > after).order_by(col(Webhook.id)).limit(limit + 1)
    return page_of(list(await session.scalars(query)), limit=limit, key=lambda hook: hook.id)


async def given_up(
    session: AsyncSession, *, after: str | None = None, limit: int = 50
) -> Page[tuple[WebhookDelivery, Webhook]]:
    """Everybody's deliveries that were tried in vain, newest first, for administrators."""
    query = (
        sa.select(WebhookDelivery, Webhook)
        .join(Webhook, col(Webhook.id) == col(WebhookDelivery.webhook_id))
        .where(col(WebhookDelivery.state) == DeliveryState.FAILED)
    )
    if after is not None:
        query = query.where(col(WebhookDelivery.id) < after)
    rows = await session.execute(query.order_by(col(WebhookDelivery.id).desc()).limit(limit + 1))
    return page_of([(row, hook) for row, hook in rows], limit=limit, key=lambda pair: pair[0].id)


async def watched_by(session: AsyncSession, hooks: Sequence[Webhook]) -> dict[str, list[Watched]]:
    """What each webhook watches."""
    found: dict[str, list[Watched]] = {hook.id: [] for hook in hooks}
    query = (
        sa.select(WebhookWatch)
        .where(col(WebhookWatch.webhook_id).in_(list(found)))
        .order_by(col(WebhookWatch.webhook_id), col(WebhookWatch.position))
    )
    for row in await session.scalars(query):
        found[row.webhook_id].append(Watched(row.kind, row.name))
    return found


async def deliveries(
    session: AsyncSession, hook: Webhook, *, after: str | None = None, limit: int = 50
) -> Page[WebhookDelivery]:
    """What was sent, or waits to be, newest first."""
    query = sa.select(WebhookDelivery).where(col(WebhookDelivery.webhook_id) == hook.id)
    if after is not None:
        query = query.where(col(WebhookDelivery.id) < after)
    rows = list(await session.scalars(query.order_by(col(WebhookDelivery.id).desc()).limit(limit + 1)))
    return page_of(rows, limit=limit, key=lambda row: row.id)


async def ping(session: AsyncSession, hook: Webhook) -> WebhookDelivery:
    """Promise a delivery that tells of nothing, to try the address."""
    _must_be_on(hook)
    made = WebhookDelivery(webhook_id=hook.id, domain=PING, action=PING, scope=PING, subject_key=PING, position=0)
    made.subject_key = f"{PING}/{made.id}"
    session.add(made)
    return made


async def redeliver(session: AsyncSession, hook: Webhook, delivery_id: str, *, by: Principal) -> WebhookDelivery:
    """Promise a delivery once more, out of order, with what its owner may know by now. Raises NotFound, Conflict."""
    _must_be_on(hook)
    before = await session.get(WebhookDelivery, delivery_id[:26])
    if before is None or before.webhook_id != hook.id:
        raise NotFound("There is no such delivery.", next_step="Look at the webhook's log.")
    if before.state is DeliveryState.WAITING:
        raise Conflict("This delivery waits to be sent already.", next_step="Look again in a moment.")
    again = WebhookDelivery(
        webhook_id=hook.id,
        event_id=before.event_id,
        domain=before.domain,
        action=before.action,
        scope=before.scope,
        subject_key="",
        position=before.position,
    )
    again.subject_key = f"again/{again.id}"
    session.add(again)
    await note_down(session, "redeliver", hook, by=by)
    return again


def space_key(name: str) -> str:
    """Under what a watched user or organization is looked up."""
    return f"namespace/{name.lower()}"


def purpose(hook: Webhook) -> str:
    """What a webhook's secret is sealed for."""
    return f"webhook {hook.id}"


async def note_down(session: AsyncSession, act: str, hook: Webhook, *, by: Principal | None) -> None:
    """Evidence. The address stays out of it: it may hold what only the receiver should know."""
    await ledger.record(
        session,
        f"notices:webhook:{act}",
        actor=by.person_id if by else None,
        token=by.token_id if by else None,
        subject=hook.id,
        body={"domains": sorted(hook.domains), "owner": hook.owner_id},
    )


async def _watch(session: AsyncSession, hook: Webhook, watched: Sequence[Watched]) -> None:
    if len(watched) > MOST_WATCHED:
        raise Invalid(f"A webhook watches at most {MOST_WATCHED} things.", next_step="Watch their owner instead.")
    for position, each in enumerate(dict.fromkeys(watched)):
        key = _key(each)
        row = WebhookWatch(webhook_id=hook.id, position=position, kind=each.kind, name=each.name, key=key)
        session.add(row)


def _key(watched: Watched) -> str:
    if watched.kind in _SPACES and _SPACE_NAME.fullmatch(watched.name):
        return space_key(watched.name)
    if watched.kind in _KINDS and _REPO_NAME.fullmatch(watched.name):
        return key_of(_KINDS[watched.kind], watched.name)
    raise Invalid(
        "One of the watched things cannot be watched here.",
        next_step="Send `type` user, org, model, dataset or space, and `name` as name or namespace/name.",
    )


def _domains(domains: Sequence[str]) -> list[str]:
    found = ["discussion" if name == "discussions" else name for name in domains]
    if not found or not set(found) <= set(Domain):
        raise Invalid("There is no such domain.", next_step=f"Use {', '.join(Domain)}.")
    return list(dict.fromkeys(found))


def _seal(hook: Webhook, secret: str, box: Box) -> None:
    if len(secret) > LONGEST_SECRET or not all("!" <= letter <= "~" for letter in secret):
        raise Invalid(
            f"A secret has at most {LONGEST_SECRET} printable ASCII characters and no blanks.",
            next_step="Use letters and digits.",
        )
    hook.secret_sealed = box.seal(secret, purpose=purpose(hook)) if secret else ""


def _must_be_on(hook: Webhook) -> None:
    if hook.disabled_at is not None:
        raise Conflict("The webhook is switched off.", next_step="Enable it first.")
