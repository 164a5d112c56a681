"""The community tab of a model: the list of discussions, one of them with its changes, and what people do in it."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.community import acts, discussions, moderation, pulls
from gatekeeper.errors import Conflict, Invalid, NotFound, TooLarge, TooMany
from gatekeeper.evaluation import reports
from gatekeeper.web import parts, reported, words
from gatekeeper.web.guard import Call
from gatekeeper.web.hub.discussions import wanted
from gatekeeper.web.hub.paging import number
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.model import denial
from gatekeeper.web.portal.threads import Shown, changes_of, is_followed, shown
from gatekeeper.web.portal.views import Seen, render, repo_url, see

_MOST_PAGES = 100_000
_LOCKED = "It is locked: only the repository's owners write in it."
_KINDS = (("all", "Everything"), ("discussion", "Discussions"), ("pull_request", "Pull requests"))
_STATES = (("all", "Any"), ("open", "Open"), ("closed", "Closed"))


async def discussion_list(call: Call) -> Response:
    """`GET /{ns}/{name}/discussions`."""
    seen, asked = await see(call, call.repo, call.resource), wanted(call)
    page = number(call, "p", default=0, most=_MOST_PAGES)
    start = page * discussions.PAGE
    rows, count = await discussions.listing(call.session, call.repo, asked, start=start)
    return render(
        call,
        "portal/discussions.html",
        head=seen.head,
        rows=rows,
        names=await discussions.names_of(call.session, (row.author_id for row in rows)),
        comments=await discussions.count_comments(call.session, rows),
        count=count,
        asked=asked,
        kinds=_KINDS,
        states=_STATES,
        may_write=bool(seen.rights[Action.DISCUSS_WRITE]),
        why_not=denial(seen, Action.DISCUSS_WRITE),
        newer=_page_link(call, page - 1) if page else "",
        older=_page_link(call, page + 1) if start + len(rows) < count else "",
    )


async def new_discussion(call: Call) -> Response:
    """`GET /{ns}/{name}/discussions/new`."""
    return await _new(call, {}, {})


async def make_discussion(call: Call) -> Response:
    """`POST /{ns}/{name}/discussions/new`."""
    form = await forms.read(call.request)
    sent = {"title": forms.text(form, "title"), "text": forms.text(form, "text", most=100_000)}
    try:
        async with call.session.begin_nested():
            made = await discussions.open_discussion(
                call.session, call.repo, title=sent["title"], text=sent["text"], by=call.principal
            )
    except (Invalid, TooLarge, TooMany) as error:
        field = {"title": "title", "comment": "text"}.get(str(error.details.get("field")), "title")
        return await _new(call, sent, {field: error.sentence}, status=422)
    return RedirectResponse(f"{_home(call)}/{made.num}", 303)


async def discussion_page(call: Call) -> Response:
    """`GET /{ns}/{name}/discussions/{num}`."""
    return await _thread(call, {}, {})


async def make_comment(call: Call) -> Response:
    """`POST .../comment`."""
    sent = forms.text(await forms.read(call.request), "text", most=100_000)

    async def act() -> None:
        found = await discussions.require(call.session, call.repo, call.params["num"])
        speaks = await parts.is_moderator(call, call.session)
        await acts.comment(call.session, call.repo, found, sent, by=call.principal, moderates=speaks)

    return await _done(call, act, {"text": sent}, "commented", anchor="#last")


async def change_title(call: Call) -> Response:
    """`POST .../title`."""
    moderates = await parts.moderates(call, call.session)
    sent = forms.text(await forms.read(call.request), "title")

    async def act() -> None:
        found = await discussions.require(call.session, call.repo, call.params["num"])
        await acts.rename(call.session, call.repo, found, sent, by=call.principal, moderates=moderates)

    return await _done(call, act, {"title": sent}, "renamed")


async def close_or_open(call: Call) -> Response:
    """`POST .../status`, with what there is to say about it."""
    moderates = await parts.moderates(call, call.session)
    form = await forms.read(call.request)
    status, text = forms.text(form, "status", most=20), forms.text(form, "text", most=100_000)

    async def act() -> None:
        await acts.set_status(
            call.session, call.repo, call.params["num"], status, by=call.principal, moderates=moderates, text=text
        )

    sent = {"text": text} if text else {}
    return await _done(call, act, sent, "discussion-closed" if status == "closed" else "discussion-opened")


async def lock_or_unlock(call: Call) -> Response:
    """`POST .../lock`: `locked` says which."""
    is_locked = forms.text(await forms.read(call.request), "locked", most=5) == "true"
    return await _moderated(
        call, moderation.lock, is_locked, "discussion-locked" if is_locked else "discussion-unlocked"
    )


async def pin_or_unpin(call: Call) -> Response:
    """`POST .../pin`: `pinned` says which."""
    is_pinned = forms.text(await forms.read(call.request), "pinned", most=5) == "true"
    return await _moderated(
        call, moderation.pin, is_pinned, "discussion-pinned" if is_pinned else "discussion-unpinned"
    )


async def _moderated(call: Call, verb: Callable[..., Awaitable[object]], value: bool, done: str) -> Response:
    await parts.require_moderator(call, call.session)

    async def act() -> None:
        found = await discussions.require(call.session, call.repo, call.params["num"])
        await verb(call.session, call.repo, found, value, by=call.principal)

    return await _done(call, act, {}, done)


async def merge_changes(call: Call) -> Response:
    """`POST .../merge`."""

    async def act() -> None:
        await pulls.merge(call.session, call.repo, call.params["num"], by=call.principal)

    return await _done(call, act, {}, "merged")


async def comment_page(call: Call) -> Response:
    """`GET .../comment/{id}`: a comment to be edited or hidden."""
    return await _comment(call, None, {})


async def change_comment(call: Call) -> Response:
    """`POST .../comment/{id}/edit`."""
    sent = forms.text(await forms.read(call.request), "text", most=100_000)
    found = await discussions.require(call.session, call.repo, call.params["num"])
    try:
        async with call.session.begin_nested():
            speaks, comment_id = await parts.is_moderator(call, call.session), call.params["id"]
            await acts.edit(call.session, call.repo, found, comment_id, sent, by=call.principal, moderates=speaks)
    except (Invalid, TooLarge, TooMany) as error:
        return await _comment(call, sent, {"text": error.sentence}, status=422)
    return RedirectResponse(f"{_home(call)}/{found.num}?done=edited", 303)


async def put_comment_away(call: Call) -> Response:
    """`POST .../comment/{id}/hide`."""
    moderates = await parts.moderates(call, call.session)
    found = await discussions.require(call.session, call.repo, call.params["num"])
    await acts.hide(call.session, call.repo, found, call.params["id"], by=call.principal, moderates=moderates)
    return RedirectResponse(f"{_home(call)}/{found.num}?done=hidden", 303)


async def _done(
    call: Call, act: Callable[[], Awaitable[None]], sent: dict[str, str], done: str, *, anchor: str = ""
) -> Response:
    """Do it and go back to the discussion, or show that with what was wrong and everything typed."""
    try:
        async with call.session.begin_nested():
            await act()
    except (Invalid, TooLarge, TooMany, Conflict) as error:
        field = next(iter(sent), "")
        return await _thread(call, sent, {field: error.sentence}, status=422 if sent else error.status)
    return RedirectResponse(f"{_home(call)}/{call.params['num']}?done={done}{anchor}", 303)


async def _new(call: Call, sent: dict[str, str], errors: dict[str, str], *, status: int = 200) -> Response:
    seen = await see(call, call.repo, call.resource)
    return render(
        call,
        "portal/discussion_new.html",
        status=status,
        head=seen.head,
        sent=sent,
        errors=errors,
        endpoint=call.gatekeeper.settings.public_url,
    )


async def _thread(call: Call, sent: dict[str, str], errors: dict[str, str], *, status: int = 200) -> Response:
    seen = await see(call, call.repo, call.resource)
    found = await discussions.require(call.session, call.repo, call.params["num"])
    entries, names = await _entries(call, seen)
    is_author = found.author_id is not None and found.author_id == call.principal.person_id
    changes = await changes_of(call, found) if found.is_pull_request else None
    moderates, may_write = await parts.is_moderator(call, call.session), bool(seen.rights[Action.DISCUSS_WRITE])
    is_shut = found.locked_at is not None and not moderates
    return render(
        call,
        "portal/discussion.html",
        status=status,
        head=seen.head,
        home=_home(call),
        found=found,
        author=names,
        entries=entries,
        changes=changes,
        reports=[
            report
            for report in await reports.spoken_of(call.session, found.id)
            if await reported.may_read(call, report.commit_id)
        ],
        is_author=is_author,
        is_followed=await is_followed(call, found, entries),
        may_write=may_write and not is_shut,
        why_not=words.Refusal(_LOCKED) if is_shut else denial(seen, Action.DISCUSS_WRITE),
        may_change=moderates or (is_author and may_write and not is_shut),
        moderates=moderates,
        may_merge=bool(seen.rights[Action.WRITE]),
        endpoint=call.gatekeeper.settings.public_url,
        sent=sent,
        errors=errors,
    )


async def _comment(call: Call, text: str | None, errors: dict[str, str], *, status: int = 200) -> Response:
    seen = await see(call, call.repo, call.resource)
    entries, _ = await _entries(call, seen)
    entry = next((entry for entry in entries if entry.id == call.params["id"] and entry.text), None)
    if entry is None or not (entry.may_edit or entry.may_hide):
        raise NotFound("There is no such comment that you could change.", next_step="Load the discussion again.")
    values: dict[str, Any] = {"head": seen.head, "home": _home(call), "num": call.params["num"], "entry": entry}
    return render(
        call, "portal/comment.html", status=status, text=entry.text if text is None else text, errors=errors, **values
    )


async def _entries(call: Call, seen: Seen) -> tuple[list[Shown], str]:
    found = await discussions.require(call.session, call.repo, call.params["num"])
    thread = await discussions.thread(call.session, found)
    rows = await shown(call, thread, may_write=bool(seen.rights[Action.DISCUSS_WRITE]))
    return rows, thread.name_of(found.author_id) or ""


def _home(call: Call) -> str:
    return f"{repo_url(call.repo)}/discussions"


def _page_link(call: Call, page: int) -> str:
    kept = [(name, value) for name, value in call.request.query_params.multi_items() if name not in ("p", "done")]
    return f"{_home(call)}?{urlencode([*kept, ('p', page)])}"


_HOME = "/{ns}/{name}/discussions"
_ONE = f"{_HOME}/{{num}}"
_COMMENT = f"{_ONE}/comment/{{id}}"

ROUTES = [
    *for_kinds(_HOME, discussion_list, needs=Action.DISCUSS_READ),
    *for_kinds(f"{_HOME}/new", new_discussion, needs=Action.DISCUSS_WRITE),
    *for_kinds(f"{_HOME}/new", make_discussion, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    *for_kinds(_ONE, discussion_page, needs=Action.DISCUSS_READ),
    *for_kinds(f"{_ONE}/comment", make_comment, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    # Moderators may act where nobody may write any more: these decide on.
    *for_kinds(f"{_ONE}/lock", lock_or_unlock, needs=Action.DISCUSS_READ, methods=("POST",)),
    *for_kinds(f"{_ONE}/pin", pin_or_unpin, needs=Action.DISCUSS_READ, methods=("POST",)),
    *for_kinds(f"{_ONE}/title", change_title, needs=Action.DISCUSS_READ, methods=("POST",)),
    *for_kinds(f"{_ONE}/status", close_or_open, needs=Action.DISCUSS_READ, methods=("POST",)),
    *for_kinds(f"{_COMMENT}/hide", put_comment_away, needs=Action.DISCUSS_READ, methods=("POST",)),
    *for_kinds(f"{_ONE}/merge", merge_changes, needs=Action.WRITE, methods=("POST",)),
    *for_kinds(_COMMENT, comment_page, needs=Action.DISCUSS_READ),
    *for_kinds(f"{_COMMENT}/edit", change_comment, needs=Action.DISCUSS_WRITE, methods=("POST",)),
]
