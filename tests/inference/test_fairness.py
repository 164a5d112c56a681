"""Sharing the machine, in simulated time: a denoiser call takes as long as it has rows, none is cheaper in company.

Beside the denoiser images are decoded and checked, one after another, as the release does it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import torch

from inference import engine as module
from inference.contract import ConceptScore, Done, ErrorCode, Event, Image, ImageOrder, Preview, SldLevel
from inference.engine import Engine
from inference.fleet import Model
from inference.line import Making
from inference.release import Release, Runtime
from inference.safety.verdict import GuardedChecker, Verdict
from inference.ticket import Ticket

MakeOrder = Callable[..., ImageOrder]
MakeTicket = Callable[..., tuple[Ticket, list[Event]]]
ROW_SECONDS = 0.05


class Checker:
    """Takes its time."""

    sha256, version, concepts = "0" * 64, "1", ("thing",)

    def __init__(self, take: Callable[[], None]) -> None:
        self.take = take

    def check(self, images: Any, margin: float) -> list[Verdict]:
        self.take()
        return [Verdict((ConceptScore(concept="thing", score=-0.5),))]


@dataclass
class Machine:
    """Time that passes with the rows of each call, and beside it with each check; what arrives and ends in it.

    checks  what the release has still to do
    """

    engine: Engine
    make_ticket: MakeTicket
    model: Model
    now: float = 0.0
    checked_until: float = 0.0
    checks: list[Callable[[], None]] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    live: list[Ticket] = field(default_factory=list)

    def put(self, *orders: ImageOrder) -> None:
        for order in orders:
            ticket, self.events[order.id] = self.make_ticket(order, self.model)
            self.engine.queue.put(ticket)
            self.live.append(ticket)

    def tick(self) -> bool:
        was_busy, was_waiting = bool(self.live), bool(self.checks)
        if not self.engine.tick():
            self.now = max(self.now, self.checked_until)
        if not was_waiting:
            self.checked_until = max(self.checked_until, self.now)
        while self.checks and self.checked_until <= self.now:
            self.checks.pop()()
            for ticket in [ticket for ticket in self.live if ticket.is_over]:
                self.ended[ticket.order.id] = self.checked_until
                self.live.remove(ticket)
        return was_busy

    def run_until_ended(self, order: ImageOrder) -> float:
        while order.id not in self.ended:
            assert self.tick()
        return self.ended[order.id]


@pytest.fixture
def make_machine(
    make_engine: Callable[..., Engine],
    make_ticket: MakeTicket,
    tiny_model: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Machine]:
    machines: list[Machine] = []

    def build(*, check_seconds: float = 0.0, decode_seconds: float = 0.0) -> Machine:
        def decode(model: Model, latents: torch.Tensor) -> Any:
            machine.checked_until += decode_seconds * len(latents)
            return np.zeros((len(latents), 3, 32, 32), "f4")

        def take() -> None:
            machine.checked_until += check_seconds

        release = Release(Runtime("t", "d", "cpu"), clock=lambda: machine.checked_until)
        engine = make_engine(clock=lambda: machine.now, release=release)
        checker = GuardedChecker(Checker(take), timeout_seconds=20)
        machine = Machine(engine, make_ticket, replace(tiny_model, checker=checker))
        monkeypatch.setattr(release._pool, "submit", machine.checks.append)
        monkeypatch.setattr("inference.decoding.decode", decode)
        machines[:] = [machine]
        return machine

    def denoise(batch: list[Any]) -> list[torch.Tensor]:
        machines[0].now += ROW_SECONDS * batch[0].bucket
        return [torch.zeros(sample.rows, *sample.latents.shape[1:]) for sample in batch]

    monkeypatch.setattr(module, "denoise", denoise)
    return build


@pytest.mark.parametrize(("heavy_users", "images"), [(1, 4), (5, 1), (5, 4)])
@pytest.mark.parametrize(("steps", "check_seconds"), [(4, 0.0), (20, 0.0), (4, 1.5), (20, 1.5)])
def test_a_light_user_waits_at_most_three_times_as_long_as_on_an_empty_system(
    make_machine: Callable[..., Machine],
    make_order: MakeOrder,
    heavy_users: int,
    images: int,
    steps: int,
    check_seconds: float,
) -> None:
    def light_order() -> ImageOrder:
        return make_order(person_key="light", steps=steps, sld=SldLevel.STRONG)

    machine = make_machine(check_seconds=check_seconds, decode_seconds=check_seconds / 2)
    alone = light_order()
    machine.put(alone)
    empty = machine.run_until_ended(alone)

    machine = make_machine(check_seconds=check_seconds, decode_seconds=check_seconds / 2)
    for number in range(40):
        machine.put(make_order(person_key=f"heavy {number % heavy_users}", steps=50, images=images, previews=8))
    waits = []
    for _ in range(3):  # again and again, at odd moments
        for _ in range(137):
            machine.tick()
        began, order = machine.now, light_order()
        machine.put(order)
        waits.append(machine.run_until_ended(order) - began)

    assert max(waits) <= 3 * empty


def test_looks_are_left_out_where_checks_are_slow_and_told_where_they_are_not(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    looks = {}
    for check_seconds in (0.0, 1.5):
        machine = make_machine(check_seconds=check_seconds)
        order = make_order(steps=20, images=4, previews=8)
        machine.put(order)
        machine.run_until_ended(order)
        events = machine.events[order.id]
        looks[check_seconds] = sum(isinstance(event, Preview) for event in events)
        assert sum(isinstance(event, Image) for event in events) == 4

    assert looks[0.0] == 4 * 8
    assert 0 < looks[1.5] < 4 * 8 / 2


def test_checking_is_charged_to_the_order(make_machine: Callable[..., Machine], make_order: MakeOrder) -> None:
    machine = make_machine(check_seconds=1.5)
    order = make_order(steps=4, images=2)
    machine.put(order)
    machine.run_until_ended(order)

    done = machine.events[order.id][-1]
    assert isinstance(done, Done)
    assert done.compute_seconds == pytest.approx(2 * 1.5 + 4 * ROW_SECONDS * 4)


def test_who_is_decoded_first_does_not_pay_for_those_who_are_decoded_with_them(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    machine = make_machine(decode_seconds=3.0)
    machine.model = replace(machine.model, image_sizes=(2, 1))
    machine.put(make_order(person_key="one", steps=1), make_order(person_key="two", steps=1))
    while machine.tick():
        pass

    persons = machine.engine._release._line._shares._persons
    assert {name: person.clock for name, person in persons.items()} == {"one": 3.0, "two": 3.0}
    assert [events[-1].compute_seconds for events in machine.events.values()] == [  # type: ignore[union-attr]
        pytest.approx(3.0 + ROW_SECONDS * 2)
    ] * 2


def test_images_of_orders_that_are_over_wait_in_nobodys_way(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    machine = make_machine(check_seconds=1.5)
    line = machine.engine._release._line
    given_up, wanted, late = (
        make_order(person_key="one"),
        make_order(person_key="one"),
        make_order(person_key="two", deadline_at=datetime.now(UTC)),
    )
    tickets = [machine.make_ticket(order, machine.model)[0] for order in (wanted, given_up, late)]
    for ticket in tickets:
        line.put(Making(ticket, 0, lambda: np.zeros((3, 8, 8), "f4"), None, "ddim", "float32"))
    tickets[1].fail(ErrorCode.CANCELLED, "No longer wanted.")

    assert line._count("one") == 1
    taken = []
    for _ in tickets:
        taken.append(making := line.take())
        line.served(making)
    assert [making.ticket for making in taken] == [tickets[1], tickets[2], tickets[0]]


def test_without_credit_everybody_gets_the_share_of_their_weight(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    machine, steps = make_machine(), {"one": 0, "two": 0}
    for _ in range(30):
        for person, weight in (("one", 1.0), ("two", 2.0)):
            # buckets that cannot be shared, so that each call is one person's
            machine.put(make_order(person_key=person, weight=weight, steps=100, bucket={"one": 2, "two": 3}[person]))

    def count() -> dict[str, int]:
        done = dict(steps)
        for sample in machine.engine._samples:
            done[sample.ticket.order.person_key] += sample.step * sample.bucket
        return done

    for _ in range(300):  # until the credits are gone
        machine.tick()
    before = count()
    for _ in range(600):
        machine.tick()
    after = count()

    assert (after["two"] - before["two"]) / (after["one"] - before["one"]) == pytest.approx(2, rel=0.1)


def test_a_crowd_of_equals_still_shares_large_calls(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    machine = make_machine()
    machine.put(*(make_order(person_key=f"person {i}") for i in range(8)))

    machine.tick()

    assert {sample.bucket for sample in machine.engine._samples} == {16}


def test_what_a_heavy_user_has_ordered_does_not_enlarge_a_light_ones_calls(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    machine = make_machine()
    machine.put(*(make_order(person_key="heavy") for _ in range(20)))
    machine.tick()
    light = make_order(person_key="light")

    machine.put(light)
    machine.tick()

    [sample] = [sample for sample in machine.engine._samples if sample.ticket.order is light]
    assert (sample.bucket, sample.step) == (2, 1)


def test_what_a_heavy_user_orders_next_does_not_make_a_light_one_begin_again(
    make_machine: Callable[..., Machine], make_order: MakeOrder
) -> None:
    machine = make_machine()
    light = make_order(person_key="light", steps=20)
    machine.put(light)
    machine.tick()

    machine.put(*(make_order(person_key="heavy", steps=20) for _ in range(20)))
    machine.tick()

    [sample] = [sample for sample in machine.engine._samples if sample.ticket.order is light]
    assert (sample.bucket, sample.step) == (2, 2)
