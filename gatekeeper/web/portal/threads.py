"""A discussion as its page shows it: events in words, comments as HTML, changes as lines; what its reader may see."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from gatekeeper import notices
from gatekeeper.community import Discussion, EventKind, Status, Thread, diffs, pulls
from gatekeeper.community.diffs import FileDiff
from gatekeeper.community.discussions import Entry
from gatekeeper.web import comments, parts
from gatekeeper.web.guard import Call

_WORDS = {"open": "opened this again", "closed": "closed this", "merged": "merged this"}


@dataclass(frozen=True)
class Shown:
    """One event. A comment has `text` and `html`, where its reader may see them; all others are said in `words`,
    of a commit beside its id."""

    id: str
    kind: str
    author: str
    at: datetime
    words: str = ""
    commit: str = ""
    text: str = ""
    html: Markup = Markup()  # noqa: RUF009 - immutable
    edited_at: datetime | None = None
    is_hidden: bool = False
    may_edit: bool = False
    may_hide: bool = False


@dataclass(frozen=True)
class Changes:
    """What a pull request changes. `may_list` is False where its reader may not know its files."""

    may_list: bool
    files: tuple[FileDiff, ...] = ()
    count: int = 0
    conflicts: tuple[str, ...] = ()
    can_merge: bool = False


async def shown(call: Call, thread: Thread, *, may_write: bool) -> list[Shown]:
    """Every event of a discussion."""
    moderates = await parts.is_moderator(call, call.session)
    place = await comments.place_of(call.session, call.repo, thread, public_url=call.gatekeeper.settings.public_url)
    latest = [entry.versions[-1].text for entry in thread.entries if entry.versions]
    html = await comments.rendered(latest, place)
    return [
        _comment(call, entry, thread, html, moderates=moderates, may_write=may_write)
        if entry.event.kind is EventKind.COMMENT
        else _event(entry, thread)
        for entry in thread.entries
    ]


async def changes_of(call: Call, pull: Discussion) -> Changes:
    """The changes of a pull request, and whether they can be merged now."""
    head, changes = await pulls.changes(call.session, call.repo, pull)
    may_list, may_read = await parts.reader_of(call, call.session, head)
    if not may_list:
        return Changes(may_list=False)
    files = await diffs.diff(call.session, call.repo, changes, may_read=may_read)
    is_open = pull.status in (Status.OPEN, Status.DRAFT)
    plan = await pulls.planned(call.session, call.repo, pull) if is_open else None
    conflicts = plan.conflicts if plan else ()
    return Changes(True, tuple(files), len(changes), conflicts, bool(plan and plan.changes and not conflicts))


async def is_followed(call: Call, found: Discussion, entries: list[Shown]) -> bool:
    """Whether what happens in it comes to the reader: they chose, take part, or follow the repository."""
    me, chosen = call.principal, notices.following.choice
    one = await chosen(call.session, call.repo, found.num, me.person_id)
    takes_part = found.author_id == me.person_id or me.name in {entry.author for entry in entries}
    if one is not None or takes_part:
        return one if one is not None else True
    return bool(await chosen(call.session, call.repo, notices.following.WHOLE, me.person_id))


def _comment(
    call: Call, entry: Entry, thread: Thread, html: dict[str, Markup], *, moderates: bool, may_write: bool
) -> Shown:
    event, latest = entry.event, entry.versions[-1]
    is_hidden = event.hidden_at is not None
    is_shown = moderates or not is_hidden
    is_mine = event.author_id is not None and event.author_id == call.principal.person_id
    return Shown(
        event.id,
        event.kind.value,
        thread.name_of(event.author_id) or "",
        event.created_at,
        text=latest.text if is_shown else "",
        html=html[latest.text] if is_shown else Markup(),
        edited_at=latest.written_at if len(entry.versions) > 1 else None,
        is_hidden=is_hidden,
        may_edit=is_mine and may_write and not is_hidden,
        may_hide=(moderates or (is_mine and may_write)) and not is_hidden,
    )


def _event(entry: Entry, thread: Thread) -> Shown:
    event, data = entry.event, entry.event.data
    match event.kind:
        case EventKind.STATUS if (data["status"], data.get("from")) == ("open", "draft"):
            said = "finished the draft"
        case EventKind.STATUS:
            said = _WORDS.get(data["status"], "changed this")
        case EventKind.TITLE:
            said = f"changed the title from “{data['from']}” to “{data['to']}”"
        case EventKind.LOCK:
            said = "locked this" if data["locked"] else "unlocked this"
        case EventKind.PIN:
            said = "pinned this" if data["pinned"] else "unpinned this"
        case _:
            said = f"added the commit {data['oid'][:7]}: {data['subject']}"
    author = thread.name_of(event.author_id) or ""
    return Shown(event.id, event.kind.value, author, event.created_at, words=said, commit=data.get("oid", ""))
