"""How many rows an order's calls have: as the crowd demands, as the memory allows, and at nobody else's expense."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from inference.denoising import Sample
from inference.ticket import Ticket

REMEMBERED_SECONDS = 600.0  # after which a size that ran out of memory is tried again
YOUNG = 6  # an image that has made at most one in so many of its steps may begin again in a larger bucket


class TooLarge(Exception):
    """Not even the smallest call of an order fits into the memory."""


class Buckets:
    """Chooses buckets. Used from the engine's thread only.

    sizes        row counts a call may have
    max_rows     no call is chosen larger than what holds so many rows
    spare_bytes  memory that calls may take now
    """

    def __init__(self, sizes: Sequence[int], *, max_rows: int, spare_bytes: Callable[[], int]) -> None:
        self._sizes = tuple(sorted(sizes))
        self._max_rows = max_rows
        self._spare_bytes = spare_bytes
        self._failed: dict[tuple[str, int, int], tuple[int, float]] = {}  # smallest size that ran out of memory, when

    def choose(self, ticket: Ticket, samples: list[Sample], waiting: list[Ticket]) -> int:
        """The pinned bucket; else one in use that has room; else one as large as the crowd that is here already.

        A single order in an empty worker pays for no row it does not use. A crowd that comes at once shares one call;
        one that gathers doubles its calls (2, 2, 4, 8 rows ...) and, where it stays, moves into the largest. Orders
        that have only begun are asked again when others come (see `young_orders`), so that those which come within a
        few steps of each other share their calls. When the crowd is gone nobody has to join its large bucket. Persons
        with more orders in hand than this one are not its crowd: a light user's calls do not grow by what a heavy one
        has ordered. Raises TooLarge.

        waiting  this order and those that wait behind it
        """
        if ticket.order.bucket is not None:
            require_room(ticket, ticket.order.bucket, self._spare_bytes())
            return ticket.order.bucket
        most = self._largest(ticket)
        wanted = rows_of(ticket)
        company = _company(ticket, samples, waiting)
        peers = [
            sample for sample in samples if _can_share(sample.ticket, ticket) and _person(sample.ticket) in company
        ]
        here = sum(sample.rows for sample in peers)
        others = [t for t in waiting[: self._max_rows] if _can_share(t, ticket) and _person(t) in company]
        coming = max(sum(rows_of(other) for other in others), wanted)
        for bucket in sorted({sample.bucket for sample in peers if sample.bucket <= most}, reverse=True):
            filled = wanted + sum(sample.rows for sample in peers if sample.bucket == bucket)
            if filled <= bucket and (bucket <= self._holding(here + coming) or 2 * filled >= bucket):
                return bucket
        return min(self._holding(max(here, coming)), most)

    def after_failure(self, sample: Sample) -> int | None:
        """The bucket to begin again in after a call ran out of memory; None: there is none, or the order pinned it."""
        request = sample.ticket.request
        key = (request.model.state.digest, request.width, request.height)
        failed = min(sample.bucket, self._failed_size(sample.ticket) or sample.bucket)
        self._failed[key] = (failed, time.monotonic())
        half = max(sample.bucket // 2, self._holding(sample.rows))
        smaller = [size for size in self._sizes if sample.rows <= size < sample.bucket and size <= half]
        return max(smaller) if smaller and sample.ticket.order.bucket is None else None

    def _largest(self, ticket: Ticket) -> int:
        """The largest bucket that memory allows for orders like this one. Raises TooLarge."""
        request = ticket.request
        failed = self._failed_size(ticket)
        spare = self._spare_bytes()
        fitting = [
            size
            for size in self._sizes
            if size >= request.rows_per_image
            and (failed is None or size < failed)
            and _call_bytes(ticket, size) <= spare
        ]
        if not fitting:
            require_room(ticket, self._holding(request.rows_per_image), spare)
            return self._holding(request.rows_per_image)  # it failed once in a crowd; alone it may do
        return max(fitting)

    def _failed_size(self, ticket: Ticket) -> int | None:
        request = ticket.request
        size, failed_at = self._failed.get((request.model.state.digest, request.width, request.height), (None, 0.0))
        return size if time.monotonic() - failed_at < REMEMBERED_SECONDS else None

    def _holding(self, rows: int) -> int:
        rows = min(rows, self._max_rows)
        return next((size for size in self._sizes if size >= rows), self._sizes[-1])


def require_room(ticket: Ticket, bucket: int, spare_bytes: int) -> None:
    """Raise TooLarge where a call for an order like this one does not fit into so much memory."""
    if (needed := _call_bytes(ticket, bucket)) > spare_bytes:
        raise TooLarge(
            f"An image of this size needs about {needed / 2**30:.1f} GiB, and the worker has"
            f" {spare_bytes / 2**30:.1f} to spare; choose a smaller size."
        )


def rows_of(ticket: Ticket) -> int:
    """Denoiser rows of all its images."""
    return ticket.request.rows_per_image * ticket.order.images


def orders_in_hand(samples: list[Sample], waiting: list[Ticket]) -> Counter[str]:
    """By person, orders in the making and waiting ones."""
    making = {id(sample.ticket): sample.ticket for sample in samples}.values()
    return Counter(_person(ticket) for ticket in (*making, *waiting))


def young_orders(samples: list[Sample]) -> dict[int, list[Sample]]:
    """Images of orders that have only begun, by the ticket's id: they may choose a bucket once more, with newcomers.

    Steps that are made twice cost less than a whole image in calls that are not shared.
    """
    by_ticket: dict[int, list[Sample]] = {}
    for sample in samples:
        by_ticket.setdefault(id(sample.ticket), []).append(sample)
    return {
        ticket: images
        for ticket, images in by_ticket.items()
        if images[0].ticket.order.bucket is None
        and len(images) == images[0].ticket.order.images
        and all(image.step * YOUNG <= len(image.timesteps) for image in images)
    }


def _call_bytes(ticket: Ticket, bucket: int) -> int:
    request = ticket.request
    return request.model.call_bytes(bucket, request.width, request.height)


def _company(ticket: Ticket, samples: list[Sample], waiting: list[Ticket]) -> set[str]:
    in_hand = orders_in_hand(samples, waiting)
    own = in_hand[_person(ticket)]
    return {person for person, count in in_hand.items() if count <= own}


def _person(ticket: Ticket) -> str:
    return ticket.order.person_key


def _can_share(one: Ticket, other: Ticket) -> bool:
    """Whether images of two orders could stand in one call."""
    a, b = one.request, other.request
    return a.model is b.model and (a.width, a.height) == (b.width, b.height)
