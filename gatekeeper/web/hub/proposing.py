"""Committing to pull requests, by who may write and by who may not."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.community import Discussion, Status, proposals, pulls
from gatekeeper.community.writing import MAX_TITLE_CHARS, MIN_TITLE_CHARS
from gatekeeper.errors import Invalid
from gatekeeper.repos import Operation
from gatekeeper.web.guard import Call
from gatekeeper.web.parts import Part


async def commit(
    call: Call,
    session: AsyncSession,
    part: Part,
    operations: Sequence[Operation],
    *,
    parent: str | None,
    summary: str,
    description: str,
) -> tuple[str, Discussion]:
    """Commit to the pull request of `part`, or to a new one; returns the commit's id and the pull request."""
    repo, by = call.repo, call.principal
    pull = part.pull
    if not part.may_write:
        limit_bytes = call.gatekeeper.settings.proposal_max_bytes
        await proposals.require_room(session, size=proposals.size_of(operations), limit_bytes=limit_bytes, by=by)
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
    made = await pulls.commit(
        session,
        repo,
        pull,
        operations,
        parent=parent,
        summary=summary,
        description=description,
        by=by,
        store=call.gatekeeper.store,
        may_write=part.may_write,
    )
    if part.pull is None and made == call.commit:
        raise Invalid("This commit changes nothing.", status=422, next_step="Change something, then open it again.")
    return made, pull


def _title(summary: str) -> str:
    line = " ".join(summary.split())[:MAX_TITLE_CHARS]
    return line if len(line) >= MIN_TITLE_CHARS else f"Change {line}".strip()
