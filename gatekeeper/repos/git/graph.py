"""A repository's commits as a graph, and the part of it that may leave.

INVARIANT: every commit in the database was checked with all it refers to before it was written, so what is reachable
from a commit of the database is there. Parents alone may be missing: where an upstream keeps history back, that of its
mirror ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos import objects, refs
from gatekeeper.repos.tables import GitObject, Repo

_MAX_TAG_DEPTH = 5
SHOWN = ("refs/heads/", "refs/tags/", "refs/pr/")


@dataclass(frozen=True, slots=True)
class Node:
    """A commit: its tree, its parents, and the Unix time that its committer's clock showed."""

    tree: str
    parents: tuple[str, ...]
    committed_at: int


Graph = Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Tip:
    """A reference: what it points at, the commit behind that, and the tag objects on the way."""

    name: str
    oid: str
    commit: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """What one caller may fetch: references, the commits behind them, and where history is cut off for them.

    order  the same commits, fewest steps behind a reference first
    """

    tips: tuple[Tip, ...]
    order: tuple[str, ...]
    commits: frozenset[str]
    boundary: frozenset[str]


async def load_graph(s: AsyncSession, repo: Repo) -> dict[str, Node]:
    """Every commit of the repository, reachable or not."""
    query = sa.select(col(GitObject.object_id), col(GitObject.content)).where(
        col(GitObject.repo_id) == repo.id, col(GitObject.kind) == "commit"
    )
    return {oid: parse(content) for oid, content in await s.execute(query)}


def parse(content: bytes) -> Node:
    """A commit as a node; the header lines come first and in this order in every commit."""
    lines = content.split(b"\n\n", 1)[0].split(b"\n")
    parents = [line[7:].decode("ascii", "replace") for line in lines[1:] if line.startswith(b"parent ")]
    committer = next((line for line in lines[1:] if line.startswith(b"committer ")), b"")
    _, _, clock = committer.rpartition(b"> ")
    at = clock.split(b" ", 1)[0]
    return Node(
        lines[0].removeprefix(b"tree ").decode("ascii", "replace"),
        tuple(parents),
        int(at) if at.isdigit() and len(at) < 12 else 0,
    )


async def tips(s: AsyncSession, repo: Repo) -> list[Tip]:
    """Branches, tags and pull requests, by name, with what they lead to."""
    found = []
    for ref in await refs.listing(s, repo):
        if ref.name.startswith(SHOWN):
            *tags, commit = await _peel(s, repo, ref.object_id)
            found.append(Tip(ref.name, ref.object_id, commit, tuple(tags)))
    return found


async def _peel(s: AsyncSession, repo: Repo, oid: str) -> list[str]:
    way = [oid]
    for _ in range(_MAX_TAG_DEPTH):
        content = await objects.read(s, repo.id, way[-1], "tag")
        if content is None:
            break
        way.append(content.split(b"\n", 1)[0].removeprefix(b"object ").decode("ascii", "replace"))
    return way


def cut(graph: Graph, wanted: Sequence[Tip], allowed: frozenset[str] | None) -> Served:
    """What may leave of `wanted`: references to allowed commits, and history back to the first that is not.

    allowed   commits that may leave; None for all

    Where a parent may not leave, the commit is a boundary: clients get a shallow history that ends there.
    """
    shown = tuple(tip for tip in wanted if tip.commit in graph and (allowed is None or tip.commit in allowed))
    within = frozenset(graph) if allowed is None else allowed & graph.keys()
    order = tuple(depths(graph, [tip.commit for tip in shown], len(graph), within=within))
    commits = frozenset(order)
    boundary = frozenset(oid for oid in order if any(parent not in commits for parent in graph[oid].parents))
    return Served(shown, order, commits, boundary)


def reach(
    graph: Graph,
    starts: Iterable[str],
    *,
    within: frozenset[str] | None = None,
    stop_at: frozenset[str] = frozenset(),
) -> set[str]:
    """`starts` and what lies behind them, inside `within`; nothing behind the commits `stop_at`."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        oid = waiting.pop()
        if oid in found or oid not in graph or (within is not None and oid not in within):
            continue
        found.add(oid)
        if oid not in stop_at:
            waiting.extend(graph[oid].parents)
    return found


def depths(graph: Graph, starts: Iterable[str], limit: int, *, within: frozenset[str]) -> dict[str, int]:
    """Commits at most `limit` steps deep, 1 for the starts, by their depth."""
    found: dict[str, int] = {}
    level = [oid for oid in dict.fromkeys(starts) if oid in within]
    depth = 1
    while level and depth <= limit:
        found.update((oid, depth) for oid in level)
        parents = (parent for oid in level for parent in graph[oid].parents)
        level = [oid for oid in dict.fromkeys(parents) if oid in within and oid not in found]
        depth += 1
    return found
