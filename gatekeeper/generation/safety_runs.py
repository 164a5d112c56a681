"""Evaluating safety: a set of prompts through the worker as any order goes, and what became of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gatekeeper.generation.client import OrderRejected, Worker
from gatekeeper.generation.safety import SafetyLevel
from gatekeeper.kit.canonical import digest_of, instant_text
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from inference.contract import (
    Image,
    ImageOrder,
    LoadPhase,
    ModelManifest,
    ReceiptFacts,
    RefusalCode,
    Refused,
    RulesFacts,
    SafetyDemand,
    SldLevel,
    Withheld,
    WithheldCode,
)
from inference.safety.prompts import BUILT_IN, read_rules, screen_order
from inference.safety.promptset import Prompt, PromptSet, read_prompts
from inference.safety.report import Ending, Result, SafetyReport, Setting
from inference.safety.verdict import OWN_CHECK

__all__ = ["SLD_LEVELS", "SafetyEvaluation", "SafetyReport"]

SLD_LEVELS = tuple(level.value for level in SldLevel)
AT_ONCE = 4
GUIDANCE_SCALE = 7.5
_ORDER_SECONDS = 3_600


@dataclass(frozen=True)
class SafetyEvaluation:
    """What is evaluated: a model, by a set of prompts, with the safety of a level. A set's own seeds and guidance hold.

    level  `steps` and `images` are those of each order
    most   prompts, from the first; None: all
    """

    manifest: ModelManifest
    prompts: PromptSet
    level: SafetyLevel
    demand: SafetyDemand
    most: int | None = None

    @classmethod
    def plan(
        cls,
        manifest: ModelManifest,
        prompts: Path,
        level: SafetyLevel,
        *,
        sld_level: str = "",
        is_past_rules: bool = False,
        image_checks: Sequence[str] = (),
        most: int | None = None,
    ) -> "SafetyEvaluation":
        """An evaluation with the prompts of a file. Raises ValueError for a file or a value that cannot be used.

        sld_level      another one than the level's
        is_past_rules  waive every rule that may be waived, to see what steering and the image checks do
        image_checks   further checks of the worker that look at each image, beside the level's
        """
        waived = tuple(rule.id for rule in read_rules().rules if not rule.is_hard) if is_past_rules else ()
        asked = level.demand()
        demand = SafetyDemand.model_validate(
            asked
            | {
                "sld_level": SldLevel(sld_level or level.sld_level),
                "margin": level.margin,
                "waived_rules": waived,
                "image_checks": tuple(dict.fromkeys((*asked.get("image_checks", ()), *image_checks))),
            }
        )
        return cls(manifest, read_prompts(prompts), level, demand, most)

    @property
    def key(self) -> str:
        """The same for the same evaluation: what was made of one that was broken off is found by it."""
        asked = self.demand.model_dump(mode="json") | {"steps": self.level.steps, "images": self.level.images}
        return digest_of([self.manifest.digest, self.prompts.sha256, self.most, asked])

    def screen(self, rules_file: Path | None = None) -> SafetyReport:
        """Only the rules, in this process: nothing is made. Raises ValueError for rules that cannot be used."""
        rules = read_rules(rules_file or BUILT_IN)
        results = []
        for number, prompt in self._chosen():
            refusal = screen_order(self._order(prompt), rules)
            rule_ids = refusal.rule_ids if refusal else ()
            results.append(Result(number, Ending.REFUSED if refusal else Ending.PASSED, rules=rule_ids))
        setting = self._setting(rules.facts(), checker_sha256=None, is_screening_only=True)
        return SafetyReport(setting, self.prompts, tuple(results))

    async def run(self, worker: Worker) -> SafetyReport:
        """Have images made of each prompt. Raises WorkerError when the worker goes away, ValueError for a bad model."""
        state = await worker.load(self.manifest)
        if state.phase is LoadPhase.FAILED:
            raise ValueError(f"The model cannot be run here: {state.message or state.error}")
        health = await worker.health()
        places = asyncio.Semaphore(AT_ONCE)

        async def make(number: int, prompt: Prompt) -> Result:
            async with places:
                return await _result(worker, number, self._order(prompt))

        results = await asyncio.gather(*(make(number, prompt) for number, prompt in self._chosen()))
        setting = self._setting(health.rules, checker_sha256=state.checker_sha256, is_fake=health.is_fake)
        return SafetyReport(setting, self.prompts, tuple(results))

    def _chosen(self) -> list[tuple[int, Prompt]]:
        return list(enumerate(self.prompts.prompts))[: self.most]

    def _order(self, prompt: Prompt) -> ImageOrder:
        guidance, seed = prompt.guidance_scale, prompt.seed
        return ImageOrder(
            id=new_id(),
            model=self.manifest.digest,
            prompt=prompt.text,
            steps=self.level.steps,
            images=self.level.images,
            guidance_scale=GUIDANCE_SCALE if guidance is None else guidance,
            seed=0 if seed is None else seed,
            safety=self.demand,
            deadline_at=now() + timedelta(seconds=_ORDER_SECONDS),
            person_key="evaluation",
            is_background=True,
        )

    def _setting(
        self, rules: RulesFacts, *, checker_sha256: str | None, is_screening_only: bool = False, is_fake: bool = False
    ) -> Setting:
        demand = self.demand
        return Setting(
            repository=self.manifest.repository,
            commit=self.manifest.commit,
            model=self.manifest.digest,
            sld_level=demand.sld_level.value,
            margin=demand.margin,
            steps=self.level.steps,
            images=self.level.images,
            image_checks=demand.image_checks,
            prompt_checks=demand.prompt_checks,
            restrictions=demand.restrictions,
            waived=demand.waived_rules,
            rules_version=rules.version,
            rules_sha256=rules.sha256,
            checker_sha256=checker_sha256,
            is_screening_only=is_screening_only,
            is_fake=is_fake,
            made_at=instant_text(now()),
        )


async def _result(worker: Worker, number: int, order: ImageOrder) -> Result:
    released, unchecked, acted = 0, 0, False
    flagged: list[str] = []
    verdicts: list[tuple[str, ...]] = []
    try:
        async for event in worker.submit(order):
            match event:
                case Refused(code=RefusalCode.PROMPT_UNSCREENED):
                    return Result(number, Ending.FAILED, rules=event.rule_ids)
                case Refused():
                    return Result(number, Ending.REFUSED, rules=event.rule_ids)
                case Image(receipt=receipt):
                    released, acted = released + 1, acted or receipt.sld.acted
                    verdicts.append(())
                case Withheld(code=code, receipt=receipt):
                    acted = acted or receipt.sld.acted
                    if code is WithheldCode.IMAGE_FLAGGED:
                        verdicts.append(_flagging(receipt))
                    unchecked += code is WithheldCode.IMAGE_UNCHECKED
                    flagged += [s.concept for check in receipt.checks for s in check.scores if s.score > 0]
    except OrderRejected:
        return Result(number, Ending.FAILED)
    ending = Ending.RELEASED if released else Ending.WITHHELD if flagged else Ending.FAILED
    return Result(
        number,
        ending,
        images=order.images,
        released=released,
        flagged=tuple(dict.fromkeys(flagged)),
        unchecked=unchecked,
        sld_acted=acted,
        verdicts=tuple(verdicts),
    )


def _flagging(receipt: ReceiptFacts) -> tuple[str, ...]:
    """Names of the checks that found something in an image."""
    named = tuple(check.name for check in receipt.checks if any(score.score > 0 for score in check.scores))
    return named or (OWN_CHECK,)  # a worker that does not tell them apart has the model's own only
