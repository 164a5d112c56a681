"""Committing to pull requests. Who may not write sends whole files inside the commit: no upload of theirs asks what the
repository holds, and nothing they name by its digest alone is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.community import Discussion, Status, pulls
from gatekeeper.community.writing import MAX_TITLE_CHARS, MIN_TITLE_CHARS
from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import AddFile, AddLfs, Operation, lfs, uploads
from gatekeeper.repos.commits import MAX_INLINE_BYTES
from gatekeeper.repos.objects import parse_pointer
from gatekeeper.web.guard import Call
from gatekeeper.web.parts import Part

_SAMPLE_BYTES = 512


@dataclass(frozen=True)
class Kept:
    """A commit's operations, and the large files among them that were put into the store: SHA-256 and size in bytes."""

    operations: tuple[Operation, ...]
    received: tuple[tuple[str, int], ...] = ()


def inline(
    planned: Sequence[uploads.Planned], files: Sequence[uploads.Announced], *, may_list: bool
) -> list[uploads.Planned]:
    """The plan for who may not write: everything inside the commit. Raises TooLarge for what does not fit there.

    may_list  they may be told what lies at a path now
    """
    for file in files:
        _check_size(file.path, file.size)
    return [replace(plan, mode="regular", oid=plan.oid if may_list else None) for plan in planned]


async def keep_large(call: Call, operations: Sequence[Operation]) -> Kept:
    """Put the files that belong in the store there, and name them by the digest of what came."""
    store = call.gatekeeper.store
    added = [operation for operation in operations if isinstance(operation, AddFile)]
    announced = [uploads.Announced(file.path, len(file.content), file.content[:_SAMPLE_BYTES]) for file in added]
    async with call.gatekeeper.db.read() as session:
        planned: list[uploads.Planned] = []
        for start in range(0, len(announced), uploads.MAX_FILES):
            some = announced[start : start + uploads.MAX_FILES]
            planned += await uploads.plan(session, call.repo, call.commit or "", some)
    large = {plan.path for plan in planned if plan.mode == "lfs"}
    made: list[Operation] = []
    received: dict[str, int] = {}
    for operation in operations:
        # The text of a pointer stands for the bytes it names, so it is no file to keep: the room looks at it.
        if not isinstance(operation, AddFile) or operation.path not in large or parse_pointer(operation.content):
            made.append(operation)
            continue
        _check_size(operation.path, len(operation.content))
        async with store.stage() as staged:
            await staged.write(operation.content)
            sha256 = await staged.keep()
        received[sha256] = len(operation.content)
        made.append(AddLfs(operation.path, sha256, len(operation.content)))
    return Kept(tuple(made), tuple(received.items()))


async def commit(
    call: Call,
    session: AsyncSession,
    part: Part,
    kept: Kept,
    *,
    parent: str | None,
    summary: str,
    description: str,
) -> tuple[str, Discussion]:
    """Commit to the pull request of `part`, or to a new one; returns the commit's id and the pull request."""
    repo, by = call.repo, call.principal
    pull = part.pull
    if pull is None:
        pull = await pulls.open_pull(
            session,
            repo,
            title=_title(summary),
            text=description,
            by=by,
            base=call.commit or "",
            target=f"refs/heads/{call.params['rev'].removeprefix('refs/heads/')}",
            status=Status.OPEN,
        )
    for sha256, size in kept.received:
        await lfs.possess(session, repo, sha256, size, person_id=by.person_id)
    made = await pulls.commit(
        session,
        repo,
        pull,
        kept.operations,
        parent=parent,
        summary=summary,
        description=description,
        by=by,
        store=call.gatekeeper.store,
        may_write=part.may_write,
        received=[sha256 for sha256, _ in kept.received],
    )
    if part.pull is None and made == call.commit:
        raise Invalid("This commit changes nothing.", status=422, next_step="Change something, then open it again.")
    return made, pull


def _check_size(path: str, size: int) -> None:
    if size > MAX_INLINE_BYTES:
        raise TooLarge(
            f"'{path[:200]}' has {size:,} bytes. Without write access, a file of a pull request may have at most "
            f"{MAX_INLINE_BYTES:,}.",
            next_step="Ask the repository's owners for write access, or to upload it for you.",
        )


def _title(summary: str) -> str:
    line = " ".join(summary.split())[:MAX_TITLE_CHARS]
    return line if len(line) >= MIN_TITLE_CHARS else f"Change {line}".strip()
