"""The hub's own figures, for /metrics: read when they are asked for, so that nothing else pays for them.

What is counted names nobody: no label holds a person, a repository, a prompt or an address.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, jobs, ledger
from gatekeeper.generation.flow import tally
from gatekeeper.kit.clock import now
from gatekeeper.notices import DeliveryState, WebhookDelivery
from gatekeeper.web.state import Gatekeeper


class _Read(Collector):
    """Figures that were read already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def of_hub(session: AsyncSession, gatekeeper: Gatekeeper, parts: Mapping[str, str]) -> CollectorRegistry:
    """The figures as they are now; `parts` is how each part does (see web.health)."""
    unsealed, unsealed_since = await ledger.pending(session)
    backlog = await jobs.backlog(session)
    went = await tally(session)
    given_up = sa.select(sa.func.count()).where(col(WebhookDelivery.state) == DeliveryState.FAILED)
    registry = CollectorRegistry()
    registry.register(
        _Read(
            [
                _each("part_ready", "Whether a part is as it should be; switched off is.", "part", _ready(parts)),
                _one("evidence_unsealed", "Events that wait to be sealed.", unsealed),
                _age("evidence_unsealed_oldest", "the oldest event waits to be sealed", unsealed_since),
                _one("jobs_due", "Jobs that are due.", backlog.due),
                _age("jobs_due_oldest", "the oldest job is due", backlog.due_since),
                _one("jobs_given_up", "Jobs set aside.", sum(count for _, count, _ in backlog.failed)),
                _one("deliveries_given_up", "Webhook deliveries given up.", await session.scalar(given_up) or 0),
                _one("requests_waiting", "Requests for access to review.", await access.count_waiting(session)),
                _each("orders", "Orders of images of the last 24 hours, by how they stand.", "state", went.orders),
                _age("orders_running_oldest", "the oldest order waits or is being made", went.running_since),
                _one("images_given_out", "Images that orders of the last 24 hours gave out.", went.images),
                CounterMetricFamily(
                    "gatekeeper_policy_errors",
                    "Decisions of this process that were denied because a policy failed.",
                    value=gatekeeper.alarms.count,
                ),
            ]
        )
    )
    return registry


def _ready(parts: Mapping[str, str]) -> dict[str, int]:
    return {name: int(state in ("ok", "off")) for name, state in parts.items()}


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gatekeeper_{name}", text, value=value)


def _age(name: str, text: str, since: datetime | None) -> Metric:
    seconds = 0 if since is None else (now() - since).total_seconds()
    return _one(f"{name}_seconds", f"For how long {text}; 0 where none.", seconds)


def _each(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f"gatekeeper_{name}", text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
