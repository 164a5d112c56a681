"""What a push must pass before anything of it is written: the same rules as for a commit by API, for every new commit.

Each new commit is compared with its parents folder by folder. What lies at the same path in a parent passed these
checks when that parent came; all else is looked at here, so nothing reaches the database unseen. Objects of the pack
that no new commit needs are not written.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import commits, objects, refs
from gatekeeper.repos.git import graph
from gatekeeper.repos.git.forms import Rows, check_commit, check_tag, check_tree, parse_rows
from gatekeeper.repos.git.pushed import Push
from gatekeeper.repos.git.unpack import Unpacked
from gatekeeper.repos.objects import FOLDER_MODE
from gatekeeper.repos.operations import AddLfs
from gatekeeper.repos.paths import check_path, check_short_ref
from gatekeeper.repos.storage import Store
from gatekeeper.repos.tables import GitObject, Repo
from gatekeeper.repos.uploads import MAX_REGULAR_BYTES

MAX_COMMITS = 1_000
_MAX_ROWS = 500_000
_MAX_TAG_DEPTH = 5
_PULL = re.compile(r"refs/pr/[1-9][0-9]{0,8}")
_FILE_MODES = (0o100644, 0o100755)


@dataclass(frozen=True, slots=True)
class Checked:
    """A push that may be applied.

    commits  the new ones, parents first
    parents  first parent of each of them
    objects  ids of what is to be written
    lfs      the stored files that are referred to
    """

    commits: tuple[str, ...]
    parents: Mapping[str, str | None]
    objects: tuple[str, ...]
    lfs: tuple[AddLfs, ...]


@dataclass(slots=True)
class _Found:
    """Files to look at, as (path, blob id), and ids of new objects."""

    files: dict[tuple[str, str], None] = field(default_factory=dict)
    objects: dict[str, None] = field(default_factory=dict)
    rows: int = 0


async def check(
    s: AsyncSession,
    repo: Repo,
    push: Push,
    *,
    store: Store,
    most_commits: int = MAX_COMMITS,
    most_rows: int = _MAX_ROWS,
    may_make_pulls: bool = False,
) -> Checked:
    """Look at everything the push brings. Raises Invalid and TooLarge that name the file and what to do.

    most_commits    new commits that are looked at
    most_rows       rows of folders that are looked at; an operator who brings a whole history raises both
    may_make_pulls  bring what is proposed elsewhere; else a pull request is added to, never made
    """
    _check_refs(push, may_make_pulls=may_make_pulls)
    pack = push.unpacked
    known = await _kinds(s, repo, pack.objects)
    found = _Found()
    heads = []
    for command in push.commands:
        if command.new is not None:
            heads.append(await _peel(s, repo, command.new, command.ref, pack, found))
    nodes = await _new_commits(s, repo, heads, push, known, most=most_commits)
    trees: dict[str, Rows] = {}
    for oid, node in nodes.items():
        found.objects[oid] = None
        parents = () if oid in push.shallow else node.parents
        bases = [nodes[parent].tree if parent in nodes else await _tree_of(s, repo, parent) for parent in parents]
        await _walk(s, repo, node.tree, bases, pack, trees, found, most=most_rows)
    lfs = await _check_files(s, repo, pack, found, store=store)
    return Checked(
        commits=tuple(nodes),
        parents={oid: next(iter(node.parents), None) for oid, node in nodes.items()},
        objects=tuple(oid for oid in found.objects if oid in pack.objects and oid not in known),
        lfs=tuple(lfs),
    )


def _check_refs(push: Push, *, may_make_pulls: bool) -> None:
    """Raise Invalid unless every command concerns a reference with a name that may be, and leaves main there.

    A pull request is never removed.
    """
    for command in push.commands:
        if command.ref.startswith("refs/heads/"):
            check_short_ref(command.ref.removeprefix("refs/heads/"))
        elif command.ref.startswith("refs/tags/"):
            check_short_ref(command.ref.removeprefix("refs/tags/"), what="tag")
        elif not (_PULL.fullmatch(command.ref) and (command.old or may_make_pulls) and command.new):
            raise Invalid(
                f"{command.ref[:80]} is neither a branch, a tag, nor a pull request that is there.",
                next_step="Push to refs/heads/, refs/tags/ or the refs/pr/ of an open pull request.",
            )
        if command.ref == refs.MAIN and command.new is None:
            raise Invalid("Cannot delete refs/heads/main", next_step="Delete the repository if you no longer want it.")


async def _peel(s: AsyncSession, repo: Repo, oid: str, ref: str, pack: Unpacked, found: _Found) -> str:
    """The commit that a reference is to lead to, through annotated tags where it is a tag."""
    for _ in range(_MAX_TAG_DEPTH):
        packed = pack.objects.get(oid)
        kind = packed.kind if packed else (await _kinds(s, repo, [oid])).get(oid)
        if kind == "commit":
            return oid
        if kind != "tag" or not ref.startswith("refs/tags/"):
            break
        content = pack.read(oid) if packed else await objects.read(s, repo.id, oid, "tag") or b""
        if packed:
            check_tag(content)
            found.objects[oid] = None
        oid = content.split(b"\n", 1)[0].removeprefix(b"object ").decode("ascii", "replace")
    raise Invalid(f"{ref[:80]} would not lead to a commit that was sent or is here.", next_step="Push a commit.")


async def _new_commits(
    s: AsyncSession, repo: Repo, heads: Sequence[str], push: Push, known: Mapping[str, str], *, most: int
) -> dict[str, graph.Node]:
    """The commits that are not here yet, parents first."""
    pack = push.unpacked
    nodes: dict[str, graph.Node] = {}
    ordered: dict[str, graph.Node] = {}
    outside: set[str] = set()
    waiting = [(oid, False) for oid in heads]
    while waiting:
        oid, is_left = waiting.pop()
        if is_left:
            ordered[oid] = nodes[oid]
        elif oid in known or oid in nodes:
            continue
        elif oid not in pack.objects or pack.objects[oid].kind != "commit":
            outside.add(oid)
        else:
            nodes[oid] = check_commit(oid, pack)
            if len(nodes) > most:
                raise TooLarge(f"A push brings at most {most:,} new commits.", next_step="Push older commits first.")
            waiting.append((oid, True))
            if oid not in push.shallow:
                waiting.extend((parent, False) for parent in nodes[oid].parents)
    present = await _kinds(s, repo, outside)
    if any(present.get(oid) != "commit" for oid in outside):
        raise Invalid("The push leans on commits that are not here.", next_step="Run git fetch --unshallow, then push.")
    return ordered


async def _walk(
    s: AsyncSession,
    repo: Repo,
    tree: str,
    bases: Sequence[str],
    pack: Unpacked,
    trees: dict[str, Rows],
    found: _Found,
    *,
    most: int,
) -> None:
    if tree in bases:
        return
    waiting = [("", tree, list(bases))]
    while waiting:
        prefix, oid, below = waiting.pop()
        found.objects[oid] = None
        rows = await _rows(s, repo, oid, pack, trees)
        before = [await _rows(s, repo, base, pack, trees) for base in below]
        found.rows += len(rows) + sum(len(some) for some in before)
        if found.rows > most:
            raise TooLarge("The push changes too many files at once.", next_step="Push fewer commits at once.")
        for name, row in rows.items():
            if any(some.get(name) == row for some in before):
                continue
            mode, child = row
            path = f"{prefix}{name}"
            check_path(path)
            if mode == FOLDER_MODE:
                waiting.append((f"{path}/", child, [some[name][1] for some in before if _is_folder(some, name)]))
            elif mode in _FILE_MODES:
                found.objects[child] = None
                found.files[path, child] = None
            else:
                what = "a link" if mode == 0o120000 else "a submodule" if mode == 0o160000 else "not a plain file"
                raise Invalid(
                    f"'{path[:200]}' is {what}, which is not kept here.", next_step="Remove it and push again."
                )


async def _rows(s: AsyncSession, repo: Repo, oid: str, pack: Unpacked, trees: dict[str, Rows]) -> Rows:
    if (cached := trees.get(oid)) is not None:
        return cached
    packed = pack.objects.get(oid)
    if packed is not None and packed.kind == "tree":
        rows = await asyncio.to_thread(lambda: check_tree(pack.read(oid)))
    elif packed is None and (content := await objects.read(s, repo.id, oid, "tree")) is not None:
        rows = parse_rows(content)
    elif oid == objects.EMPTY_TREE:
        rows = {}
    else:
        raise _incomplete()
    if len(trees) > 2_000:
        trees.clear()
    trees[oid] = rows
    return rows


async def _check_files(s: AsyncSession, repo: Repo, pack: Unpacked, found: _Found, *, store: Store) -> list[AddLfs]:
    """Look into every file; returns those that lie in the store."""
    here = await objects.measures(s, {(repo.id, oid) for _, oid in found.files if oid not in pack.objects})
    lfs = await asyncio.to_thread(_look_into, pack, list(found.files))
    for path, oid in found.files:
        if oid in pack.objects:
            continue
        if (repo.id, oid) not in here:
            raise _incomplete()
        pointer = here[repo.id, oid][1]
        if pointer is not None:
            lfs.append(AddLfs(path, pointer.sha256, pointer.size))
        else:
            commits.check_content(path, await objects.read_blob(s, repo.id, oid))
    await commits.possessed(s, repo, lfs)
    for added in lfs:
        await commits.check_stored(added.path, added.sha256, store)
    return lfs


def _look_into(pack: Unpacked, files: Iterable[tuple[str, str]]) -> list[AddLfs]:
    """Check the regular files that came in the pack; returns those that are pointers. Blocking."""
    lfs: list[AddLfs] = []
    for path, oid in files:
        packed = pack.objects.get(oid)
        if packed is None:
            continue
        if packed.kind != "blob":
            raise _incomplete()
        if packed.size > MAX_REGULAR_BYTES:
            raise TooLarge(
                f"'{path[:200]}' has {packed.size:,} bytes; above {MAX_REGULAR_BYTES:,} a file must be in Git LFS.",
                next_step=f'Run git lfs migrate import --include="{path[:200]}", then push again.',
            )
        content = pack.read(oid)
        if pointer := objects.parse_pointer(content):
            lfs.append(AddLfs(path, pointer.sha256, pointer.size))
        else:
            commits.check_content(path, content)
    return lfs


async def _tree_of(s: AsyncSession, repo: Repo, commit: str) -> str:
    content = await objects.read(s, repo.id, commit, "commit")
    if content is None:
        raise _incomplete()
    return graph.parse(content).tree


async def _kinds(s: AsyncSession, repo: Repo, oids: Iterable[str]) -> dict[str, str]:
    """Kind of those of `oids` that the database holds. Asked of the database itself, never of a cache."""
    wanted = sorted(set(oids))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), 500):
        query = sa.select(col(GitObject.object_id), col(GitObject.kind)).where(
            col(GitObject.repo_id) == repo.id, col(GitObject.object_id).in_(wanted[start : start + 500])
        )
        found.update((oid, kind) for oid, kind in await s.execute(query))
    return found


def _is_folder(rows: Rows, name: str) -> bool:
    return name in rows and rows[name][0] == FOLDER_MODE


def _incomplete() -> Invalid:
    return Invalid("The push leaves out objects that it needs.", next_step="Run git fsck, then push again.")
