"""Sharing the machine, in simulated time: a denoiser call takes as long as it has rows, none is cheaper in company."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from inference import engine as module
from inference.contract import Event, ImageOrder, SldLevel
from inference.engine import Engine
from inference.ticket import Ticket

MakeOrder = Callable[..., ImageOrder]
MakeTicket = Callable[..., tuple[Ticket, list[Event]]]
ROW_SECONDS = 0.05


@dataclass
class Machine:
    """Time that passes with the rows of each call, and what arrives and ends in it."""

    engine: Engine
    now: float = 0.0
    ended: dict[str, float] = field(default_factory=dict)
    live: list[Ticket] = field(default_factory=list)

    def put(self, *tickets: Ticket) -> None:
        for ticket in tickets:
            self.engine.queue.put(ticket)
            self.live.append(ticket)

    def tick(self) -> bool:
        is_busy = self.engine.tick()
        in_hand = {sample.ticket.order.id for sample in self.engine._samples}
        in_hand |= {ticket.order.id for ticket in self.engine.queue.waiting()}
        for ticket in self.live:
            if ticket.order.id not in in_hand:
                self.ended.setdefault(ticket.order.id, self.now)
        return is_busy

    def run_until_ended(self, ticket: Ticket) -> float:
        while ticket.order.id not in self.ended:
            assert self.tick()
        return self.ended[ticket.order.id]


@pytest.fixture
def make_machine(make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Machine]:
    machines: list[Machine] = []

    def build() -> Machine:
        machine = Machine(make_engine(clock=lambda: machine.now))
        machine.engine._release.submit = lambda making: None  # type: ignore[method-assign]
        machines[:] = [machine]
        return machine

    def denoise(batch: list[Any]) -> list[torch.Tensor]:
        machines[0].now += ROW_SECONDS * batch[0].bucket
        return [torch.zeros(sample.rows, *sample.latents.shape[1:]) for sample in batch]

    monkeypatch.setattr(module, "denoise", denoise)
    return build


@pytest.mark.parametrize("heavy_users", [1, 5])
@pytest.mark.parametrize("steps", [4, 20])
def test_a_light_user_waits_at_most_three_times_as_long_as_on_an_empty_system(
    make_machine: Callable[[], Machine], make_order: MakeOrder, make_ticket: MakeTicket, heavy_users: int, steps: int
) -> None:
    def light_order() -> Ticket:
        return make_ticket(make_order(person_key="light", steps=steps, sld=SldLevel.STRONG))[0]

    machine = make_machine()
    alone = light_order()
    machine.put(alone)
    empty = machine.run_until_ended(alone)

    machine = make_machine()
    for number in range(40):
        machine.put(make_ticket(make_order(person_key=f"heavy {number % heavy_users}", steps=50))[0])
    waits = []
    for _ in range(3):  # again and again, at odd moments
        for _ in range(37):
            machine.tick()
        began, ticket = machine.now, light_order()
        machine.put(ticket)
        waits.append(machine.run_until_ended(ticket) - began)

    assert max(waits) <= 3 * empty


def test_without_credit_everybody_gets_the_share_of_their_weight(
    make_machine: Callable[[], Machine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    machine, steps = make_machine(), {"one": 0, "two": 0}
    for _ in range(30):
        for person, weight in (("one", 1.0), ("two", 2.0)):
            # buckets that cannot be shared, so that each call is one person's
            order = make_order(person_key=person, weight=weight, steps=100, bucket={"one": 2, "two": 3}[person])
            machine.put(make_ticket(order)[0])

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
    make_machine: Callable[[], Machine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    machine = make_machine()
    machine.put(*(make_ticket(make_order(person_key=f"person {i}"))[0] for i in range(8)))

    machine.tick()

    assert {sample.bucket for sample in machine.engine._samples} == {16}


def test_what_a_heavy_user_has_ordered_does_not_enlarge_a_light_ones_calls(
    make_machine: Callable[[], Machine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    machine = make_machine()
    machine.put(*(make_ticket(make_order(person_key="heavy"))[0] for _ in range(20)))
    machine.tick()
    light = make_ticket(make_order(person_key="light"))[0]

    machine.put(light)
    machine.tick()

    [sample] = [sample for sample in machine.engine._samples if sample.ticket is light]
    assert (sample.bucket, sample.step) == (2, 1)


def test_what_a_heavy_user_orders_next_does_not_make_a_light_one_begin_again(
    make_machine: Callable[[], Machine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    machine = make_machine()
    light = make_ticket(make_order(person_key="light", steps=20))[0]
    machine.put(light)
    machine.tick()

    machine.put(*(make_ticket(make_order(person_key="heavy", steps=20))[0] for _ in range(20)))
    machine.tick()

    [sample] = [sample for sample in machine.engine._samples if sample.ticket is light]
    assert (sample.bucket, sample.step) == (2, 2)
