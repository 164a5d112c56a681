"""Upload-pack: what is advertised, what a client may want of it, and the pack it lacks.

Nothing but what is reachable from an advertised reference can be fetched, and nothing else is ever said to be there.
Source: git's gitprotocol-pack, "Packfile Negotiation"; upload-pack.c for the acknowledgements of stateless requests.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import IO

import sqlalchemy as sa
from dulwich.objects import parse_tree
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos.git import pack, pktline
from gatekeeper.repos.git.graph import Graph, Served, depths, reach
from gatekeeper.repos.paths import is_oid
from gatekeeper.repos.refs import MAIN
from gatekeeper.repos.tables import GitObject, Repo

_CAPABILITIES = "multi_ack_detailed side-band-64k ofs-delta shallow no-progress agent=gatekeeper object-format=sha1"
_FOLDER = 0o040000
_TREES_AT_ONCE = 100
_MOST_LINES = 100_000
_MOST_OBJECTS = 5_000_000
_ENDLESS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A client's request.

    depth        0 where it asks for all history
    negotiates   False where it ends after what is wanted, to learn the shallow commits alone
    is_done      it waits for the pack
    bands        the pack is to come on a side band
    """

    wants: tuple[str, ...]
    haves: tuple[str, ...]
    shallow: frozenset[str]
    depth: int
    negotiates: bool
    is_done: bool
    bands: bool


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


def read_wanted(file: IO[bytes]) -> Wanted:
    """A client's request. Raises Invalid."""
    wants: list[str] = []
    haves: list[str] = []
    shallow: set[str] = set()
    depth, is_done, bands = 0, False, False
    while (row := pktline.read(file)) is not None:
        word, _, rest = row.decode("ascii", "replace").partition(" ")
        match word:
            case "want":
                oid, _, capabilities = rest.partition(" ")
                wants.append(_oid(oid))
                bands = bands or "side-band-64k" in capabilities.split()
            case "shallow":
                shallow.add(_oid(rest))
            case "deepen" if rest.isdigit() and 0 < int(rest[:11]) <= _ENDLESS:
                depth = int(rest)
            case _:
                raise Invalid(f"The request {word[:20]!r} is not offered here.", next_step="Use an up-to-date git.")
        if len(wants) + len(shallow) > _MOST_LINES:
            raise TooLarge("The request names too many commits.")
    negotiates = _has_more(file)
    while negotiates and len(haves) <= _MOST_LINES:
        row = pktline.read(file)
        if row is None:
            if not _has_more(file):
                break
        elif row == b"done":
            is_done = True
            break
        elif row.startswith(b"have "):
            haves.append(_oid(row[5:].decode("ascii", "replace")))
    return Wanted(tuple(dict.fromkeys(wants)), tuple(haves), frozenset(shallow), depth, negotiates, is_done, bands)


async def answer(db: Database, repo: Repo, graph: Graph, served: Served, asked: Wanted) -> AsyncIterator[bytes]:
    """The answer to a request: acknowledgements, and the pack once the client is done. Raises before it begins."""
    tags = {tag for tip in served.tips for tag in tip.tags}
    commits = {tag: tip.commit for tip in served.tips for tag in tip.tags}
    for oid in asked.wants:
        if oid not in served.commits and oid not in tags:
            # Word for word the same for what is not there and for what may not be had.
            return _pieces(pktline.line(f"ERR upload-pack: not our ref {oid}\n".encode()))
    starts = [commits.get(oid, oid) for oid in asked.wants]
    # Without `deepen`, a client's shallow history stays as short as it is.
    wanted = reach(graph, starts, within=served.commits, stop_at=asked.shallow)
    head = b""
    if asked.depth:
        reached = depths(graph, starts, asked.depth, within=served.commits)
        wanted = set(reached)
        cut = {oid for oid in wanted if graph[oid].parents and (reached[oid] == asked.depth or oid in served.boundary)}
        opened = (asked.shallow & wanted) - cut
        head += b"".join(pktline.line(f"shallow {oid}".encode()) for oid in sorted(cut - asked.shallow))
        head += b"".join(pktline.line(f"unshallow {oid}".encode()) for oid in sorted(opened))
        head += pktline.FLUSH
    if not asked.negotiates:
        return _pieces(head)
    common = [oid for oid in asked.haves if oid in served.commits]
    known = reach(graph, common, within=served.commits, stop_at=asked.shallow)
    if not asked.is_done:
        is_ready = bool(common) and all(_meets(graph, start, known, served) for start in starts)
        return _pieces(head + _acknowledge(common, is_ready=is_ready))
    head += pktline.line(f"ACK {common[-1]}\n".encode() if common else b"NAK\n")
    async with db.read() as s:
        oids = await _missing(s, repo, graph, wanted=wanted, known=known)
    oids = [bytes.fromhex(oid) for oid in asked.wants if oid in tags] + oids
    return _stream(head, pack.pieces(db, repo.id, oids), bands=asked.bands)


def _acknowledge(common: Sequence[str], *, is_ready: bool) -> bytes:
    rows = [f"ACK {oid} common\n" for oid in common]
    rows += [f"ACK {common[-1]} ready\n"] if is_ready else []
    return b"".join(pktline.line(row.encode()) for row in [*rows, "NAK\n"])


def _meets(graph: Graph, start: str, known: set[str], served: Served) -> bool:
    return not known.isdisjoint(reach(graph, [start], within=served.commits))


async def _missing(s: AsyncSession, repo: Repo, graph: Graph, *, wanted: set[str], known: set[str]) -> list[bytes]:
    """Ids of what the client lacks: commits, then folders, then files."""
    new = [oid for oid in graph if oid in wanted and oid not in known]
    edge = {parent for oid in new for parent in graph[oid].parents if parent in known}
    seen: set[bytes] = set()
    await _walk(s, repo, [graph[oid].tree for oid in edge], seen)
    trees, files = await _walk(s, repo, [graph[oid].tree for oid in new], seen)
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


async def _stream(head: bytes, pieces: AsyncIterator[bytes], *, bands: bool) -> AsyncIterator[bytes]:
    yield head
    async for piece in pieces:
        yield pktline.band(1, piece) if bands else piece
    if bands:
        yield pktline.FLUSH


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _has_more(file: IO[bytes]) -> bool:
    if not file.read(1):
        return False
    file.seek(-1, 1)
    return True


def _oid(text: str) -> str:
    if not is_oid(text):
        raise Invalid("The request names something that is no commit id.", next_step="Use git to talk to this address.")
    return text
