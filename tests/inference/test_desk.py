"""Between arriving and waiting: an order holds its model while it is being screened, and no longer."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from inference.contract import ErrorCode, Event, ImageOrder, Limits, LoadPhase, ModelState
from inference.desk import Desk, OrderProblem, Seals
from inference.fleet import Model
from inference.queue import FairQueue
from inference.safety.classifier import GuardedClassifier
from inference.safety.plugins import Plugins
from inference.safety.prompts import RuleSet

MakeOrder = Callable[..., ImageOrder]


class Asked:
    """A classifier that does something while it is asked."""

    sha256, version, categories = "2" * 64, "1", ("thing",)

    def __init__(self, score: float, meanwhile: Callable[[], None]) -> None:
        self.score = score
        self.meanwhile = meanwhile

    def classify(self, text: str) -> dict[str, float]:
        self.meanwhile()
        return {"thing": self.score}


def desk_of(model: Model | ModelState, classifier: Asked) -> Desk:
    queue = FairQueue(waiting_orders=9, waiting_per_person=9)
    return Desk(
        fleet=SimpleNamespace(find=lambda digest: model),  # type: ignore[arg-type]  # only asked for its model
        lanes={"step": SimpleNamespace(queue=queue)},  # type: ignore[dict-item]  # nothing is made here
        limits=Limits(),
        rules=RuleSet("0", ()),
        seals=Seals(b"k" * 32),
        plugins=Plugins({}, {"asked": GuardedClassifier(classifier, timeout_seconds=5, name="asked")}),
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, ErrorCode.MODEL_NOT_READY),
        (ErrorCode.MODEL_REFUSED, ErrorCode.MODEL_REFUSED),
        (ErrorCode.OUT_OF_MEMORY, ErrorCode.UNKNOWN_MODEL),
        (ErrorCode.INTERNAL, ErrorCode.UNKNOWN_MODEL),
    ],
)
def test_a_model_that_failed_for_want_of_something_is_asked_for_again(
    tiny_model: Model, make_order: MakeOrder, error: ErrorCode | None, told: ErrorCode
) -> None:
    phase = LoadPhase.FAILED if error else LoadPhase.LOADING
    desk = desk_of(tiny_model.state.model_copy(update={"phase": phase, "error": error}), Asked(0, lambda: None))

    with pytest.raises(OrderProblem) as problem:
        desk.submit(make_order(), lambda event: None)

    assert problem.value.code is told


@pytest.mark.parametrize(("score", "is_kept"), [(-0.5, True), (0.5, False)])
def test_a_model_is_in_use_from_the_moment_an_order_found_it_until_it_is_refused(
    tiny_model: Model, make_order: MakeOrder, score: float, is_kept: bool
) -> None:
    seen: list[bool] = []
    order = make_order()
    desk = desk_of(tiny_model, Asked(score, lambda: seen.append(desk.is_in_use(order.model))))

    desk.submit(order, lambda event: None)

    assert seen == [True]
    assert desk.is_in_use(order.model) is is_kept


def test_an_order_may_be_given_up_and_is_not_taken_twice_while_it_is_screened(
    tiny_model: Model, make_order: MakeOrder
) -> None:
    events: list[Event] = []
    order = make_order()

    def meanwhile() -> None:
        with pytest.raises(OrderProblem, match="this id"):
            desk.submit(order, events.append)
        desk.abandon(desk._live[order.id])

    desk = desk_of(tiny_model, Asked(-0.5, meanwhile))
    desk.submit(order, events.append)

    assert [event.type for event in events] == ["failed"]
    assert desk.lanes["step"].queue.peek() is None
    assert not desk.is_in_use(order.model)


def test_an_order_whose_screening_breaks_holds_nothing(
    tiny_model: Model, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.desk.screen_order", lambda order, rules: 1 / 0)
    order = make_order()
    desk = desk_of(tiny_model, Asked(-0.5, lambda: None))

    with pytest.raises(ZeroDivisionError):
        desk.submit(order, lambda event: None)

    assert not desk.is_in_use(order.model)
