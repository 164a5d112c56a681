"""Writing history anew: a branch of one commit, and files that leave every commit.

The old commits stay in the database as what a deleted branch leaves behind: no reference leads to them.
"""

from collections.abc import Collection, Iterable

from dulwich.objects import Commit as GitCommit
from dulwich.objects import ObjectID, ShaFile
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import RevisionNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import commits, objects, refs, revisions
from gatekeeper.repos.objects import EMPTY_TREE, FOLDER_MODE
from gatekeeper.repos.tables import Repo

_COMMIT_TYPE = 1
_PAIRS = 500  # in one event


async def squash(s: AsyncSession, repo: Repo, branch: str, *, message: str, by: Principal) -> str:
    """Leave one commit on `branch` (name, `refs/heads/x` or `refs/pr/n`), with its files as they are; returns its id.

    Raises RevisionNotFound for what is no branch.
    """
    ref, head = await _branch(s, repo, branch)
    tree = (await revisions.require_commit(s, repo, head)).tree
    title, _, rest = message.strip().partition("\n")
    made = commits.commit_object(tree, [], title, rest, commits.author_of(by))
    await objects.write(s, repo.id, [made])
    oid = made.id.decode()
    await _point(s, repo, ref, old=head, new=oid, kind="repos:branch:squash", by=by)
    return oid


async def lost_by_squash(s: AsyncSession, repo: Repo, branch: str) -> set[str]:
    """Commits that no reference would lead to any more if `branch` were squashed."""
    ref, head = await _branch(s, repo, branch)
    kept = [row.object_id for row in await refs.listing(s, repo) if row.name != ref]
    return set(await _ancestors(s, repo, [head])) - set(await _ancestors(s, repo, kept))


async def holding(s: AsyncSession, repo: Repo, digests: Collection[str], of: Iterable[str]) -> set[str]:
    """Those commits among `of` that hold one of the LFS files with these SHA-256 digests."""
    filtered = _Filter(s, repo, digests)
    found = set()
    for oid in of:
        tree = (await revisions.require_commit(s, repo, oid)).tree
        if await filtered.without(tree) != tree:
            found.add(oid)
    return found


async def drop_files(s: AsyncSession, repo: Repo, digests: Collection[str], *, by: Principal) -> dict[str, str]:
    """Take the LFS files with these SHA-256 digests out of every commit that a reference leads to.

    Commits without them and above keep their ids. Returns the new id of each commit that changed.
    """
    rows = await refs.listing(s, repo)
    filtered = _Filter(s, repo, digests)
    renamed: dict[str, str] = {}
    written: list[ShaFile] = []
    for oid in await _ancestors(s, repo, [row.object_id for row in rows]):
        commit = await revisions.require_commit(s, repo, oid)
        tree = await filtered.without(commit.tree)
        if tree == commit.tree and not any(parent in renamed for parent in commit.parents):
            continue
        content = await objects.read(s, repo.id, oid, "commit")
        made = ShaFile.from_raw_string(_COMMIT_TYPE, content or b"")
        assert isinstance(made, GitCommit)
        made.tree = ObjectID(tree.encode())
        made.parents = [ObjectID(renamed.get(parent, parent).encode()) for parent in commit.parents]
        made.gpgsig = None  # signed for other content
        written.append(made)
        renamed[oid] = made.id.decode()
    await objects.write(s, repo.id, [*filtered.made, *written])
    for row in rows:
        # An annotated tag names its commit inside: the tag becomes a plain one on the new commit.
        old = await revisions.resolve_revision(s, repo, row.name)
        if old in renamed:
            await _point(s, repo, row.name, old=row.object_id, new=renamed[old], kind="repos:branch:rewrite", by=by)
    pairs = [{"commit": new, "before": old} for old, new in renamed.items()]
    for start in range(0, len(pairs), _PAIRS):
        body = {"renamed": pairs[start : start + _PAIRS]}
        who = {"actor": by.person_id, "token": by.token_id}
        await ledger.record(s, "repos:history:rewrite", **who, repo=repo.id, subject=repo.id, body=body)
    return renamed


class _Filter:
    """Trees without some LFS files. Each tree is looked at once, however many commits hold it."""

    def __init__(self, s: AsyncSession, repo: Repo, digests: Collection[str]) -> None:
        self._session, self._repo, self._digests = s, repo, frozenset(digests)
        self._known: dict[str, str] = {EMPTY_TREE: EMPTY_TREE}
        self.made: list[ShaFile] = []

    async def without(self, tree: str) -> str:
        """Id of `tree` without the files; folders that become empty vanish."""
        if tree in self._known:
            return self._known[tree]
        rows: list[tuple[str, int, str]] = []
        is_same = True
        for item in await objects.folder(self._session, self._repo.id, tree):
            if item.lfs is not None and item.lfs.sha256 in self._digests:
                is_same = False
                continue
            oid = await self.without(item.oid) if item.is_folder else item.oid
            is_same &= oid == item.oid
            if not (oid == EMPTY_TREE and item.mode == FOLDER_MODE):
                rows.append((item.name, item.mode, oid))
        if is_same:
            self._known[tree] = tree
            return tree
        made = objects.tree_of(rows)
        self.made.append(made)
        self._known[tree] = made.id.decode()
        return self._known[tree]


async def _ancestors(s: AsyncSession, repo: Repo, starts: Iterable[str]) -> list[str]:
    """Every commit that `starts` (commits or annotated tags) lead to, parents before children."""
    found: dict[str, None] = {}
    stack = [(await revisions.peel(s, repo, oid), False) for oid in starts]
    while stack:
        oid, is_done = stack.pop()
        if oid in found:
            continue
        if is_done:
            found[oid] = None
            continue
        commit = await revisions.find_commit(s, repo, oid)
        if commit is None:
            continue
        stack.append((oid, True))
        stack += [(parent, False) for parent in commit.parents if parent not in found]
    return list(found)


async def _branch(s: AsyncSession, repo: Repo, branch: str) -> tuple[str, str]:
    ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
    head = await revisions.read_ref(s, repo, ref)
    if head is None or ref.startswith("refs/tags/"):
        raise RevisionNotFound(f"Invalid rev id: {branch[:80]}", next_step="Name a branch that exists.")
    return ref, head


async def _point(s: AsyncSession, repo: Repo, ref: str, *, old: str, new: str, kind: str, by: Principal) -> None:
    await refs.move(s, repo, ref, old=old, new=new)
    repo.updated_at = now()
    s.add(repo)
    body = {"ref": ref, "commit": new, "before": old}
    await ledger.record(s, kind, actor=by.person_id, token=by.token_id, repo=repo.id, subject=new, body=body)
