"""Shards: what a client says about the files it uploaded. Parsed within bounds; nothing in it is believed here.

48-byte records, little-endian. Only the file section is read: the shard's own description of its xorbs is a claim that
is never used, since the tables of verified xorbs are at hand.
Source: the public Xet specification, shard format.
"""

import struct
from dataclasses import dataclass

from gatekeeper.errors import Invalid
from gatekeeper.repos.xet.hashes import printed

MAX_BODY_BYTES = 64 * 2**20
MAX_FILES = 20_000
_RECORD = 48
TAG = b"HFRepoMetaData\0" + bytes.fromhex("5569 6745 6a7b 8157 83a5 bdd9 5ccd d14a a9")
VERSION = 2
_HAS_RANGE_HASHES, _HAS_SHA256 = 1 << 31, 1 << 30
END = b"\xff" * 32


@dataclass(frozen=True, slots=True)
class Term:
    """A run of a xorb's chunks, from `first` up to, not including, `end`, with its raw length and possession proof."""

    xorb_hash: bytes
    raw_bytes: int
    first: int
    end: int
    range_hash: bytes


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file as the shard describes it. All of it is a claim."""

    file_hash: bytes
    sha256: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Size in bytes if the terms are true."""
        return sum(term.raw_bytes for term in self.terms)


def parse(body: bytes) -> list[ShardFile]:
    """The files of a shard. Raises Invalid (400)."""
    if len(body) > MAX_BODY_BYTES:
        raise _broken("it is too long")
    if len(body) < _RECORD or body[:32] != TAG or struct.unpack_from("<Q", body, 32)[0] != VERSION:
        raise _broken("it does not begin with the header of version 2")
    at = _RECORD
    files: list[ShardFile] = []
    while body[at : at + 32] != END:
        if len(files) >= MAX_FILES:
            raise _broken(f"it holds more than {MAX_FILES} files")
        file, at = _file(body, at)
        files.append(file)
    return files


def _file(body: bytes, at: int) -> tuple[ShardFile, int]:
    """The file whose records begin at `at`, and where the next one's begin."""
    if at + _RECORD > len(body):
        raise _broken("its file section does not end")
    file_hash, flags, count = struct.unpack_from("<32sII", body, at)
    if not flags & _HAS_RANGE_HASHES or not flags & _HAS_SHA256:
        raise _broken("a file comes without verification hashes or without its SHA-256")
    terms_at = at + _RECORD
    ranges_at = terms_at + count * _RECORD
    sha256_at = ranges_at + count * _RECORD
    end = sha256_at + _RECORD
    if end > len(body):
        raise _broken("a file's records go beyond its end")
    terms = tuple(
        Term(xorb, raw, first, stop, body[ranges_at + row * _RECORD : ranges_at + row * _RECORD + 32])
        for row, (xorb, _, raw, first, stop) in enumerate(struct.iter_unpack("<32sIIII", body[terms_at:ranges_at]))
    )
    # The SHA-256 is stored in the word order of the other hashes, so printing gives its usual hex.
    return ShardFile(file_hash, printed(body[sha256_at : sha256_at + 32]), terms), end


def _broken(why: str) -> Invalid:
    return Invalid(f"This shard cannot be accepted: {why}.", status=400, next_step="Start the upload again.")
