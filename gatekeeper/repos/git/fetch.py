"""Upload-pack: what is advertised, what a client may want of it, and the pack it lacks.

Nothing but what is reachable from an advertised reference can be fetched, and nothing else is ever said to be there.
Source: git's gitprotocol-pack, "Packfile Negotiation"; upload-pack.c for the acknowledgements of stateless requests.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import sqlalchemy as sa
from dulwich.objects import parse_tree
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.errors import TooLarge
from gatekeeper.repos import objects
from gatekeeper.repos.git import pack, pktline
from gatekeeper.repos.git.graph import Graph, Served, reach
from gatekeeper.repos.git.shallow import shorten
from gatekeeper.repos.git.wanted import Wanted
from gatekeeper.repos.refs import MAIN
from gatekeeper.repos.tables import GitObject, Repo

_CAPABILITIES = (
    "multi_ack_detailed side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative no-progress filter "
    "allow-reachable-sha1-in-want agent=gatekeeper object-format=sha1"
)
_FOLDER = 0o040000
_TREES_AT_ONCE = 100
_MOST_FOLDERS = 100_000
_MOST_OBJECTS = 5_000_000


def advertise_fetch(served: Served) -> bytes:
    """The answer to `info/refs?service=git-upload-pack`."""
    rows = [(tip.oid, tip.name) for tip in served.tips]
    capabilities = _CAPABILITIES
    if main := next((tip.oid for tip in served.tips if tip.name == MAIN), None):
        rows.insert(0, (main, "HEAD"))
        capabilities += f" symref=HEAD:{MAIN}"
    lines = [f"{oid} {name}" for oid, name in rows] or [f"{'0' * 40} capabilities^{{}}"]
    peeled = {tip.name: tip.commit for tip in served.tips if tip.tags}
    body = pktline.line(f"{lines[0]}\0{capabilities}\n".encode())
    for text, (_, name) in zip(lines, rows, strict=False):
        if text is not lines[0]:
            body += pktline.line(f"{text}\n".encode())
        if name in peeled:
            body += pktline.line(f"{peeled[name]} {name}^{{}}\n".encode())
    for oid in sorted(served.boundary):
        body += pktline.line(f"shallow {oid}".encode())
    return pktline.line(b"# service=git-upload-pack\n") + pktline.FLUSH + body + pktline.FLUSH


async def answer(db: Database, repo: Repo, graph: Graph, served: Served, asked: Wanted) -> AsyncIterator[bytes]:
    """The answer to a request: acknowledgements, and the pack once the client is done. Raises before it begins."""
    tags = {tag for tip in served.tips for tag in tip.tags}
    commits = {tag: tip.commit for tip in served.tips for tag in tip.tags}
    others = [oid for oid in asked.wants if oid not in served.commits and oid not in tags]
    if others:
        async with db.read() as s:
            files = await files_among(s, repo, graph, served, others)
        if missing := next((oid for oid in others if oid not in files), None):
            # Word for word the same for what is not there and for what may not be had.
            return _pieces(_error(f"not our ref {missing}"))
    starts = [commits.get(oid, oid) for oid in asked.wants if oid not in others]
    # Without `deepen`, a client's shallow history stays as short as it is.
    wanted = reach(graph, starts, within=served.commits, stop_at=asked.shallow)
    head = b""
    if asked.is_shortened:
        shortened = shorten(graph, served, asked, starts)
        if shortened is None:
            return _pieces(_error("no commits selected for shallow requests"))
        wanted, head = set(shortened.wanted), shortened.lines(asked)
    if not asked.negotiates:
        return _pieces(head)
    common = [oid for oid in asked.haves if oid in served.commits]
    known = reach(graph, common, within=served.commits, stop_at=asked.shallow)
    if not asked.is_done:
        is_ready = bool(common) and all(_meets(graph, start, known, served) for start in starts)
        return _pieces(head + _acknowledge(common, is_ready=is_ready))
    head += pktline.line(f"ACK {common[-1]}\n".encode() if common else b"NAK\n")
    async with db.read() as s:
        oids = await _missing(s, repo, graph, wanted=wanted, known=known, below_bytes=asked.below_bytes)
    named = [bytes.fromhex(oid) for oid in asked.wants if oid in tags or oid in others]
    return _stream(head, pack.pieces(db, repo.id, list(dict.fromkeys(named + oids))), bands=asked.bands)


def _acknowledge(common: Sequence[str], *, is_ready: bool) -> bytes:
    rows = [f"ACK {oid} common\n" for oid in common]
    rows += [f"ACK {common[-1]} ready\n"] if is_ready else []
    return b"".join(pktline.line(row.encode()) for row in [*rows, "NAK\n"])


def _meets(graph: Graph, start: str, known: set[str], served: Served) -> bool:
    return not known.isdisjoint(reach(graph, [start], within=served.commits))


async def files_among(s: AsyncSession, repo: Repo, graph: Graph, served: Served, oids: Sequence[str]) -> set[str]:
    """Those of `oids` that are files of a commit that may leave: what a partial clone asks for later."""
    wanted, found = set(oids), set[str]()
    seen: set[str] = set()
    for commit in served.order:
        waiting = [graph[commit].tree]
        while waiting and found != wanted and len(seen) < _MOST_FOLDERS:
            some = [oid for oid in dict.fromkeys(waiting) if oid not in seen]
            seen.update(some)
            folders = (await objects.folders(s, repo.id, some)).values() if some else ()
            waiting = [item.oid for folder in folders for item in folder if item.is_folder]
            found |= {item.oid for folder in folders for item in folder if not item.is_folder and item.oid in wanted}
        if found == wanted or len(seen) >= _MOST_FOLDERS:
            break
    return found


async def _missing(
    s: AsyncSession, repo: Repo, graph: Graph, *, wanted: set[str], known: set[str], below_bytes: int | None
) -> list[bytes]:
    """Ids of what the client lacks: commits, then folders, then files, those of `below_bytes` or more left out."""
    new = [oid for oid in graph if oid in wanted and oid not in known]
    edge = {parent for oid in new for parent in graph[oid].parents if parent in known}
    seen: set[bytes] = set()
    await _walk(s, repo, [graph[oid].tree for oid in edge], seen)
    trees, files = await _walk(s, repo, [graph[oid].tree for oid in new], seen)
    if below_bytes is not None:
        sizes = await objects.sizes(s, repo.id, [oid.hex() for oid in files]) if below_bytes else {}
        files = [oid for oid in files if below_bytes and sizes[oid.hex()] < below_bytes]
    return [*(bytes.fromhex(oid) for oid in new), *trees, *files]


async def _walk(s: AsyncSession, repo: Repo, roots: Sequence[str], seen: set[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Folders and files below `roots` that were not in `seen`; they are put there."""
    trees: list[bytes] = []
    files: list[bytes] = []
    waiting = [oid for oid in dict.fromkeys(bytes.fromhex(root) for root in roots) if oid not in seen]
    seen.update(waiting)
    while waiting:
        some, waiting = waiting[-_TREES_AT_ONCE:], waiting[:-_TREES_AT_ONCE]
        trees += some
        query = sa.select(col(GitObject.content)).where(
            col(GitObject.repo_id) == repo.id, col(GitObject.object_id).in_([oid.hex() for oid in some])
        )
        contents = (await s.scalars(query)).all()
        if len(contents) != len(some):
            raise LookupError(f"repository {repo.id} lacks trees below a commit it has")
        for mode, oid in await asyncio.to_thread(_rows, contents):
            if oid not in seen:
                seen.add(oid)
                (waiting if mode == _FOLDER else files).append(oid)
        if len(seen) > _MOST_OBJECTS:
            raise TooLarge("This history is too long to be fetched at once.", next_step="Fetch with --depth 1.")
    return trees, files


def _rows(contents: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Mode and id of everything in these folders, each once."""
    rows = ((mode, bytes.fromhex(oid.decode())) for content in contents for _, mode, oid in parse_tree(content, 20))
    return list(dict.fromkeys(rows))


def _error(text: str) -> bytes:
    return pktline.line(f"ERR upload-pack: {text}\n".encode())


async def _stream(head: bytes, pieces: AsyncIterator[bytes], *, bands: bool) -> AsyncIterator[bytes]:
    yield head
    async for piece in pieces:
        yield pktline.band(1, piece) if bands else piece
    if bands:
        yield pktline.FLUSH


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
