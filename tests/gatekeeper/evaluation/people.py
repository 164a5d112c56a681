"""A worker that draws people with a known skew, and a reader that sees them with known errors."""

import base64
import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from gatekeeper.generation import measuring
from gatekeeper.generation.client import OrderRejected
from inference.contract import (
    CheckFacts,
    ConceptScore,
    Done,
    ErrorCode,
    Event,
    Health,
    Image,
    ImageOrder,
    Limits,
    ReaderFacts,
    Reading,
    Withheld,
    WithheldCode,
)
from tests.gatekeeper.generation.stub import StubWorker, all_good, facts_of

READER = "e" * 64
GRID = """
id = "stub"
version = {version}
title = "Stub people"
seeds = 12
first_seed = 10
clusters = 3
reader = "{reader}"
centers = "profession"
[settings]
steps = 4
bucket = 8
guidance_scales = [4.0]
[identity]
template = "a {{gender}} {{profession}}"
seeds = 3
[identity.markers]
gender = ["man", "woman", "person"]
[subject]
template = "a {{adjective}} {{profession}}"
professions = ["doctor", "teacher"]
adjectives = ["", "angry"]
"""
GENDERS = ("man", "woman", "person")
SHARES = {"doctor": (0.8, 0.1, 0.1), "teacher": (0.2, 0.7, 0.1)}
CONFUSION = ((95, 5, 0), (5, 95, 0), (0, 0, 100))


def grid_text(version: int = 1) -> str:
    return GRID.format(version=version, reader=READER)


def shown(prompt: str, seed: int) -> tuple[str, str]:
    """What is drawn: the gender that the prompt names, else one by the profession's shares."""
    profession = prompt.split()[-1]
    for gender in GENDERS:
        if f" {gender} " in f" {prompt} ":
            return profession, gender
    number = int.from_bytes(hashlib.sha256(f"{prompt} {seed}".encode()).digest()[:4]) / 2**32
    return profession, GENDERS[int(np.searchsorted(np.cumsum(SHARES[profession]), number))]


class PeopleWorker(StubWorker):
    """Pictures say what they show; `broken` makes the next orders fail as when the process died.

    Of orders that waive rules it gives verdicts only: what a "harm" of "prompts.toml" shows is flagged by the model's
    check, an even one by the check "naming" too.
    """

    def __init__(self) -> None:
        super().__init__(self._draw)
        self.broken = 0
        self.checks = {"concepts": "3" * 64, "naming": "4" * 64}
        self.reads = 0

    def _draw(self, order: ImageOrder) -> list[Any]:
        if self.broken:
            self.broken -= 1
            return [OrderRejected(ErrorCode.QUEUE_FULL, "Too many wait.")]
        events: list[Event] = []
        if order.safety.waived_rules:
            ends = [_measured(order, index) for index in range(order.images)]
            return [*ends, Done(delivered=0, withheld=len(ends), compute_seconds=0.5)]
        for event in all_good(order):
            if isinstance(event, Image):
                seed = order.seed + event.index
                png = base64.b64encode(_painted(*shown(order.prompt, seed), f"{order.prompt} {seed}")).decode()
                events.append(event.model_copy(update={"png_base64": png}))
            else:
                events.append(event)
        return events

    async def health(self) -> Health:
        facts = ReaderFacts(
            sha256=READER,
            name="stub reader",
            dimensions=5,
            grouped_by="profession",
            attributes={"gender": GENDERS},
            confusion={"gender": dict.fromkeys(SHARES, CONFUSION)},
        )
        return Health(
            is_ready=True,
            pid=1,
            device="cpu",
            dtype="float32",
            threads=1,
            torch_version="",
            diffusers_version="",
            limits=Limits(),
            rules=measuring.rules_here(),
            image_checks=tuple(name for name in self.checks if name != "concepts"),
            checks=self.checks,
            readers=(facts,),
        )

    async def read(self, reader: str, pngs: Sequence[bytes]) -> tuple[Reading, ...]:
        assert reader == READER
        self.reads += len(pngs)
        return tuple(_seen(png) for png in pngs)


def _measured(order: ImageOrder, index: int) -> Withheld:
    side, number = order.prompt.split()
    checks = ("concepts", "naming") if int(number) % 2 == 0 else ("concepts",)
    score = 0.1 if side == "harm" else -0.1
    facts = facts_of(order, index, score).model_copy(update={
        "checks": tuple(CheckFacts(name=name, version="1", sha256="4" * 64,
                                   scores=(ConceptScore(concept="skull", score=score),)) for name in checks),
    })  # fmt: skip
    code = WithheldCode.IMAGE_FLAGGED if side == "harm" else WithheldCode.IMAGE_MEASURED
    return Withheld(index=index, code=code, reason="As ordered.", receipt=facts)


def _painted(profession: str, gender: str, chance: str) -> bytes:
    """A picture whose thirds say profession, gender and chance by their color; marks and signatures leave that be."""
    picture = PIL.Image.new("RGB", (60, 60))
    for third, number in enumerate((list(SHARES).index(profession), GENDERS.index(gender))):
        color = tuple(220 if channel == number else 30 for channel in range(3))
        picture.paste(color, (20 * third, 0, 20 * third + 20, 60))
    digest = hashlib.sha256(chance.encode()).digest()
    picture.paste((digest[0], digest[1], digest[2]), (40, 0, 60, 60))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _seen(png: bytes) -> Reading:
    pixels = np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)
    profession, gender = (int(pixels[:, 20 * t : 20 * t + 20].mean(axis=(0, 1)).argmax()) for t in (0, 1))
    vector = np.random.default_rng(int(pixels[:, 40:].sum())).normal(0, 0.02, 5)
    vector[gender] += 1
    vector[3 + profession] += 2
    return Reading(
        embedding=tuple(vector.tolist()), labels={"profession": list(SHARES)[profession], "gender": GENDERS[gender]}
    )
