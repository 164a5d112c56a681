"""The stored tree: complete subtrees in rows, everything else computed by kit.merkle."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Conflict
from gatekeeper.kit.merkle import Frontier, Lookup, Node, proof_of, subtrees
from gatekeeper.ledger.tables import LedgerEvent, LedgerNode


async def sealed_size(session: AsyncSession) -> int:
    """How many events are in the tree: numbers have no gaps and begin at 0."""
    last = await session.scalar(sa.select(sa.func.max(col(LedgerEvent.number))))
    return 0 if last is None else last + 1


async def load_frontier(session: AsyncSession, size: int) -> Frontier:
    """The right edge of the tree of `size` leaves."""
    return Frontier.load(size, await load_nodes(session, subtrees(0, size)))


async def load_proof(session: AsyncSession, parts: Sequence[Sequence[Node]]) -> list[bytes]:
    """The proof made of `parts` (see kit.merkle)."""
    return proof_of(parts, await load_nodes(session, [node for part in parts for node in part]))


async def load_nodes(session: AsyncSession, nodes: Iterable[Node]) -> Lookup:
    """Read some subtrees; a missing one raises Conflict when it is looked up, never a wrong proof."""
    wanted = list(nodes)
    rows = await session.execute(
        sa.select(col(LedgerNode.level), col(LedgerNode.position), col(LedgerNode.sha256)).where(
            sa.or_(
                sa.false(),
                *(sa.and_(col(LedgerNode.level) == level, col(LedgerNode.position) == at) for level, at in wanted),
            )
        )
    )
    found = {(level, position): bytes.fromhex(hexed) for level, position, hexed in rows}

    def lookup(node: Node) -> bytes:
        if node not in found:
            raise Conflict(
                f"The ledger lacks the subtree {node[0]}/{node[1]}.", next_step="Run `gatekeeper ledger verify`."
            )
        return found[node]

    return lookup
