"""Checking the log: every leaf, every subtree, every checkpoint; or its newest end, in a moment."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Conflict
from gatekeeper.kit.merkle import Frontier, Node, leaf_hash
from gatekeeper.kit.note import Checkpoint, open_note
from gatekeeper.ledger.leaf import LEAF_COLUMNS, leaf_bytes
from gatekeeper.ledger.tables import LedgerCheckpoint, LedgerEvent, LedgerNode
from gatekeeper.ledger.tree import load_frontier

_BATCH = 2000
_MOST_FAULTS = 100


@dataclass
class Report:
    """What was found. `faults` says what is wrong and where, at most a hundred of them; `first` where it was begun."""

    first: int = 0
    size: int = 0
    root: bytes = b""
    checkpoints: int = 0
    pending: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def fault(self, text: str) -> None:
        """Note a fault, unless there are enough to see that much is wrong."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(text)


async def verify(session: AsyncSession, public: bytes, *, kept: Sequence[str] = ()) -> Report:
    """Recompute the tree from the events and compare it with everything that was stored and signed.

    public  the 32-byte public key of the checkpoints
    kept    checkpoints that were kept elsewhere (signed notes): only they reveal that the newest events and
            checkpoints were cut off together
    """
    report = Report()
    due = await _checkpoints(session, public, kept, report)
    frontier = Frontier()
    expected_nodes = 0
    _compare_roots(due.pop(0, []), frontier, report)
    async for batch in _sealed(session):
        nodes: dict[Node, str] = {}
        start = frontier.size
        for event in batch:
            if not _is_next(event, frontier, report):
                return await _finish(session, report, frontier)
            leaf = _checked_leaf(event, report)
            nodes |= {node: hashed.hex() for node, hashed in frontier.append(leaf)}
            _compare_roots(due.pop(frontier.size, []), frontier, report)
        expected_nodes += len(nodes)
        await _compare_nodes(session, nodes, start, frontier.size, report)
    stored_nodes = await session.scalar(sa.select(sa.func.count()).select_from(LedgerNode)) or 0
    if stored_nodes > expected_nodes:
        report.fault(f"{stored_nodes - expected_nodes} stored subtrees belong to no event")
    for size in sorted(due):
        report.fault(f"a checkpoint covers {size} events, but there are only {frontier.size}: the end was cut off")
    return await _finish(session, report, frontier)


async def verify_newest(session: AsyncSession, public: bytes, *, most: int) -> Report:
    """Recompute the newest `most` events, and with the stored subtrees before them the root of the newest checkpoint.

    `report.first` is the first of them. That the events before it still have their hashes, `verify` says.
    """
    report = Report()
    newest = await session.scalar(sa.select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1))
    if newest is None:
        return report
    try:
        signed = Checkpoint.parse(open_note(newest.note, public))
        report.first = max(0, signed.size - most)
        frontier = await load_frontier(session, report.first)
    except (ValueError, Conflict) as error:
        report.fault(f"the checkpoint at {newest.size} cannot be checked: {error}")
        return report
    query = sa.select(*LEAF_COLUMNS, col(LedgerEvent.leaf_sha256)).where(col(LedgerEvent.number) >= report.first)
    for event in await session.execute(query.order_by(col(LedgerEvent.number)).limit(most)):
        if not _is_next(event, frontier, report):
            return report
        frontier.append(_checked_leaf(event, report))
    report.size, report.root = frontier.size, frontier.root
    if (report.size, report.root) != (signed.size, signed.root):
        report.fault(
            f"what is stored does not lead to the checkpoint at {newest.size}: events were changed or replaced"
        )
    return report


def _is_next(event: sa.Row[Any], frontier: Frontier, report: Report) -> bool:
    if event.number == frontier.size:
        return True
    report.fault(f"number {frontier.size} is missing: the next event is number {event.number}")
    return False


def _checked_leaf(event: sa.Row[Any], report: Report) -> bytes:
    leaf = leaf_hash(leaf_bytes(event, number=event.number))
    if event.leaf_sha256 != leaf.hex():
        report.fault(f"event {event.number} ({event.id}) was changed: its bytes no longer have the sealed hash")
    return leaf


async def _finish(session: AsyncSession, report: Report, frontier: Frontier) -> Report:
    report.size, report.root = frontier.size, frontier.root
    pending = sa.select(sa.func.count()).where(col(LedgerEvent.number).is_(None))
    report.pending = await session.scalar(pending) or 0
    newest = await session.scalar(sa.select(sa.func.max(col(LedgerCheckpoint.size)))) or 0
    if newest < report.size:
        report.fault(f"events from {newest} on are under no signed checkpoint")
    return report


async def _checkpoints(
    session: AsyncSession, public: bytes, kept: Sequence[str], report: Report
) -> dict[int, list[tuple[str, bytes]]]:
    """The signed roots to compare, by size; those whose signature or row is wrong are faults and left out."""
    due: dict[int, list[tuple[str, bytes]]] = {}
    rows = await session.execute(
        sa.select(col(LedgerCheckpoint.size), col(LedgerCheckpoint.root_sha256), col(LedgerCheckpoint.note)).order_by(
            col(LedgerCheckpoint.size)
        )
    )
    named: list[tuple[str, int | None, str | None, str]] = [
        (f"the checkpoint at {size}", size, root, note) for size, root, note in rows
    ]
    report.checkpoints = len(named)
    named += [(f"kept checkpoint {number}", None, None, note) for number, note in enumerate(kept, 1)]
    for name, size, root, note in named:
        try:
            checkpoint = Checkpoint.parse(open_note(note, public))
        except ValueError as error:
            report.fault(f"{name} cannot be trusted: {error}")
            continue
        if size is not None and (checkpoint.size, checkpoint.root.hex()) != (size, root):
            report.fault(f"{name} says something else than the note that was signed")
        due.setdefault(checkpoint.size, []).append((name, checkpoint.root))
    return due


def _compare_roots(due: list[tuple[str, bytes]], frontier: Frontier, report: Report) -> None:
    for name, root in due:
        if root != frontier.root:
            report.fault(f"{name} has another root: events before number {frontier.size} were changed or replaced")


async def _compare_nodes(session: AsyncSession, nodes: dict[Node, str], start: int, end: int, report: Report) -> None:
    """Compare the subtrees that were completed by the leaves `start` to `end` with the stored ones."""
    stored: dict[Node, str] = {}
    for level in {level for level, _ in nodes}:
        rows = await session.execute(
            sa.select(col(LedgerNode.position), col(LedgerNode.sha256)).where(
                col(LedgerNode.level) == level,
                col(LedgerNode.position) >= start >> level,
                col(LedgerNode.position) < end >> level,
            )
        )
        stored |= {(level, position): hashed for position, hashed in rows}
    for (level, position), hashed in sorted(nodes.items()):
        if (found := stored.get((level, position))) != hashed:
            report.fault(
                f"the stored subtree {level}/{position} is {'missing' if found is None else 'not the computed one'}"
            )


async def _sealed(session: AsyncSession) -> AsyncIterator[Sequence[sa.Row[Any]]]:
    """Sealed events in batches, by number, read without the ORM."""
    after = -1
    while True:
        query = (
            sa.select(*LEAF_COLUMNS, col(LedgerEvent.leaf_sha256))
            .where(col(LedgerEvent.number) > after)
            .order_by(col(LedgerEvent.number))
            .limit(_BATCH)
        )
        batch = (await session.execute(query)).all()
        if not batch:
            return
        yield batch
        after = batch[-1].number
