"""Discussions and pull requests, as the Hub's clients open, read, answer and merge them."""

from starlette.responses import JSONResponse, Response

from gatekeeper import community
from gatekeeper.authz import Action
from gatekeeper.community import (
    Discussion,
    DiscussionEvent,
    EventKind,
    Filter,
    Thread,
    acts,
    diffs,
    discussions,
    moderation,
    pulls,
)
from gatekeeper.errors import Invalid
from gatekeeper.web import comments, parts
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import flag, number
from gatekeeper.web.hub.schemas import discussions as schemas
from gatekeeper.web.hub.schemas import parse
from gatekeeper.web.hub.schemas.answers import Json
from gatekeeper.web.kinds import page_path

_PRIVATE = {"Cache-Control": "private, no-store"}
_MOST_PAGES = 100_000


async def list_discussions(call: Call) -> Response:
    """`GET .../discussions`: a page of discussions and pull requests, newest first, and how many there are."""
    start = number(call, "p", default=0, most=_MOST_PAGES) * discussions.PAGE
    rows, count = await discussions.listing(call.session, call.repo, wanted(call), start=start)
    names = await discussions.names_of(call.session, (row.author_id for row in rows))
    shown = [schemas.discussion(row, call.repo, names.get(row.author_id or "")) for row in rows]
    return JSONResponse({"discussions": shown, "count": count, "start": start}, headers=_PRIVATE)


async def open_discussion(call: Call) -> Response:
    """`POST .../discussions`: open a discussion, or a pull request that changes nothing yet, as a draft."""
    asked = parse(schemas.NewDiscussion, await call.request.body())
    if asked.pull_request:
        base = await parts.start_of(call, call.session)
        made = await pulls.open_pull(
            call.session, call.repo, title=asked.title, text=asked.description, by=call.principal, base=base
        )
    else:
        made = await discussions.open_discussion(
            call.session, call.repo, title=asked.title, text=asked.description or asked.title, by=call.principal
        )
    answer: Json = {"num": made.num, "pullRequest": made.is_pull_request, "url": discussion_url(call, made)}
    return JSONResponse(answer)


async def discussion_details(call: Call) -> Response:
    """`GET .../discussions/{num}`: what happened in it; in a pull request conflicts and changes (`diff=1`), too."""
    found = await discussions.require(call.session, call.repo, call.params["num"])
    thread = await discussions.thread(call.session, found)
    answer = schemas.discussion(found, call.repo, thread.name_of(found.author_id))
    answer["events"] = await _events(call, thread)
    if found.is_pull_request:
        answer |= await _changes(call, found, with_diff=flag(call, "diff"))
    return JSONResponse(answer, headers=_PRIVATE)


async def add_comment(call: Call) -> Response:
    """`POST .../comment`: write a comment in a discussion."""
    asked = parse(schemas.NewComment, await call.request.body())
    found = await discussions.require(call.session, call.repo, call.params["num"])
    speaks = await parts.is_moderator(call, call.session)
    made = await acts.comment(call.session, call.repo, found, asked.comment, by=call.principal, moderates=speaks)
    return JSONResponse({"newMessage": await _event(call, found, made)})


async def edit_comment(call: Call) -> Response:
    """`POST .../comment/{id}/edit`: change one's own comment; the versions before stay to be seen."""
    asked = parse(schemas.EditedComment, await call.request.body())
    found = await discussions.require(call.session, call.repo, call.params["num"])
    speaks, comment_id = await parts.is_moderator(call, call.session), call.params["id"]
    made = await acts.edit(
        call.session, call.repo, found, comment_id, asked.content, by=call.principal, moderates=speaks
    )
    return JSONResponse({"updatedComment": await _event(call, found, made)})


async def hide_comment(call: Call) -> Response:
    """`POST .../comment/{id}/hide`: hide one's own comment, or any as a moderator; it cannot be undone."""
    moderates = await parts.moderates(call, call.session)
    found = await discussions.require(call.session, call.repo, call.params["num"])
    made = await acts.hide(call.session, call.repo, found, call.params["id"], by=call.principal, moderates=moderates)
    return JSONResponse({"updatedComment": await _event(call, found, made)})


async def rename_discussion(call: Call) -> Response:
    """`POST .../title`: rename a discussion, for who opened it and for moderators."""
    moderates = await parts.moderates(call, call.session)
    asked = parse(schemas.NewTitle, await call.request.body())
    found = await discussions.require(call.session, call.repo, call.params["num"])
    made = await acts.rename(call.session, call.repo, found, asked.title, by=call.principal, moderates=moderates)
    return JSONResponse({"newTitle": await _event(call, found, made)})


async def change_status(call: Call) -> Response:
    """`POST .../status`: close or open a discussion again, for who opened it and for moderators."""
    moderates = await parts.moderates(call, call.session)
    asked = parse(schemas.NewStatus, await call.request.body())
    made = await acts.set_status(
        call.session,
        call.repo,
        call.params["num"],
        asked.status,
        by=call.principal,
        moderates=moderates,
        text=asked.comment or "",
    )
    found = await discussions.require(call.session, call.repo, call.params["num"])
    return JSONResponse({"newStatus": await _event(call, found, made)})


async def lock_discussion(call: Call) -> Response:
    """`POST .../lock`: lock or unlock a discussion, for moderators; in a locked one only they write."""
    await parts.require_moderator(call, call.session)
    asked = parse(schemas.Locked, await call.request.body())
    found = await discussions.require(call.session, call.repo, call.params["num"])
    await moderation.lock(call.session, call.repo, found, asked.locked, by=call.principal)
    return JSONResponse({"locked": asked.locked})


async def pin_discussion(call: Call) -> Response:
    """`POST .../pin`: pin or unpin a discussion, for moderators; pinned ones stand first in the list."""
    await parts.require_moderator(call, call.session)
    asked = parse(schemas.Pinned, await call.request.body())
    found = await discussions.require(call.session, call.repo, call.params["num"])
    await moderation.pin(call.session, call.repo, found, asked.pinned, by=call.principal)
    return JSONResponse({"pinned": asked.pinned})


async def merge_pull(call: Call) -> Response:
    """`POST .../merge`: make one commit of a pull request's changes; 409 names files that both sides changed."""
    body = await call.request.body()
    asked = schemas.MergeIt() if body.strip() in (b"", b"null") else parse(schemas.MergeIt, body)
    made = await pulls.merge(call.session, call.repo, call.params["num"], by=call.principal, text=asked.comment or "")
    return JSONResponse({"mergeCommitId": made})


async def refuse_media(call: Call) -> Response:
    """`POST /uploads`: refused: pictures in comments are those of the repository."""
    raise Invalid(
        "Files are not attached to comments here.",
        status=415,
        code="NotOffered",
        next_step="Link to a file of the repository; pictures that lie in it are shown.",
    )


def wanted(call: Call) -> Filter:
    """The filters of a list. Raises Invalid."""
    query = call.request.query_params
    kind, state = query.get("type", "all") or "all", query.get("status", "all") or "all"
    if kind not in ("all", "discussion", "pull_request") or state not in ("all", "open", "closed"):
        raise Invalid(
            "There is no such filter.",
            next_step="Use type=all, discussion or pull_request, and status=all, open or closed.",
        )
    return Filter(kind, state, query.get("author", "")[:100])  # type: ignore[arg-type]  # both were just checked


def discussion_url(call: Call, found: Discussion) -> str:
    """The whole address of a discussion's page; clients read the number off its end."""
    return call.gatekeeper.url(f"{page_path(call.repo.kind, call.repo.full_name)}/discussions/{found.num}")


async def _events(call: Call, thread: Thread, *, only: DiscussionEvent | None = None) -> list[Json]:
    is_moderator = await parts.is_moderator(call, call.session)
    entries = [entry for entry in thread.entries if only is None or entry.event.id == only.id]
    latest = [entry.versions[-1].text for entry in entries if entry.event.kind is EventKind.COMMENT]
    place = await comments.place_of(call.session, call.repo, thread, public_url=call.gatekeeper.settings.public_url)
    html = await comments.rendered(latest, place)
    return [schemas.event(entry, thread, html, shows_hidden=is_moderator) for entry in entries]


async def _event(call: Call, found: Discussion, made: DiscussionEvent) -> Json:
    await call.session.flush()  # its text, which is read back
    (answer,) = await _events(call, await discussions.thread(call.session, found), only=made)
    return answer


async def _changes(call: Call, pull: Discussion, *, with_diff: bool) -> Json:
    """What a pull request changes, as far as its reader may know its files."""
    answer: Json = {
        "changes": {"base": pull.target_ref} | ({"mergeCommitId": pull.merge_commit} if pull.merge_commit else {}),
        "filesWithConflicts": [],
        "diff": "",
    }
    head, changes = await pulls.changes(call.session, call.repo, pull)
    may_list, may_read = await parts.reader_of(call, call.session, head)
    if not may_list:
        return answer
    if pull.status in (community.Status.OPEN, community.Status.DRAFT):
        plan = await pulls.planned(call.session, call.repo, pull)
        answer["filesWithConflicts"] = list(plan.conflicts) if plan else []
    if with_diff:
        files = await diffs.diff(call.session, call.repo, changes, may_read=may_read)
        answer["diff"] = diffs.text_of(files, count=len(changes))
    return answer


_REPO = "/{kind:kind}/{ns}/{name}/discussions"
_ONE = f"{_REPO}/{{num}}"

ROUTES = [
    api(_REPO, list_discussions, needs=Action.DISCUSS_READ),
    api(_REPO, open_discussion, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    api(_ONE, discussion_details, needs=Action.DISCUSS_READ),
    api(f"{_ONE}/comment", add_comment, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    api(f"{_ONE}/comment/{{id}}/edit", edit_comment, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    # Moderators may act where nobody may write any more: these decide on.
    api(f"{_ONE}/comment/{{id}}/hide", hide_comment, needs=Action.DISCUSS_READ, methods=("POST",)),
    api(f"{_ONE}/title", rename_discussion, needs=Action.DISCUSS_READ, methods=("POST",)),
    api(f"{_ONE}/status", change_status, needs=Action.DISCUSS_READ, methods=("POST",)),
    api(f"{_ONE}/lock", lock_discussion, needs=Action.DISCUSS_READ, methods=("POST",)),
    api(f"{_ONE}/pin", pin_discussion, needs=Action.DISCUSS_READ, methods=("POST",)),
    api(f"{_ONE}/merge", merge_pull, needs=Action.WRITE, methods=("POST",)),
    guarded("/uploads", refuse_media, needs=Action.USE_ACCOUNT, methods=("POST",), mode="read"),
]
