"""Discussions and pull requests as the Hub's clients send and read them."""

from collections.abc import Mapping
from typing import Literal

from markupsafe import Markup
from pydantic import BaseModel, Field

from gatekeeper.community import Discussion, EventKind, Thread
from gatekeeper.community.discussions import Entry
from gatekeeper.kit.canonical import instant_text
from gatekeeper.repos import Repo, RepoKind
from gatekeeper.web.hub.schemas.answers import Json
from gatekeeper.web.hub.schemas.sent import Body

_TYPES = {RepoKind.MODEL: "model", RepoKind.DATASET: "dataset", RepoKind.SPACE: "space"}
_LONGEST = 100_000  # the room says what is too long, in its own words


class NewDiscussion(Body):
    title: str = Field(max_length=2_000)
    description: str = Field("", max_length=_LONGEST)
    pull_request: bool = Field(False, alias="pullRequest")


class NewComment(Body):
    comment: str = Field(max_length=_LONGEST)


class EditedComment(Body):
    content: str = Field(max_length=_LONGEST)


class NewTitle(Body):
    title: str = Field(max_length=2_000)


class NewStatus(Body):
    status: Literal["open", "closed"]
    comment: str | None = Field(None, max_length=_LONGEST)


class Locked(Body):
    locked: bool


class Pinned(Body):
    pinned: bool


class MergeIt(BaseModel):
    comment: str | None = Field(None, max_length=_LONGEST)


def discussion(row: Discussion, repo: Repo, author: str | None) -> Json:
    """One row of a list. Without an author it is of somebody who was deleted."""
    answer: Json = {
        "num": row.num,
        "title": row.title,
        "status": row.status.value,
        "createdAt": instant_text(row.created_at),
        "isPullRequest": row.is_pull_request,
        "locked": row.locked_at is not None,
        "pinned": row.pinned_at is not None,
        "repo": {"name": repo.full_name, "type": _TYPES[repo.kind]},
    }
    return answer | _author(author)


def event(entry: Entry, thread: Thread, html: Mapping[str, Markup], *, shows_hidden: bool) -> Json:
    """One event. What a hidden comment said is left out, but for moderators."""
    found = entry.event
    answer: Json = {"id": found.id, "type": found.kind.value, "createdAt": instant_text(found.created_at)}
    answer |= _author(thread.name_of(found.author_id))
    if found.kind is not EventKind.COMMENT:
        return answer | {"data": dict(found.data)}
    *before, latest = entry.versions
    is_hidden = found.hidden_at is not None
    is_shown = not is_hidden or shows_hidden
    answer["data"] = {
        "edited": bool(before),
        "hidden": is_hidden,
        "numEdits": len(before),
        "latest": {
            "raw": latest.text if is_shown else "This comment has been hidden",
            "html": str(html.get(latest.text, "")) if is_shown else "",
            "updatedAt": instant_text(latest.written_at),
        }
        | _author(thread.name_of(latest.author_id)),
        "history": [
            {"raw": text.text, "updatedAt": instant_text(text.written_at)} | _author(thread.name_of(text.author_id))
            for text in before
        ]
        if is_shown
        else [],
    }
    return answer


def _author(name: str | None) -> Json:
    return {} if name is None else {"author": {"name": name}}
