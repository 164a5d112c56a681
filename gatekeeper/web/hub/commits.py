"""`POST .../commit/{rev}`: a commit as lines of JSON, read from disk, applied in one transaction."""

import asyncio
import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from pydantic_core import from_json
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.community import Discussion
from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import AddFile, AddLfs, DeleteFolder, DeletePath, Operation, history
from gatekeeper.web import parts
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import proposing, schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import flag
from gatekeeper.web.hub.spool import spooled
from gatekeeper.web.kinds import page_path
from gatekeeper.web.parts import Part

# Twelve plain files of 10 MB must pass. Base64 makes four bytes of three.
_INLINE_LIMIT = 256 * 2**20
_BODY_LIMIT = _INLINE_LIMIT * 4 // 3 + 64 * 2**20
_LINE_LIMIT = 64 * 2**20
_MOST_LINES = 100_000

# Bodies are read from disk into memory one at a time, so many large commits at once wait instead of adding up.
_one_large_commit = asyncio.Semaphore(1)


@dataclass(frozen=True)
class Wanted:
    """A commit as it was asked for."""

    summary: str
    description: str
    parent: str | None
    operations: tuple[Operation, ...]


async def commit(call: Call) -> Response:
    """Apply the operations to a branch or a pull request, all or none; with `create_pr=1` they open one.

    The body is on disk before the transaction begins.
    """
    gatekeeper, opens = call.gatekeeper, flag(call, "create_pr")
    async with gatekeeper.db.read() as session:
        await parts.require_part(call, session, call.params["rev"], opens=opens)
    async with (
        spooled(call.request, directory=gatekeeper.store.staging, limit=_BODY_LIMIT) as body,
        _one_large_commit,
    ):
        wanted = await asyncio.to_thread(read_commit, body)
        async with gatekeeper.db.write() as session:
            await call.recheck(session)
            part = await parts.require_part(call, session, call.params["rev"], opens=opens)
            made, pull = await _apply(call, session, part, wanted, opens=opens)
    page = gatekeeper.url(page_path(call.repo.kind, call.repo.full_name))
    pull_url = f"{page}/discussions/{pull.num}" if pull and opens else None
    return JSONResponse(schemas.committed(f"{page}/commit/{made}", made, pull_url=pull_url))


async def _apply(
    call: Call, session: AsyncSession, part: Part, wanted: Wanted, *, opens: bool
) -> tuple[str, Discussion | None]:
    """The commit, and the pull request that it went to."""
    if opens or part.pull is not None:
        return await proposing.commit(
            call,
            session,
            part,
            wanted.operations,
            parent=wanted.parent,
            summary=wanted.summary,
            description=wanted.description,
        )
    branch = call.params["rev"]
    made = await history.commit(
        session,
        call.repo,
        branch,
        wanted.operations,
        parent=wanted.parent,
        summary=wanted.summary,
        description=wanted.description,
        by=call.principal,
        store=call.gatekeeper.store,
    )
    await releases.take_note(session, call.repo, made, branch=branch, by=call.principal)
    return made, None


def read_commit(body: IO[bytes]) -> Wanted:
    """The lines of a commit. Raises Invalid that names the line, TooLarge."""
    header: dict[str, Any] | None = None
    operations: list[Operation] = []
    inline = 0
    for number, key, value in _lines(body):
        if key == "header":
            header = value
            continue
        operation = _operation(number, key, value)
        if isinstance(operation, AddFile):
            inline += len(operation.content)
            if inline > _INLINE_LIMIT:
                raise TooLarge(
                    f"The files inside this commit have more than {_INLINE_LIMIT:,} bytes together.",
                    next_step="Split it in several commits, or send large files through LFS or Xet.",
                )
        operations.append(operation)
    if header is None:
        raise Invalid("The commit has no header line.", next_step="Send a line with the key `header` first.")
    parent = _text(header, "parentCommit", 1, default="")
    return Wanted(
        summary=_text(header, "summary", 1, default="") or "Update files",
        description=_text(header, "description", 1, default=""),
        parent=parent or None,
        operations=tuple(operations),
    )


def _lines(body: IO[bytes]) -> Iterable[tuple[int, str, dict[str, Any]]]:
    for number in range(1, _MOST_LINES + 2):
        line = body.readline(_LINE_LIMIT + 1)
        if not line:
            return
        if len(line) > _LINE_LIMIT:
            raise TooLarge(
                f"Line {number} of the commit is too long.", next_step="Send large files through LFS or Xet."
            )
        if not line.strip():
            continue
        try:
            parsed = from_json(line)  # stricter than Python's own: half a surrogate pair is no text
            key, value = parsed["key"], parsed["value"]
        except (ValueError, TypeError, KeyError):
            raise _unreadable(number) from None
        if not isinstance(key, str) or not isinstance(value, dict):
            raise _unreadable(number)
        yield number, key, value
    raise TooLarge(f"A commit has at most {_MOST_LINES:,} lines.", next_step="Split it in several commits.")


def _operation(number: int, key: str, value: dict[str, Any]) -> Operation:
    path = _text(value, "path", number)
    match key:
        case "file":
            if value.get("encoding", "base64") != "base64":
                raise _wrong(number, "the encoding must be base64")
            try:
                content = base64.b64decode(_text(value, "content", number), validate=True)
            except (binascii.Error, ValueError):
                raise _wrong(number, "the content is not base64") from None
            return AddFile(path, content)
        case "lfsFile":
            if value.get("algo", "sha256") != "sha256":
                raise _wrong(number, "the digest must be a sha256")
            size = value.get("size")
            if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
                raise _wrong(number, "the size is not a number of bytes")
            return AddLfs(path, _text(value, "oid", number), size)
        case "deletedFile":
            return DeletePath(path)
        case "deletedFolder":
            # Clients end a folder's name with the slash that marks it as one.
            return DeleteFolder(path.rstrip("/"))
    raise _wrong(number, f"there is no operation {key[:40]!r}")


def _text(value: dict[str, Any], name: str, number: int, *, default: str | None = None) -> str:
    found = value.get(name, default)
    if found is None and default is not None:
        found = default
    if not isinstance(found, str):
        raise _wrong(number, f"`{name}` must be a text")
    return found


def _wrong(number: int, what: str) -> Invalid:
    return Invalid(f"Line {number}: {what}.", status=422, next_step="Correct the line and send the commit again.")


def _unreadable(number: int) -> Invalid:
    return Invalid(
        f"Line {number} of the commit cannot be read.", next_step='Send one {"key","value"} object a line.', status=422
    )


ROUTES = [
    # A branch is for its writers, a pull request for its author and for who opens one, too: it decides on.
    api("/{kind:kind}/{ns}/{name}/commit/{rev}", commit, needs=Action.KNOW, methods=("POST",), mode="own"),
]
