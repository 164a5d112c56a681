"""Making commits: operations on the head of a branch, all or nothing."""

import asyncio
from collections.abc import Sequence
from pathlib import PurePosixPath

import sqlalchemy as sa
from dulwich.objects import Blob, ObjectID, ShaFile
from dulwich.objects import Commit as GitCommit
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import EntryNotFound, Invalid, RevisionNotFound, TooLarge
from gatekeeper.kit.clock import now
from gatekeeper.repos import attributes, cards, listing, objects, refs, revisions, safetensors_header
from gatekeeper.repos.drafts import Draft
from gatekeeper.repos.objects import parse_pointer, pointer_text
from gatekeeper.repos.operations import AddFile, AddLfs, CopyFile, DeleteFolder, DeletePath, Operation
from gatekeeper.repos.paths import check_path, is_sha256
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import Repo, RepoObject, StoredObject

MAX_OPERATIONS = 25_000
MAX_INLINE_BYTES = 32 * 2**20
_MAX_MESSAGE = 60_000
Change = AddFile | AddLfs | DeletePath | DeleteFolder
_THREAD_BYTES = 256 * 2**10  # below this, hashing costs less than a change of thread


async def commit(
    s: AsyncSession,
    repo: Repo,
    branch: str,
    operations: Sequence[Operation],
    *,
    parent: str | None = None,
    summary: str,
    description: str = "",
    by: Principal,
    store: Store | None = None,
) -> str:
    """Apply `operations` in order to the head of `branch` and move the branch to the new commit, whose id is returned.

    branch   name, `refs/heads/x` or `refs/pr/n`
    parent   the head the caller saw (7 or more digits); another head raises Stale
    store    needed when a `*.safetensors` file is added from the store: its header is checked there

    Operations that change nothing make no commit; the head's id is returned. Raises RevisionNotFound, EntryNotFound,
    and Invalid for what cannot be stored.
    """
    ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
    head = await revisions.read_ref(s, repo, ref)
    if head is None or ref.startswith("refs/tags/"):
        raise RevisionNotFound(f"Invalid rev id: {branch[:80]}", next_step="Commit to a branch that exists.")
    if parent is not None and (len(parent) < 7 or not head.startswith(parent)):
        raise refs.stale()
    _check_count(operations)
    base = await revisions.require_commit(s, repo, head)
    draft = Draft(s, repo.id, base.tree)
    made = await _apply(s, repo, draft, operations, head=head, store=store)
    root, trees = draft.write()
    if root == base.tree:
        return head
    author = author_of(by)
    new = commit_object(root, [head], summary, description, author)
    await objects.write(s, repo.id, [*made, *trees, new])
    oid = new.id.decode()
    await refs.move(s, repo, ref, old=head, new=oid)
    repo.updated_at = now()
    s.add(repo)
    body = {"ref": ref, "commit": oid, "parent": head, "operations": len(operations)}
    await ledger.record(
        s, "repos:branch:commit", actor=by.person_id, token=by.token_id, repo=repo.id, subject=oid, body=body
    )
    return oid


async def begin(s: AsyncSession, repo: Repo, *, card: bytes | None = None, by: Principal) -> str:
    """Give a new repository its first commit, titled `initial commit`, and main pointing at it."""
    files = {attributes.FILE_NAME: attributes.default_file(repo.kind)} | ({"README.md": card} if card else {})
    blobs = {name: Blob.from_string(content) for name, content in files.items()}
    tree = objects.tree_of([(name, objects.FILE_MODE, blob.id.decode()) for name, blob in blobs.items()])
    first = commit_object(tree.id.decode(), [], "initial commit", "", author_of(by))
    await objects.write(s, repo.id, [*blobs.values(), tree, first])
    await refs.place(s, repo, refs.MAIN, first.id.decode())
    return first.id.decode()


async def _apply(
    s: AsyncSession, repo: Repo, draft: Draft, operations: Sequence[Operation], *, head: str, store: Store | None
) -> list[ShaFile]:
    """Change `draft`; returns the blobs to write."""
    made: list[ShaFile] = []
    changes = [_as_pointer(await _without_copy(s, repo, operation, head=head)) for operation in operations]
    lfs = [change for change in changes if isinstance(change, AddLfs)]
    sizes = await possessed(s, repo, lfs)
    for change in changes:
        check_path(change.path)
        match change:
            case AddFile(path, content):
                blob = await _blob(path, content)
                await draft.put(path, blob.id.decode())
                made.append(blob)
            case AddLfs(path, sha256):
                await check_stored(path, sha256, store)
                blob = Blob.from_string(pointer_text(sha256, sizes[sha256]))
                await draft.put(path, blob.id.decode())
                made.append(blob)
            case DeletePath(path):
                await draft.remove(path)
            case DeleteFolder(path):
                await draft.remove(path, folder=True)
    made += await _cover_by_attributes(s, repo, draft, {change.path for change in lfs}, made)
    return made


async def _without_copy(s: AsyncSession, repo: Repo, operation: Operation, *, head: str) -> Change:
    """A copy as the addition it amounts to, so that it meets the same checks."""
    if not isinstance(operation, CopyFile):
        return operation
    found = await listing.find_entry(s, repo, operation.revision or head, operation.source)
    if found is None or found.type != "file":
        raise EntryNotFound("The file to copy doesn't exist", details={"path": operation.source})
    if found.lfs is not None:
        return AddLfs(operation.path, found.lfs.sha256, found.lfs.size)
    return AddFile(operation.path, await listing.read_blob(s, repo, found.oid))


def _as_pointer(operation: Change) -> Change:
    """A regular file that is a pointer's text *is* an LFS file to every reader, so it needs the same proof."""
    if isinstance(operation, AddFile) and (pointer := parse_pointer(operation.content)):
        return AddLfs(operation.path, pointer.sha256, pointer.size)
    return operation


async def possessed(s: AsyncSession, repo: Repo, added: Sequence[AddLfs]) -> dict[str, int]:
    """Size in bytes of each digest, if this repository may refer to all of them.

    INVARIANT: only a RepoObject row of this repository counts. That the store has the bytes proves nothing about the
    caller: digests are public.
    """
    wanted = sorted({operation.sha256 for operation in added})
    sizes: dict[str, int] = {}
    for start in range(0, len(wanted), 500):
        query = (
            sa.select(col(RepoObject.sha256), col(StoredObject.size_bytes))
            .join(StoredObject, col(StoredObject.sha256) == col(RepoObject.sha256))
            .where(col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256).in_(wanted[start : start + 500]))
        )
        sizes.update((sha256, size) for sha256, size in await s.execute(query))
    for operation in added:
        if not is_sha256(operation.sha256) or operation.sha256 not in sizes:
            raise Invalid(
                f"The content of '{operation.path[:200]}' was not uploaded to this repository.",
                status=422,
                code="LfsObjectMissing",
                next_step="Upload the file first, then commit it.",
            )
        if operation.size is not None and operation.size != sizes[operation.sha256]:
            raise Invalid(
                f"'{operation.path[:200]}' has {sizes[operation.sha256]} bytes, not {operation.size}.", status=422
            )
    return sizes


async def _blob(path: str, content: bytes) -> Blob:
    if len(content) > MAX_INLINE_BYTES:
        raise TooLarge(
            f"'{path}' has {len(content)} bytes, more than the {MAX_INLINE_BYTES} a commit may carry itself.",
            next_step="Upload it through LFS or Xet; the public clients do so by themselves.",
        )
    check_content(path, content)
    if len(content) < _THREAD_BYTES:
        return _hashed(content)
    return await asyncio.to_thread(_hashed, content)


def check_content(path: str, content: bytes) -> None:
    """Raise Invalid unless a regular file with this content may be committed under this path."""
    if _is_safetensors(path):
        safetensors_header.check_bytes(path, content)
    if path.lower() == cards.FILE_NAME.lower() and (problem := cards.parse(content).problem):
        # A card that cannot be read would lose its license and its questions, and with them the gate.
        raise Invalid(f"The card {path} cannot be used. {problem}", status=422, next_step="Correct it and try again.")


def _hashed(content: bytes) -> Blob:
    blob = Blob.from_string(content)
    _ = blob.id  # computed here, once
    return blob


async def check_stored(path: str, sha256: str, store: Store | None) -> None:
    """Raise Invalid unless the stored content may be committed under this path."""
    if not _is_safetensors(path):
        return
    if store is None:
        raise ValueError("a safetensors file cannot be committed without the store to check it in")
    await asyncio.to_thread(_check_header, path, store, sha256)


def _check_header(path: str, store: Store, sha256: str) -> None:
    with store.open(object_key(sha256)) as file:
        safetensors_header.check_file(path, file)


async def _cover_by_attributes(
    s: AsyncSession, repo: Repo, draft: Draft, paths: set[str], made: Sequence[ShaFile]
) -> list[ShaFile]:
    """Name in `.gitattributes` those LFS files that no pattern covers, as the public Hub does."""
    if not paths:
        return []
    row = await draft.find(attributes.FILE_NAME)
    content = b""
    if row is not None:
        fresh = next((blob for blob in made if blob.id.decode() == row[1]), None)
        content = fresh.as_raw_string() if fresh else await objects.read_blob(s, repo.id, row[1])
    rules = attributes.LfsRules(content)
    bare = [path for path in sorted(paths) if not rules.matches(path) and await draft.find(path)]
    if not bare:
        return []
    blob = Blob.from_string(attributes.with_lfs_paths(content, bare))
    await draft.put(attributes.FILE_NAME, blob.id.decode())
    return [blob]


def commit_object(tree: str, parents: Sequence[str], summary: str, description: str, author: bytes) -> GitCommit:
    """A commit of now. Raises Invalid for a message that cannot be stored."""
    made = GitCommit()
    made.tree = ObjectID(tree.encode())
    made.parents = [ObjectID(parent.encode()) for parent in parents]
    made.author = made.committer = author
    made.author_time = made.commit_time = int(now().timestamp())
    made.author_timezone = made.commit_timezone = 0
    made.encoding = b"UTF-8"
    made.message = _message(summary, description)
    return made


def _message(summary: str, description: str) -> bytes:
    title = " ".join(summary.split())
    if not title:
        raise Invalid("A commit needs a summary.", next_step="Say in one line what the commit changes.")
    text = f"{title}\n\n{description.strip()}" if description.strip() else title
    try:
        message = text.encode()
    except UnicodeEncodeError:
        raise Invalid("The commit message is not valid UTF-8.", status=422, next_step="Correct it.") from None
    if b"\0" in message or len(message) > _MAX_MESSAGE:
        raise Invalid(
            f"A commit message has no NUL and at most {_MAX_MESSAGE} bytes.", status=422, next_step="Shorten it."
        )
    return message + b"\n"


def author_of(by: Principal) -> bytes:
    """Name and noreply address: a person's e-mail never enters history, where it could not be erased."""
    name = "".join(letter for letter in by.name if letter.isprintable() and letter not in "<>") or "nobody"
    return f"{name} <{name.replace(' ', '-')}@users.noreply.gatekeeper.invalid>".encode()


def _check_count(operations: Sequence[Operation]) -> None:
    if not operations:
        raise Invalid("A commit needs at least one operation.", status=422)
    if len(operations) > MAX_OPERATIONS:
        raise TooLarge(f"A commit may hold at most {MAX_OPERATIONS} operations.", next_step="Split it in several.")


def _is_safetensors(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() == ".safetensors"
