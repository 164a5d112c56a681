"""The waiting line: fair between persons, bounded, honest about places."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from inference.contract import ErrorCode, Event, Failed, ImageOrder, Queued
from inference.queue import FairQueue, QueueFull
from inference.ticket import Ticket

MakeOrder = Callable[..., ImageOrder]
MakeTicket = Callable[..., tuple[Ticket, list[Event]]]


def queue(waiting_orders: int = 100, waiting_per_person: int = 100) -> FairQueue:
    return FairQueue(waiting_orders=waiting_orders, waiting_per_person=waiting_per_person)


def serve_all(line: FairQueue) -> list[str]:
    served = []
    while (ticket := line.peek()) is not None:
        line.take(ticket)
        served.append(ticket.order.person_key)
    return served


def test_a_light_user_is_served_before_the_second_order_of_a_heavy_one(
    make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    line = queue()
    for person in ["heavy"] * 5 + ["light"]:
        line.put(make_ticket(make_order(person_key=person))[0])

    assert serve_all(line) == ["heavy", "light", "heavy", "heavy", "heavy", "heavy"]


def test_big_orders_count_for_more(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue()
    for person, steps in [("big", 40), ("big", 40), ("small", 10), ("small", 10), ("small", 10)]:
        line.put(make_ticket(make_order(person_key=person, steps=steps))[0])

    assert serve_all(line) == ["big", "small", "small", "small", "big"]


def test_equals_are_served_in_the_order_of_arrival(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue()
    for person in "abcab":
        line.put(make_ticket(make_order(person_key=person))[0])

    assert serve_all(line) == ["a", "b", "c", "a", "b"]


def test_nobody_pays_for_what_they_had_while_the_line_was_empty(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue()
    for _ in range(5):
        line.put(make_ticket(make_order(person_key="early"))[0])
        serve_all(line)
    for person in ["early", "late"]:
        line.put(make_ticket(make_order(person_key=person))[0])

    assert serve_all(line) == ["early", "late"]


def test_places_are_told_and_told_again_when_they_change(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue()
    first, _ = make_ticket(make_order(person_key="a"))
    second, events = make_ticket(make_order(person_key="b"))
    line.put(first)
    line.put(second)

    line.take(first)

    assert events == [Queued(place=2), Queued(place=1)]


def test_a_full_line_says_so(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue(waiting_orders=2)
    line.put(make_ticket(make_order(person_key="a"))[0])
    line.put(make_ticket(make_order(person_key="b"))[0])

    with pytest.raises(QueueFull):
        line.put(make_ticket(make_order(person_key="c"))[0])


def test_one_person_cannot_fill_the_line(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue(waiting_per_person=2)
    for _ in range(2):
        line.put(make_ticket(make_order(person_key="greedy"))[0])

    with pytest.raises(QueueFull, match="your orders"):
        line.put(make_ticket(make_order(person_key="greedy"))[0])
    line.put(make_ticket(make_order(person_key="modest"))[0])


def test_cancelled_orders_leave_the_line_and_make_room(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue(waiting_orders=1)
    ticket, _ = make_ticket(make_order())
    line.put(ticket)

    ticket.fail(ErrorCode.CANCELLED, "")

    line.put(make_ticket(make_order())[0])
    assert len(line.waiting()) == 1


def test_an_order_that_is_late_fails_while_it_waits(make_order: MakeOrder, make_ticket: MakeTicket) -> None:
    line = queue()
    ticket, events = make_ticket(make_order(deadline_at=datetime.now(UTC) + timedelta(milliseconds=5)))
    line.put(ticket)
    while not ticket.is_late:
        pass

    assert line.peek() is None
    assert isinstance(events[-1], Failed)
    assert events[-1].code is ErrorCode.DEADLINE_PASSED


def test_background_orders_stand_behind_everybody_who_comes_later(
    make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    line = queue()
    for person, is_background in [("run", True), ("run", True), ("late", False), ("later", False), ("late", False)]:
        line.put(make_ticket(make_order(person_key=person, is_background=is_background))[0])

    assert serve_all(line) == ["late", "later", "late", "run", "run"]
