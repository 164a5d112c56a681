"""Where the history that a client asks for ends. Source: git's gitprotocol-pack and upload-pack.c, `deepen`."""

from collections.abc import Sequence
from dataclasses import dataclass

from gatekeeper.repos.git import pktline
from gatekeeper.repos.git.graph import Graph, Served, depths, reach
from gatekeeper.repos.git.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Shortened:
    """Commits that are wanted, those of them at which history ends, and those at which it ended and no longer does."""

    wanted: frozenset[str]
    cut: frozenset[str]
    opened: frozenset[str]

    def lines(self, asked: Wanted) -> bytes:
        """What the client is told of it."""
        rows = [f"shallow {oid}" for oid in sorted(self.cut - asked.shallow)]
        rows += [f"unshallow {oid}" for oid in sorted(self.opened)]
        return b"".join(pktline.line(row.encode()) for row in rows) + pktline.FLUSH


def shorten(graph: Graph, served: Served, asked: Wanted, starts: Sequence[str]) -> Shortened | None:
    """The history behind `starts` as far as `asked` wants it; None where no commit is left, or a name leads nowhere."""
    if not asked.depth:
        return _selected(graph, served, asked, starts)
    begins, limit = list(starts), asked.depth
    if asked.is_relative:
        behind = reach(graph, starts, within=served.commits, stop_at=asked.shallow)
        begins, limit = sorted(asked.shallow & behind), asked.depth + 1
    reached = depths(graph, begins, limit, within=served.commits)
    cut = frozenset(
        oid for oid, depth in reached.items() if graph[oid].parents and (depth == limit or oid in served.boundary)
    )
    opened = (asked.shallow & reached.keys()) - cut
    if asked.is_relative:
        wanted = reach(graph, starts, within=served.commits, stop_at=(asked.shallow - opened) | cut)
        return Shortened(frozenset(wanted), cut, opened)
    return Shortened(frozenset(reached), cut, opened)


def _selected(graph: Graph, served: Served, asked: Wanted, starts: Sequence[str]) -> Shortened | None:
    tips = {tip.name: tip.commit for tip in served.tips}
    ends: list[str] = []
    for name in asked.excluded:
        found = [tips[full] for full in (name, f"refs/tags/{name}", f"refs/heads/{name}") if full in tips]
        if not found:
            return None
        ends.append(found[0])
    left_out = reach(graph, ends, within=served.commits)
    since = asked.since or 0
    within = frozenset(oid for oid in served.commits if oid not in left_out and graph[oid].committed_at >= since)
    wanted = frozenset(reach(graph, starts, within=within))
    if not wanted:
        return None
    cut = frozenset(oid for oid in wanted if any(parent not in wanted for parent in graph[oid].parents))
    return Shortened(wanted, cut, (asked.shallow & wanted) - cut)
