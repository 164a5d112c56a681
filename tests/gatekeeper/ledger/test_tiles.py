"""The log as tiles: whoever has only those rebuilds the signed root."""

import pytest

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.errors import NotFound
from gatekeeper.kit.merkle import Frontier, leaf_hash, node_hash
from gatekeeper.kit.note import Checkpoint, open_note
from gatekeeper.ledger.tiles import Piece, entry_bundle, hash_tile
from tests.gatekeeper.ledger.logs import KEY, grow, head

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "index", "width"),
    [("000", 0, 256), ("x001/x234/067", 1234067, 256), ("999.p/7", 999, 7), ("x001/000.p/255", 1000, 255)],
)
def test_a_piece_is_written_as_the_standard_says(path: str, index: int, width: int) -> None:
    assert Piece.parse(path) == Piece(index, width)
    assert Piece(index, width).path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0000",
        "x000/001",
        "001/002",
        "x001",
        "000.p/0",
        "000.p/256",
        "000.p/007",
        "000.p/",
        "٠٠٠",
        "x001/" * 30,
    ],
)
def test_other_ways_of_writing_it_are_no_piece(path: str) -> None:
    with pytest.raises(NotFound):
        Piece.parse(path)


async def test_tiles_and_entries_lead_to_the_signed_root(database: Database) -> None:
    await grow(database, 600)
    signed = Checkpoint.parse(open_note(await head(database), KEY.public))
    frontier = Frontier()
    async with database.read() as session:
        lowest = b"".join(
            [await hash_tile(session, "0", piece) for piece in (Piece(0, 256), Piece(1, 256), Piece(2, 88))]
        )
        above = await hash_tile(session, "1", Piece(0, 2))
        bundle = await entry_bundle(session, Piece(2, 88))
    for at in range(0, len(lowest), 32):
        frontier.append(lowest[at : at + 32])
    assert (frontier.size, frontier.root) == (signed.size, signed.root)
    level = [lowest[at : at + 32] for at in range(0, 256 * 32, 32)]
    while len(level) > 1:
        level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    assert above[:32] == level[0]
    entries = []
    while bundle:
        length = int.from_bytes(bundle[:2])
        entries.append(leaf_hash(bundle[2 : 2 + length]))
        bundle = bundle[2 + length :]
    assert b"".join(entries) == lowest[512 * 32 :]


async def test_what_no_checkpoint_covers_is_not_given(database: Database) -> None:
    await grow(database, 3)
    async with database.write() as session:
        await ledger.record(session, "tests:thing:do")
    async with database.read() as session:
        for level, piece in (
            ("0", Piece(0, 4)),
            ("0", Piece(1, 1)),
            ("1", Piece(0, 1)),
            ("64", Piece(0, 1)),
            ("00", Piece(0, 1)),
        ):
            with pytest.raises(NotFound):
                await hash_tile(session, level, piece)
        with pytest.raises(NotFound):
            await entry_bundle(session, Piece(0, 4))
        assert len(await hash_tile(session, "0", Piece(0, 2))) == 64
