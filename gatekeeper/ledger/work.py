"""What the events of a unit of work have in common: told where it begins, read wherever an act is recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Work:
    """How acts come about now.

    door        by which way: a group of the web's routes, `command` or `job`
    credential  with what whoever acts had proved who they are; None for nobody, and on the machine itself
    policy      digest of the policies in force
    """

    door: str | None = None
    credential: str | None = None
    policy: Callable[[], str | None] = lambda: None


_NONE = Work()
_present: ContextVar[Work] = ContextVar("gatekeeper.work")


@contextmanager
def working(door: str, *, policy: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Whatever is recorded in this block, and in the tasks that it starts, came by this door."""
    before = _present.set(Work(door, policy=policy))
    try:
        yield
    finally:
        _present.reset(before)


def tell(*, policy: str | None = None, credential: str | None = None) -> None:
    """Say what became known since the block began; what is None stays as it was."""
    work = present()
    if policy is not None:
        work = replace(work, policy=lambda: policy)
    _present.set(replace(work, credential=credential or work.credential))


def present() -> Work:
    """What holds here."""
    return _present.get(_NONE)
