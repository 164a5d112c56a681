"""Calling code that may never return: a thread that is given up when it is late, and replaced for the next call.

The clock of a call starts when the call does. Waiting for a free thread is no lateness of the plug-in; it is bounded
too, so that behind one that hangs nobody waits for long, and nobody waits whose order is over.
"""

import contextlib
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 3  # times the call's own limit: how long it may wait for its turn
_LOOK_SECONDS = 0.25


class TimedOut(Exception):
    """The call has not returned in time, and its thread was left behind; or its turn has not come."""


class TimedThreads:
    """The threads of one plug-in, each with one call at a time. May be called from any thread.

    at_once  how many calls the plug-in bears at the same time
    """

    def __init__(self, name: str, *, timeout_seconds: float, at_once: int = 1) -> None:
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._free: queue.SimpleQueue[ThreadPoolExecutor] = queue.SimpleQueue()
        for _ in range(at_once):
            self._free.put(self._new())

    def call(self, function: Callable[[], T], *, is_over: Callable[[], bool] = lambda: False) -> T:
        """The function's result. Raises what it raises, and TimedOut.

        is_over  whether nobody waits for the result any more; asked while the call waits for its turn
        """
        thread = self._turn(is_over)
        future: Future[T] | None = None
        try:
            future = thread.submit(function)
            return future.result(self._timeout_seconds)
        except FutureTimeoutError as error:
            if future is None or future.done():
                raise  # the function's own
            raise TimedOut(f"nothing within {self._timeout_seconds:g} s") from error
        finally:
            if future is None or not future.done():  # it could not start, or hangs
                thread.shutdown(wait=False)
                thread = self._new()
            self._free.put(thread)

    def _turn(self, is_over: Callable[[], bool]) -> ThreadPoolExecutor:
        """A free thread. Raises TimedOut."""
        until = time.monotonic() + PATIENCE * self._timeout_seconds
        while not is_over() and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=min(left, _LOOK_SECONDS))
        raise TimedOut(f"no turn within {PATIENCE * self._timeout_seconds:g} s")

    def _new(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=self._name)
