"""The 64 bits that a mark carries: the number of a record in 40 of them, a keyed checksum in the others."""

import hmac

import numpy as np
import numpy.typing as npt

NUMBER_BITS = 40
_NUMBER_BYTES, _CHECK_BYTES = 5, 3
_WEAKEST = 8

Bits = npt.NDArray[np.uint8]  # (64,) of 0 and 1
Softness = npt.NDArray[np.float32]  # (64,) below zero where the bit looks like 1; the further from zero, the surer


def to_bits(number: int, key: bytes) -> Bits:
    """The bits for a record's number, 0 <= number < 2**40."""
    head = number.to_bytes(_NUMBER_BYTES, "big")
    return np.unpackbits(np.frombuffer(head + _check(head, key), np.uint8))


def from_soft(soft: Softness, key: bytes, *, weakest: int = _WEAKEST) -> int | None:
    """The number that fits its checksum, with any of the `weakest` least sure bits turned over; None if there is none.

    Of marks that are none, one in 2**(24 - weakest) fits by chance. Source: Chase 1972, IEEE IT-18, algorithm 2.
    """
    word = int.from_bytes(np.packbits(soft < 0).tobytes(), "big")
    order = np.argsort(np.abs(soft))[:weakest]
    places = [1 << (len(soft) - 1 - int(position)) for position in order]
    for turned in range(1 << weakest):
        tried = word
        for index, place in enumerate(places):
            if turned >> index & 1:
                tried ^= place
        raw = tried.to_bytes(_NUMBER_BYTES + _CHECK_BYTES, "big")
        if hmac.compare_digest(_check(raw[:_NUMBER_BYTES], key), raw[_NUMBER_BYTES:]):
            return int.from_bytes(raw[:_NUMBER_BYTES], "big")
    return None


def _check(head: bytes, key: bytes) -> bytes:
    return hmac.digest(key, head, "sha256")[:_CHECK_BYTES]
