"""Calling code that may never return: a thread that is given up when it is late, and replaced for the next call."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class TimedOut(Exception):
    """The call has not returned in time; its thread was left behind."""


class TimedThread:
    """One thread for one plug-in. Calls are made one after another."""

    def __init__(self, name: str, *, timeout_seconds: float) -> None:
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._pool = self._new()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. Raises what it raises, and TimedOut."""
        future: Future[T] = self._pool.submit(function, *args, **kwargs)
        try:
            return future.result(self._timeout_seconds)
        except FutureTimeoutError as error:
            if future.done():
                raise  # the function's own
            # The stuck thread keeps the old pool; later calls get a new one.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new()
            raise TimedOut(f"nothing within {self._timeout_seconds:g} s") from error

    def _new(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=self._name)
