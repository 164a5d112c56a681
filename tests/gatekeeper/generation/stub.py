"""A stand-in for the other process: answers orders with what a test gives it."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import PIL.Image

from gatekeeper.generation.client import OrderRejected
from inference.contract import (
    ConceptScore,
    Done,
    ErrorCode,
    Event,
    Image,
    ImageOrder,
    LoadPhase,
    ModelManifest,
    ModelState,
    Progress,
    Queued,
    ReceiptFacts,
    SldFacts,
    Started,
    Withheld,
    WithheldCode,
)


def png_of(index: int) -> bytes:
    """A picture of 64 by 64 pixels, another one for each index."""
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((64, 64)).convert("RGB").rotate(90 * index).save(file, "PNG")
    return file.getvalue()


def facts_of(order: ImageOrder, index: int, score: float = -0.1) -> ReceiptFacts:
    return ReceiptFacts(
        repository="demo/emoji",
        commit="a" * 40,
        model=order.model,
        weights={"unet/model.safetensors": "1" * 64},
        scheduler=order.scheduler or "ddim",
        steps=order.steps,
        guidance_scale=order.guidance_scale,
        seed=order.seed + index,
        width=order.width or 64,
        height=order.height or 64,
        bucket=order.bucket or 8,
        sld=SldFacts(level=order.safety.sld_level, warmup_steps=4, acted=True),
        checker_sha256="2" * 64,
        margin=order.safety.margin,
        scores=(ConceptScore(concept="skull", score=score),),
        rules_version="1",
        rules_sha256="3" * 64,
        torch_version="2.13.0",
        diffusers_version="0.42.1",
        device="cpu",
        dtype="float32",
        is_fake=True,
    )


def image(order: ImageOrder, index: int = 0) -> Image:
    png = base64.b64encode(png_of(index)).decode()
    return Image(index=index, png_base64=png, receipt=facts_of(order, index))


def withheld(order: ImageOrder, index: int = 0) -> Withheld:
    return Withheld(
        index=index,
        code=WithheldCode.IMAGE_FLAGGED,
        reason="The image shows a skull.",
        receipt=facts_of(order, index, 0.2),
    )


def all_good(order: ImageOrder) -> list[Event]:
    images = [image(order, index) for index in range(order.images)]
    return [
        Queued(place=1),
        Started(steps=order.steps),
        Progress(step=order.steps, steps=order.steps),
        *images,
        Done(delivered=len(images), withheld=0, compute_seconds=0.5),
    ]


class StubWorker:
    """answer: the events of an order, or the exception it meets after them; needs_load: as after a restart; knows: it
    says that it has an order that is to be cancelled."""

    def __init__(
        self,
        answer: Callable[[ImageOrder], list[Any]] = all_good,
        *,
        needs_load: bool = False,
        knows: bool = False,
    ) -> None:
        self.answer = answer
        self.knows = knows
        self.needs_load = needs_load
        self.orders: list[ImageOrder] = []
        self.loaded: list[ModelManifest] = []
        self.cancelled: list[str] = []
        self.load_phase = LoadPhase.READY
        self.gate: asyncio.Event | None = None

    async def load(self, manifest: ModelManifest, *, on_state: Callable[[ModelState], None]) -> ModelState:
        self.loaded.append(manifest)
        base = {"digest": manifest.digest, "repository": manifest.repository, "commit": manifest.commit}
        on_state(ModelState(**base, phase=LoadPhase.VERIFYING, bytes_verified=1, bytes_total=2))
        self.needs_load = False
        error = ErrorCode.MODEL_REFUSED if self.load_phase is LoadPhase.FAILED else None
        return ModelState(**base, phase=self.load_phase, error=error, message="It holds a pickle.")

    async def submit(self, order: ImageOrder) -> AsyncIterator[Event]:
        if self.needs_load:
            raise OrderRejected(ErrorCode.UNKNOWN_MODEL, "never told")
        self.orders.append(order)
        for event in self.answer(order):
            if self.gate is not None:
                await self.gate.wait()
            if isinstance(event, Exception):
                raise event
            yield event

    async def cancel(self, order_id: str) -> bool:
        self.cancelled.append(order_id)
        return self.knows

    async def until_up(self, deadline_at: datetime) -> None:
        """There at once."""
