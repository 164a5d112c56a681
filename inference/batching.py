"""Which batches leave every bit as it is: found out for each model when it is loaded, not assumed.

A denoiser call has a fixed number of rows and the receipt says which. Text encoding and decoding have no such number,
so several of them may share a call only in sizes at which each row's result is, bit for bit, the one it has alone. That
depends on processor, number format, shape and library, and is therefore measured. What is not proven runs alone.
"""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

SIZES = (8, 4, 2, 1)
SLOW_SECONDS = 0.5  # a call that takes this long fills the processor by itself: company gains nothing


def proven_sizes(call: Callable[[Tensor], Tensor], inputs: Tensor) -> tuple[int, ...]:
    """Batch sizes that change no bit, largest first; 1 is always among them.

    call    of (row, ...) inputs, returns (row, ...)
    inputs  (8, ...) different rows of the shape that is to be proven: kernels are chosen by shape, not by value
    """
    call(inputs[:1])  # the first call pays for what is allocated once
    began = time.perf_counter()
    alone = [call(inputs[:1])]
    if time.perf_counter() - began > SLOW_SECONDS:
        return (1,)
    alone += [call(inputs[row : row + 1]) for row in range(1, len(inputs))]
    return tuple(size for size in SIZES if size == 1 or torch.equal(call(inputs[:size]), torch.cat(alone[:size])))


def in_sizes(items: Iterable[T], sizes: tuple[int, ...]) -> Iterable[list[T]]:
    """The items in groups of proven sizes, largest groups first."""
    remaining = list(items)
    start = 0
    while start < len(remaining):
        size = next(size for size in sizes if size <= len(remaining) - start)
        yield list(islice(remaining, start, start + size))
        start += size
