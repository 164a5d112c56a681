"""The way to the inference process: the only module here that knows its contract, and the only one that speaks to it.

    WorkerError
    ├── WorkerLost        the connection broke before the order ended: nothing is known of the order any more
    │   └── WorkerAbsent  there was no connection: nothing was sent
    ├── WorkerMismatch    the worker speaks another version of the contract
    └── OrderRejected     the worker did not accept the order; `code` and `problems` say why

An order that was accepted ends with one terminal event (`Done`, `Refused`, `Failed`) or with `WorkerLost`.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TypeVar

import httpx2
from pydantic import ValidationError

from gatekeeper.kit.clock import now
from inference.contract import (
    CONTRACT_VERSION,
    TERMINAL,
    CancelOrder,
    ErrorCode,
    Event,
    Health,
    ImageOrder,
    LoadOrder,
    LoadPhase,
    ModelManifest,
    ModelState,
    Problem,
    Reading,
    Readings,
    ReadOrder,
    parse_event,
    sign,
)

T = TypeVar("T")

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_LOAD_SECONDS = 3600.0
_LOOK_SECONDS = 0.25
_READ_SECONDS = 300.0


class WorkerError(Exception):
    """Base of what can go wrong between the two processes."""


class WorkerLost(WorkerError):
    """The inference process does not answer, or died in the middle."""


class WorkerAbsent(WorkerLost):
    """No connection to the inference process: it has not got what was to be sent."""


class WorkerMismatch(WorkerError):
    """The inference process speaks another version of the contract."""


class OrderRejected(WorkerError):
    """The worker did not accept what it was told.

    problems  sentences for the person, one for each limit that was broken
    """

    def __init__(self, code: ErrorCode, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = problems

    @property
    def needs_load(self) -> bool:
        """Whether the worker has to be told of the model first (again, after a restart), or to be waited for."""
        return self.code in {ErrorCode.UNKNOWN_MODEL, ErrorCode.MODEL_NOT_READY}


class Worker:
    """A client of one inference process.

    url  `unix:/path/to/worker.sock`, `http://...` or `https://...`
    key  at least 32 bytes, shared with the worker
    """

    def __init__(self, url: str, *, key: bytes) -> None:
        self._key = key
        socket = url.removeprefix("unix:") if url.startswith("unix:") else None
        self._http = httpx2.AsyncClient(
            base_url="http://worker" if socket else url,
            transport=httpx2.AsyncHTTPTransport(uds=socket) if socket else None,
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8),
            trust_env=False,  # a proxy in the environment must never see a prompt
        )

    async def close(self) -> None:
        """Close every connection; orders that are still read are cancelled by it."""
        await self._http.aclose()

    async def health(self) -> Health:
        """The worker as it is. Raises WorkerLost, WorkerMismatch."""
        health = _parsed(Health.model_validate_json, (await self._ask("GET", "/health")).decode())
        if health.contract_version != CONTRACT_VERSION:
            raise WorkerMismatch(
                f"the worker speaks contract version {health.contract_version}, this process {CONTRACT_VERSION}"
            )
        return health

    async def until_up(self, deadline_at: datetime) -> None:
        """Wait until the worker answers again. Raises WorkerLost when it does not until then, WorkerMismatch."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.health()
            except WorkerLost:
                if now() >= deadline_at:
                    raise
            else:
                return

    async def models(self) -> tuple[ModelState, ...]:
        """Every model the worker was told of since it started."""
        return (await self.health()).models

    async def load(
        self, manifest: ModelManifest, *, on_state: Callable[[ModelState], None] = lambda state: None
    ) -> ModelState:
        """Make a model ready and return its last state, `ready` or `failed`; at once if it is ready already.

        on_state  sees every state on the way
        Raises OrderRejected, WorkerLost.
        """
        state: ModelState | None = None
        async with aclosing(self._stream("/models", LoadOrder(manifest=manifest), _LOAD_SECONDS)) as lines:
            async for line in lines:
                state = _parsed(ModelState.model_validate_json, line)
                on_state(state)
        if state is None or state.phase not in {LoadPhase.READY, LoadPhase.FAILED}:
            raise WorkerLost("the inference process went away while it was loading the model")
        return state

    async def submit(self, order: ImageOrder) -> AsyncIterator[Event]:
        """Have an order carried out; the last event is terminal. Closing the iterator cancels the order.

        Raises OrderRejected before the first event; WorkerLost at any time.
        """
        seconds = max((order.deadline_at - now()).total_seconds(), 0) + _ANSWER_SECONDS
        async with aclosing(self._stream("/orders", order, seconds)) as lines:
            async for line in lines:
                event = _parsed(parse_event, line)
                yield event
                if isinstance(event, TERMINAL):
                    return
        raise WorkerLost("the inference process went away before the order ended")

    async def cancel(self, order_id: str) -> bool:
        """Stop an order. False when the worker knows none of this id (any more). Raises WorkerLost."""
        try:
            await self._ask("DELETE", f"/orders/{order_id}", self._signed(CancelOrder(id=order_id)))
        except OrderRejected as error:
            if error.code is ErrorCode.UNKNOWN_ORDER:
                return False
            raise
        return True

    async def read(self, reader: str, pngs: Sequence[bytes]) -> tuple[Reading, ...]:
        """What a reader sees in up to 64 images, in their order. Raises OrderRejected, WorkerLost."""
        order = ReadOrder(reader=reader, images=tuple(base64.b64encode(png).decode() for png in pngs))
        answer = await self._ask("POST", "/readings", self._signed(order), seconds=_READ_SECONDS)
        return _parsed(Readings.model_validate_json, answer.decode()).readings

    def _signed(self, order: LoadOrder | ImageOrder | CancelOrder | ReadOrder) -> bytes:
        return sign(order, self._key, now=now()).model_dump_json().encode()

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, *, seconds: float = _ANSWER_SECONDS
    ) -> bytes:
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, read=seconds)
        try:
            response = await self._http.request(method, path, content=body, timeout=timeout)
        except httpx2.TransportError as error:
            raise _lost("does not answer", error) from error
        if response.is_error:
            raise _rejection(response.content)
        return response.content

    async def _stream(self, path: str, order: LoadOrder | ImageOrder, read_seconds: float) -> AsyncGenerator[str, None]:
        """Lines of the answer to a signed order. Raises OrderRejected, WorkerLost."""
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, read=read_seconds)
        try:
            async with self._http.stream("POST", path, content=self._signed(order), timeout=timeout) as response:
                if response.is_error:
                    raise _rejection(await response.aread())
                async for line in response.aiter_lines():
                    yield line
        except httpx2.TransportError as error:
            raise _lost("went away", error) from error


def _lost(what: str, error: httpx2.TransportError) -> WorkerLost:
    kind = WorkerAbsent if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) else WorkerLost
    return kind(f"the inference process {what} ({type(error).__name__})")


def _parsed(parse: Callable[[str], T], line: str) -> T:
    try:
        return parse(line)
    except ValidationError as error:
        raise WorkerLost("the inference process answered with something else than the contract") from error


def _rejection(body: bytes) -> WorkerError:
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        return WorkerLost("the inference process failed to answer")
    return OrderRejected(problem.code, problem.message, problem.problems)
