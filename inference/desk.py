"""Where orders arrive: genuine, within the limits, for a model that is here, screened, and then lined up.

Everything that can be refused is refused here, before any compute is spent.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from inference.contract import (
    LONGEST_RUNS,
    CancelOrder,
    Envelope,
    EnvelopeError,
    ErrorCode,
    Event,
    ImageOrder,
    Limits,
    LoadOrder,
    ModelState,
    Purpose,
    ReadOrder,
    Refused,
    verify,
)
from inference.fleet import Fleet, Model
from inference.queue import FairQueue, QueueFull
from inference.safety import levels
from inference.safety.classifier import classify_order
from inference.safety.plugins import Plugins
from inference.safety.prompts import RuleSet, screen_order
from inference.ticket import Request, Ticket

T = TypeVar("T", bound=BaseModel)

LONGEST_SIGNATURE = timedelta(minutes=10)
MOST_NONCES = 200_000
TRY_AGAIN = {ErrorCode.OUT_OF_MEMORY, ErrorCode.INTERNAL}  # why a model failed to load that may be otherwise by now


class OrderProblem(Exception):
    """An order that is not accepted, as the one who sent it is told."""

    def __init__(self, code: ErrorCode, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = problems


class Lane(Protocol):
    """What makes images from the tickets in its queue: the step engine, the pipeline lane, the fake."""

    queue: FairQueue

    @property
    def running(self) -> int:
        """Orders in the making."""
        ...

    def start(self) -> None:
        """Begin to work."""
        ...

    def close(self) -> None:
        """Stop; orders in the making fail."""
        ...


class Seals:
    """Opens envelopes: each once, while its signature lasts. Safe to use from any thread.

    INVARIANT: a nonce is remembered for as long as its envelope would verify.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonces: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def open(self, text: bytes, purpose: Purpose) -> str:
        """The body of a genuine, unused envelope. Raises OrderProblem."""
        now = datetime.now(UTC)
        try:
            envelope = Envelope.model_validate_json(text)
            body = verify(envelope, self._key, purpose=purpose, now=now)
        except ValidationError as error:
            raise OrderProblem(ErrorCode.MALFORMED, "The request is not a signed order.") from error
        except EnvelopeError as error:
            raise OrderProblem(error.code, str(error)) from error
        if envelope.expires_at - now > LONGEST_SIGNATURE:
            raise OrderProblem(ErrorCode.SIGNATURE_EXPIRED, "The signature is valid for too long; sign for less time.")
        with self._lock:
            if envelope.nonce in self._nonces and self._nonces[envelope.nonce] > now:
                raise OrderProblem(ErrorCode.REPLAYED, "This order was already accepted once.")
            if len(self._nonces) >= MOST_NONCES:
                self._nonces = {nonce: until for nonce, until in self._nonces.items() if until > now}
                if len(self._nonces) >= MOST_NONCES:
                    raise OrderProblem(ErrorCode.QUEUE_FULL, "Too many orders arrive at once; try again in a minute.")
            self._nonces[envelope.nonce] = envelope.expires_at
        return body


class Desk:
    """Accepts, cancels and counts orders. Its methods may be called from any thread.

    lanes  by `ModelState.engine`
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        lanes: dict[str, Lane],
        limits: Limits,
        rules: RuleSet,
        seals: Seals,
        plugins: Plugins,
    ) -> None:
        self.fleet = fleet
        self.lanes = lanes
        self.limits = limits
        self.rules = rules
        self.plugins = plugins
        self._seals = seals
        self._live: dict[str, Ticket] = {}
        self._lock = threading.Lock()

    def read_order(self, text: bytes) -> ImageOrder:
        """A genuine order within the limits. Raises OrderProblem."""
        order = parse(ImageOrder, self._seals.open(text, Purpose.ORDER))
        if problems := self.limits.problems(order):
            raise OrderProblem(ErrorCode.LIMITS_EXCEEDED, " ".join(problems), problems)
        return order

    def read_load(self, text: bytes) -> LoadOrder:
        """A genuine load order. Raises OrderProblem."""
        return parse(LoadOrder, self._seals.open(text, Purpose.LOAD))

    def read_reading(self, text: bytes) -> ReadOrder:
        """A genuine order to look at images. Raises OrderProblem."""
        return parse(ReadOrder, self._seals.open(text, Purpose.READ))

    def submit(self, order: ImageOrder, emit: Callable[[Event], None]) -> Ticket:
        """Screen an order and line it up. Its events go to `emit`, from any thread. Raises OrderProblem."""
        ticket = self._register(order, emit)
        if ticket.expire():
            return ticket
        try:
            screened = screen_order(order, self.rules) or classify_order(
                order, self.plugins.prompt_checks.values(), is_over=lambda: ticket.is_over or ticket.is_late
            )
            if isinstance(screened, Refused):
                ticket.end(screened)
                return ticket
            ticket.request = replace(ticket.request, prompt_checks=screened)
            self.lanes[ticket.request.model.state.engine or "step"].queue.put(ticket)
        except QueueFull as error:
            ticket.fail(error.code, str(error))
            raise OrderProblem(error.code, str(error)) from error
        except Exception:
            ticket.fail(ErrorCode.INTERNAL, "The worker failed while screening this order.")
            raise
        return ticket

    def _register(self, order: ImageOrder, emit: Callable[[Event], None]) -> Ticket:
        """The order's ticket, from now on live. Raises OrderProblem.

        INVARIANT: a model is found and its order registered under one lock. Whoever evicts it lets nobody find it first
        and asks `is_in_use` then, so its room is not given back while an order still comes to hold it.
        """
        with self._lock:
            ticket = Ticket(self._request(order), emit)
            self._live = {order_id: live for order_id, live in self._live.items() if not live.is_over}
            if order.id in self._live:
                raise OrderProblem(ErrorCode.DUPLICATE_ORDER, "An order with this id is being carried out.")
            self._live[order.id] = ticket
        return ticket

    def cancel(self, text: bytes, order_id: str) -> None:
        """Stop a live order. Raises OrderProblem when there is none of this id."""
        order = parse(CancelOrder, self._seals.open(text, Purpose.CANCEL))
        if order.id != order_id:
            raise OrderProblem(ErrorCode.MALFORMED, "The signed id and the id of the address differ.")
        ticket = self._live.get(order_id)
        if ticket is None or not self.abandon(ticket):
            raise OrderProblem(ErrorCode.UNKNOWN_ORDER, "No order of this id is being carried out.")

    def abandon(self, ticket: Ticket) -> bool:
        """End a ticket as cancelled; its lane drops it within one step. False when it had ended."""
        return ticket.fail(ErrorCode.CANCELLED, "The order was cancelled.")

    def is_in_use(self, digest: str) -> bool:
        """Whether an order for this model has not ended."""
        with self._lock:
            return any(live.order.model == digest and not live.is_over for live in self._live.values())

    @property
    def waiting(self) -> int:
        """Orders lined up."""
        return sum(len(lane.queue) for lane in self.lanes.values())

    @property
    def running(self) -> int:
        """Orders in the making."""
        return sum(lane.running for lane in self.lanes.values())

    def _request(self, order: ImageOrder) -> Request:
        model = self.fleet.find(order.model)
        if model is None:
            raise OrderProblem(ErrorCode.UNKNOWN_MODEL, "This worker was never told of that model.")
        if isinstance(model, ModelState) and model.error in TRY_AGAIN:
            raise OrderProblem(ErrorCode.UNKNOWN_MODEL, "The model could not be loaded; send its manifest again.")
        if not isinstance(model, Model):
            code = model.error or ErrorCode.MODEL_NOT_READY
            raise OrderProblem(code, model.message or "The model is still being loaded.")
        pinned = order.safety.checker_sha256
        if model.checker is None:
            raise OrderProblem(ErrorCode.CHECKER_MISMATCH, "No safety checker is attached to this model.")
        if pinned is not None and pinned != model.checker.sha256:
            raise OrderProblem(ErrorCode.CHECKER_MISMATCH, "Another safety checker is attached than the order demands.")
        for kind, demanded, attached in (
            ("image", order.safety.image_checks, self.plugins.image_checks),
            ("prompt", order.safety.prompt_checks, self.plugins.prompt_checks),
        ):
            if missing := [name for name in demanded if name not in attached]:
                message = f"No {kind} check named {', '.join(missing)} is attached here, and the order demands it."
                raise OrderProblem(ErrorCode.CHECKER_MISMATCH, message)
        if order.safety.sld_must_act and (why_not := _cannot_steer(order, model)):
            message = f"Safe Latent Diffusion must act on your images here, and it cannot: {why_not}"
            raise OrderProblem(ErrorCode.SAFETY_CANNOT_ACT, message)
        request = Request(
            order=order,
            model=model,
            rules=self.rules,
            width=order.width or model.default_width,
            height=order.height or model.default_height,
            scheduler=order.scheduler or model.default_scheduler,
        )
        if problems := model_problems(request):
            raise OrderProblem(ErrorCode.LIMITS_EXCEEDED, " ".join(problems), problems)
        return request


def parse(kind: type[T], body: str) -> T:
    """A body as its model. Raises OrderProblem that names each wrong field, without repeating its value."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = tuple(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise OrderProblem(ErrorCode.MALFORMED, "The order does not follow the contract.", problems) from error


def _cannot_steer(order: ImageOrder, model: Model) -> str:
    """Why steering would not act, in words; empty when it would."""
    if model.state.engine == "diffusers":
        return levels.FOREIGN_LOOP
    return levels.facts(order.safety.sld_level, order.guidance_scale, order.steps).reason


def model_problems(request: Request) -> tuple[str, ...]:
    """What this model cannot do of an order, as sentences for the person who ordered."""
    order, multiple = request.order, request.model.side_multiple
    problems = [
        f"{name} is {side}; for this model it must be a multiple of {multiple}."
        for name, side in (("width", request.width), ("height", request.height))
        if side % multiple
    ]
    if order.negative_prompt and not request.model.takes_negative_prompt:
        problems.append("This model takes no negative prompt.")
    if order.scheduler is not None and request.model.default_scheduler is None:
        problems.append("This model runs with its own sampler only.")
    longest = LONGEST_RUNS.get(request.scheduler) if request.scheduler else None
    if longest is not None and order.steps > longest:
        problems.append(f"steps is {order.steps}; with {request.scheduler} it must be from 1 to {longest}.")
    rows = request.rows_per_image
    if order.bucket is not None and request.model.state.engine == "diffusers":
        problems.append("This model's calls have no bucket: it runs as it is, outside of the step engine.")
    elif order.bucket is not None and order.bucket < rows:
        problems.append(f"bucket is {order.bucket}; an image of this order takes {rows} rows.")
    return tuple(problems)
