"""Pull requests: opened on a commit of a branch, added to on `refs/pr/<number>`, merged as one commit."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import releases
from gatekeeper.accounts.people import get as get_person
from gatekeeper.accounts.principal import Principal
from gatekeeper.community import acts, discussions, moderation, proposals, writing
from gatekeeper.community.tables import PULL_REFS, Discussion, EventKind, Status
from gatekeeper.errors import Conflict, Invalid, NotFound, RevisionNotFound
from gatekeeper.repos import (
    AddFile,
    AddLfs,
    CopyFile,
    Operation,
    Store,
    history,
    lfs,
    merging,
    refs,
    revisions,
    shadows,
)
from gatekeeper.repos.merging import Merge
from gatekeeper.repos.objects import parse_pointer
from gatekeeper.repos.tables import Repo

PREFIX = PULL_REFS
_MOST_NAMED = 50
_LISTED_COMMITS = 100


def ref_of(pull: Discussion) -> str:
    """The reference that holds what a pull request proposes."""
    return f"{PREFIX}{pull.num}"


async def open_pull(
    s: AsyncSession,
    repo: Repo,
    *,
    title: str,
    text: str,
    by: Principal,
    base: str,
    target: str = refs.MAIN,
    status: Status = Status.DRAFT,
) -> Discussion:
    """Open a pull request without changes.

    base    the commit it starts from: what `target` is for this person
    target  the branch it is for
    """
    if await revisions.read_ref(s, repo, target) is None or not target.startswith("refs/heads/"):
        raise revisions.unknown(target.removeprefix("refs/heads/"))
    made = await discussions.number(
        s, repo, title=title, by=by, is_pull_request=True, target_ref=target, base_commit=base, status=status
    )
    await refs.place(s, repo, ref_of(made), base)
    if text.strip():
        await writing.comment(s, repo, made, text, by=by)
    await writing.record(s, "community:pull:open", repo, made.id, by=by, body={"num": made.num, "base": base})
    return made


async def open_of(s: AsyncSession, repo: Repo, *, by: Principal) -> set[str]:
    """The references of the open pull requests that this person opened."""
    query = sa.select(Discussion).where(
        col(Discussion.repo_id) == repo.id,
        col(Discussion.author_id) == by.person_id,
        col(Discussion.is_pull_request),
        col(Discussion.status).in_([Status.DRAFT, Status.OPEN]),
    )
    return {ref_of(pull) for pull in await s.scalars(query)}


async def of_ref(s: AsyncSession, repo: Repo, ref: str) -> Discussion:
    """The pull request whose commits `ref` holds. Raises RevisionNotFound."""
    found = await discussions.find(s, repo, ref.removeprefix(PREFIX)) if ref.startswith(PREFIX) else None
    if found is None or not found.is_pull_request or ref != ref_of(found):
        raise revisions.unknown(ref)
    return found


async def commit(
    s: AsyncSession,
    repo: Repo,
    pull: Discussion,
    operations: Sequence[Operation],
    *,
    parent: str | None = None,
    summary: str,
    description: str = "",
    by: Principal,
    store: Store,
    may_write: bool,
) -> str:
    """Add a commit to a pull request; returns its id.

    may_write  `by` may change the repository, and so may name any large file of it; anybody else names those of the
               pull request and its base, and those that they sent to their shadow of the repository

    Raises what a commit raises, Conflict for a pull request that is closed or merged, NotAllowed for a locked one.
    """
    require_open(pull)
    moderation.require_voice(pull, moderates=may_write)
    ref = ref_of(pull)
    head = await head_of(s, repo, ref)
    if not may_write:
        await _bring_large_files(s, repo, pull, head, operations, by=by)
    made = await history.commit(
        s, repo, ref, operations, parent=parent, summary=summary, description=description, by=by, store=store
    )
    if made != head:
        counted = 0 if may_write else proposals.size_of(operations)
        await take_note(s, repo, pull, [made], by=by, on=head, is_whole=True, counted_bytes=counted)
    return made


async def take_note(
    s: AsyncSession,
    repo: Repo,
    pull: Discussion,
    commits: Sequence[str],
    *,
    by: Principal,
    on: str,
    is_whole: bool,
    counted_bytes: int = 0,
) -> None:
    """What follows from new commits on a pull request, parents first: see `proposals.note`.

    counted_bytes  what came with them and counts for `proposals.require_room`
    """
    await proposals.note(s, repo, pull, commits, by=by, on=on, is_whole=is_whole)
    for oid in commits:
        await releases.take_note(s, repo, oid, branch=ref_of(pull), by=by)
    for oid in commits[-_LISTED_COMMITS:]:
        title = (await history.require_commit(s, repo, oid)).title
        data = {"subject": title[:200], "oid": oid} | (
            {"bytes": counted_bytes} if counted_bytes and oid == commits[-1] else {}
        )
        await writing.event(s, pull, EventKind.COMMIT, by=by, data=data)


async def squash(s: AsyncSession, repo: Repo, ref: str, *, message: str, by: Principal) -> None:
    """Leave one commit on a pull request. Raises RevisionNotFound, and Conflict for one that is closed or merged."""
    pull = await of_ref(s, repo, ref)
    require_open(pull)
    head = await head_of(s, repo, ref)
    made = await releases.squash(s, repo, ref, message=message, by=by)
    await take_note(s, repo, pull, [made], by=by, on=head, is_whole=True)


async def planned(s: AsyncSession, repo: Repo, pull: Discussion) -> Merge | None:
    """What merging would do now; None where the branch it is for is gone."""
    ours = await revisions.read_ref(s, repo, pull.target_ref)
    theirs = await revisions.read_ref(s, repo, ref_of(pull))
    if ours is None or theirs is None:
        return None
    return await merging.plan(s, repo, ours=ours, theirs=theirs, began_at=pull.base_commit)


async def changes(s: AsyncSession, repo: Repo, pull: Discussion) -> tuple[str, list[merging.Change]]:
    """The head of a pull request and what it changes since it left the branch it is for."""
    head = await head_of(s, repo, ref_of(pull))
    target = await revisions.read_ref(s, repo, pull.target_ref)
    base = await merging.merge_base(s, repo, target, head) if target else None
    return head, await merging.changes_between(s, repo, base or pull.base_commit, head)


async def merge(s: AsyncSession, repo: Repo, num: str | int, *, by: Principal, text: str = "") -> str:
    """Merge a pull request into its branch as one commit, and return that commit's id.

    Raises Conflict for one that is closed or merged, changes nothing, or conflicts: `details["files"]` names the files.
    """
    pull = await discussions.require(s, repo, num)
    if not pull.is_pull_request:
        raise Invalid("This is a discussion: there is nothing to merge.", next_step="Close it instead.")
    require_open(pull)
    plan = await planned(s, repo, pull)
    if plan is None:
        raise NotFound("The branch of this pull request is gone.", next_step="Open a new one for another branch.")
    if plan.conflicts:
        named = ", ".join(plan.conflicts[:5]) + (" ..." if len(plan.conflicts) > 5 else "")
        raise Conflict(
            f"Merging would lose changes: both sides changed {named}.",
            next_step="Bring the pull request up to date with the branch first.",
            details={"files": list(plan.conflicts[:_MOST_NAMED])},
        )
    if not plan.changes:
        raise Conflict("This pull request changes nothing.", next_step="Add a commit to it, or close it.")
    if text.strip():
        await writing.comment(s, repo, pull, text, by=by)
    summary = f"{pull.title} (#{pull.num})"
    description = await _credits(s, repo, pull, plan)
    made = await merging.apply(s, repo, pull.target_ref, plan, summary=summary, description=description, by=by)
    await releases.take_note(s, repo, made, branch=pull.target_ref.removeprefix("refs/heads/"), by=by)
    pull.merge_commit = made
    await acts.change_status(s, repo, pull, Status.MERGED, by=by)
    body = {"num": pull.num, "commit": made, "head": plan.theirs}
    await writing.record(s, "community:pull:merge", repo, pull.id, by=by, body=body)
    return made


def require_open(pull: Discussion) -> None:
    """Raise Conflict unless a pull request can still change."""
    if pull.status in (Status.CLOSED, Status.MERGED):
        raise Conflict(
            f"This pull request is {pull.status}.",
            next_step="Open it again first." if pull.status is Status.CLOSED else "Open a new one.",
        )


async def _credits(s: AsyncSession, repo: Repo, pull: Discussion, plan: Merge) -> str:
    """The body of the merge's commit: what was merged, and whose work it is."""
    lines = []
    for commit in await history.commits(s, repo, plan.theirs, limit=_MOST_NAMED):
        if commit.oid == plan.base:
            break
        lines.append(f"- {commit.title} ({commit.oid})")
    author = await get_person(s, pull.author_id) if pull.author_id else None
    if author is not None:
        identity = history.author_of(Principal(author.id, author.name)).decode()
        lines += ["", f"Co-authored-by: {identity}"]
    return "\n".join(lines)


async def _bring_large_files(
    s: AsyncSession, repo: Repo, pull: Discussion, head: str, operations: Sequence[Operation], *, by: Principal
) -> None:
    """Let the repository refer to the large files that `by` sent for these operations.

    Raises Invalid for one that they did not send and that is neither in the pull request nor in its base.

    INVARIANT: without this a proposal could name any large file of the repository by its digest, and would be decided
    as its base is: weights of an unreleased commit would leave as those of a released one.
    """
    named = []
    for operation in operations:
        if isinstance(operation, CopyFile) and operation.revision is not None:
            raise Invalid("A pull request copies from its own files only.", status=422, next_step="Send the file.")
        if isinstance(operation, AddLfs):
            named.append((operation.path, operation.sha256))
        elif isinstance(operation, AddFile) and (pointer := parse_pointer(operation.content)):
            named.append((operation.path, pointer.sha256))
    if not named:
        return
    known = await merging.large_files_of(s, repo, head) | await merging.large_files_of(s, repo, pull.base_commit)
    # One that was held here may be gone: what a pull request brought is let go some time after it was closed.
    known = await lfs.possessed(s, repo, {sha256 for _, sha256 in named} & known)
    wanted = {sha256 for _, sha256 in named} - known
    missing = wanted - await shadows.take(s, repo, wanted, by=by)
    for path, sha256 in named:
        if sha256 in missing:
            raise not_sent(path)


def not_sent(path: str = "") -> Invalid:
    """The refusal of a large file that is named by its digest and was not sent."""
    what = f"'{path[:200]}'" if path else "a large file"
    return Invalid(
        f"The content of {what} was not uploaded to this pull request.",
        status=422,
        code="LfsObjectMissing",
        next_step="Send the file itself; knowing its digest is not enough.",
    )


async def head_of(s: AsyncSession, repo: Repo, ref: str) -> str:
    """The commit that a branch or a pull request is at. Raises RevisionNotFound."""
    found = await revisions.read_ref(s, repo, ref)
    if found is None:
        raise RevisionNotFound(f"Invalid rev id: {ref}", next_step="Look at the repository's references.")
    return found
