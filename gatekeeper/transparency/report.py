"""The report as a value. A number between one and four is told as "fewer than five": it could point at a person."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.transparency.tables import TransparencyReport

FEWEST = 5  # the smallest number above zero that is told

# None stands for "some, but fewer than FEWEST".
Count = int | None


def told(number: int) -> Count:
    """The number as it may be told."""
    return None if 0 < number < FEWEST else number


@dataclass(frozen=True)
class Month:
    """What happened in one month, `2026-11`."""

    month: str
    asked: Count = 0
    granted: Count = 0
    rejected: Count = 0
    ended: Count = 0  # revoked or suspended
    waiting_days: float | None = None  # median of those who were answered by people; None where too few were
    images: Count = 0
    images_refused: Count = 0  # orders that screening refused
    images_withheld: Count = 0  # orders of which the image check withheld something
    denied: Count = 0  # acts that the decision refused
    held: int = 0  # releases that were put on hold


@dataclass(frozen=True)
class Share:
    """How often one cause occurred."""

    cause: str
    count: Count


@dataclass(frozen=True)
class Closed:
    """An incident that was closed, in the words of those who handled it."""

    repo: str
    closed_on: str  # a day, `2026-11-22`
    severity: str
    note: str


@dataclass(frozen=True)
class Report:
    """Twelve months of a hub.

    waiting_days   median and ninth decile of the days between a request and its decision, by people; None where too
                   few were decided
    rejections     reasons that reviewers chose
    denials        refusals of the decision, by policy or, where no policy allowed it, by code
    order_refusals orders that screening refused, by code, and those of which the image check withheld something
    stages         public repositories by the stage of their best release
    problems       reports of problems with them, from anybody
    incidents      the newest ones that were closed
    """

    made_at: datetime
    months: tuple[Month, ...] = ()
    waiting: Count = 0
    waiting_days: tuple[float, float] | None = None
    rejections: tuple[Share, ...] = ()
    denials: tuple[Share, ...] = ()
    order_refusals: tuple[Share, ...] = ()
    stages: tuple[Share, ...] = ()
    held_now: int = 0
    withdrawn: int = 0
    acceptances: Count = 0
    problems: Count = 0
    incidents: tuple[Closed, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain data, without the instant it was made at."""
        return {name: value for name, value in asdict(self).items() if name != "made_at"}

    @classmethod
    def of_json(cls, made_at: datetime, body: Mapping[str, Any]) -> Self:
        """The report that `as_json` was made of."""
        rest: dict[str, Any] = dict(body)
        rest["months"] = tuple(Month(**month) for month in rest["months"])
        for name in ("rejections", "denials", "order_refusals", "stages"):
            rest[name] = tuple(Share(**share) for share in rest[name])
        rest["incidents"] = tuple(Closed(**each) for each in rest.get("incidents", ()))
        if rest["waiting_days"] is not None:
            rest["waiting_days"] = tuple(rest["waiting_days"])
        return cls(made_at=made_at, **rest)


async def newest(session: AsyncSession) -> Report | None:
    """The report as it was last made; None before the first time."""
    row = await session.get(TransparencyReport, 1)
    return Report.of_json(row.made_at, row.body) if row else None
