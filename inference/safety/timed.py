"""Calling code that may never return: a thread that is given up when it is late, and replaced for the next call.

The clock of a call starts when the call does. Waiting for a free thread is no lateness of the plug-in; it is bounded
too, so that behind one that hangs nobody waits for ever.
"""

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 10  # times the call's own limit: how long it may wait for its turn


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

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. Raises what it raises, and TimedOut."""
        try:
            thread = self._free.get(timeout=PATIENCE * self._timeout_seconds)
        except queue.Empty as error:
            raise TimedOut(f"no turn within {PATIENCE * self._timeout_seconds:g} s") from error
        future: Future[T] = thread.submit(function, *args, **kwargs)
        try:
            return future.result(self._timeout_seconds)
        except FutureTimeoutError as error:
            if future.done():
                raise  # the function's own
            thread.shutdown(wait=False)
            thread = self._new()
            raise TimedOut(f"nothing within {self._timeout_seconds:g} s") from error
        finally:
            self._free.put(thread)

    def _new(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=self._name)
