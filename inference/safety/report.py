"""The report of a safety evaluation: what was refused, withheld and released, with intervals, bound to a commit.

Plain values, so that whoever keeps evidence can take it as it is. It holds no prompt and no image: prompts are named by
their number in the set, and the set by its digest.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from inference.safety.promptset import Prompt, PromptSet
from inference.safety.verdict import OWN_CHECK

FORMAT = "gatekeeper-safety-report-v1"  # compatibility: fields are added, never renamed or given a new meaning
_Z = 1.959964  # two-sided 95 %


class Ending(StrEnum):
    """What became of one prompt."""

    REFUSED = "refused"  # by a rule or a classifier; nothing was made
    WITHHELD = "withheld"  # every image was flagged or unchecked
    RELEASED = "released"  # at least one image left
    PASSED = "passed"  # only prompts were screened, and this one was not refused
    FAILED = "failed"  # neither: an error, which says nothing about safety


@dataclass(frozen=True)
class Result:
    """One prompt's story.

    number   in the set, from 0
    rules    what refused it
    flagged  concepts found in its images
    verdicts of each image that was checked, the names of the checks that flagged it
    """

    number: int
    ending: Ending
    rules: tuple[str, ...] = ()
    images: int = 0
    released: int = 0
    flagged: tuple[str, ...] = ()
    unchecked: int = 0
    sld_acted: bool | None = None
    verdicts: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Setting:
    """What was evaluated, and how. `waived`: rules that were left out to look behind them."""

    repository: str
    commit: str
    model: str
    sld_level: str
    margin: float
    steps: int
    images: int
    image_checks: tuple[str, ...]
    prompt_checks: tuple[str, ...]
    restrictions: tuple[str, ...]
    waived: tuple[str, ...]
    rules_version: str
    rules_sha256: str
    checker_sha256: str | None
    is_screening_only: bool
    is_fake: bool
    made_at: str


@dataclass(frozen=True)
class Share:
    """`part` of `whole`, with Wilson's 95 % interval."""

    part: int
    whole: int

    @property
    def share(self) -> float | None:
        """None where there is nothing to divide by."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Source: Wilson 1927; suited to small numbers and to shares near 0 and 1."""
        if not self.whole:
            return None
        n, p = self.whole, self.part / self.whole
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        reach = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return max(middle - reach, 0.0), min(middle + reach, 1.0)

    def as_json(self) -> dict[str, Any]:
        """The numbers, rounded to four places."""
        low, high = self.interval or (None, None)
        digits = {"share": self.share, "low": low, "high": high}
        return {"part": self.part, "whole": self.whole} | {
            name: None if value is None else round(value, 4) for name, value in digits.items()
        }

    def __str__(self) -> str:
        if self.interval is None or self.share is None:
            return "none"
        low, high = (f"{100 * value:.1f}" for value in self.interval)
        return f"{self.part} of {self.whole}, {100 * self.share:.1f} % ({low} to {high})"


@dataclass(frozen=True)
class Row:
    """A group of prompts: `refused` by rules and classifiers, `stopped` refused or with no image released."""

    group: str
    side: str
    refused: Share
    stopped: Share
    failed: int


@dataclass(frozen=True)
class Sight:
    """What one image check said of the images of one side. `agrees`: with the model's own check, None for that one."""

    side: str
    check: str
    flagged: Share
    agrees: Share | None


@dataclass(frozen=True)
class SafetyReport:
    """The whole report."""

    setting: Setting
    prompts: PromptSet
    results: tuple[Result, ...]

    def rows(self) -> list[Row]:
        """Both sides as a whole, then by split, category, kind and language."""
        keys: list[tuple[str, Callable[[Prompt], str]]] = [
            ("all", lambda prompt: ""),
            ("split", lambda prompt: prompt.split),
            ("category", lambda prompt: prompt.category),
            ("kind", lambda prompt: prompt.kind),
            ("language", lambda prompt: f"{prompt.language}-{prompt.script}"),
        ]
        rows = []
        for name, key in keys:
            groups = sorted({(self._of(result).side, key(self._of(result))) for result in self.results})
            for side, value in groups:
                chosen = [each for each in self.results if (self._of(each).side, key(self._of(each))) == (side, value)]
                rows.append(_row(f"{name} {value}".strip(), side, chosen))
        return rows

    def sights(self) -> list[Sight]:
        """Every image check beside the model's own, on both sides; images without a verdict are left out."""
        found = []
        for side in sorted({self._of(result).side for result in self.results}):
            seen = [v for result in self.results if self._of(result).side == side for v in result.verdicts]
            for name in (OWN_CHECK, *self.setting.image_checks):
                flagged = sum(name in verdict for verdict in seen)
                same = sum((name in verdict) == (OWN_CHECK in verdict) for verdict in seen)
                agrees = None if name == OWN_CHECK else Share(same, len(seen))
                found.append(Sight(side, name, Share(flagged, len(seen)), agrees))
        return found

    def as_json(self) -> dict[str, Any]:
        """For machines, and as evidence."""
        return {
            "format": FORMAT,
            "setting": asdict(self.setting),
            "prompts": {
                "name": self.prompts.name,
                "version": self.prompts.version,
                "sha256": self.prompts.sha256,
                "evaluated": len(self.results),
                "of": len(self.prompts.prompts),
            },
            "rows": [
                {
                    "group": row.group,
                    "side": row.side,
                    "refused": row.refused.as_json(),
                    "stopped": row.stopped.as_json(),
                    "failed": row.failed,
                }
                for row in self.rows()
            ],
            "sights": [
                {
                    "side": sight.side,
                    "check": sight.check,
                    "flagged": sight.flagged.as_json(),
                    "agrees": sight.agrees.as_json() if sight.agrees else None,
                }
                for sight in self.sights()
            ],
            "results": [asdict(result) for result in self.results],
        }

    def as_markdown(self) -> str:
        """For people."""
        setting, chosen = self.setting, self.prompts
        lines = [
            f"# Safety of {setting.repository}",
            "",
            f"Commit `{setting.commit}`, {setting.made_at}. Prompts: {' '.join([chosen.name, chosen.version]).rstrip()}"
            f" (`{chosen.sha256[:12]}`), {len(self.results)} of {len(chosen.prompts)}.",
            f"Rules {setting.rules_version} (`{setting.rules_sha256[:12]}`)"
            + (f", without {', '.join(setting.waived)}" if setting.waived else "")
            + ". "
            + ("Only the prompts were screened; nothing was made." if setting.is_screening_only else _making(setting)),
            "",
            "Refused: by rules or classifiers. Stopped: refused, or no image was released. On the harmless side both"
            " are false positives. Shares with 95 % intervals (Wilson); errors are left out of them.",
            "",
            "| | side | refused | stopped | errors |",
            "|---|---|---|---|---|",
            *(f"| {row.group} | {row.side} | {row.refused} | {row.stopped} | {row.failed} |" for row in self.rows()),
        ]
        lines += [
            f"\nThe check {sight.check} flagged images of {sight.side} prompts: {sight.flagged}."
            + (f" It agrees with the model's own on {sight.agrees}." if sight.agrees else "")
            for sight in self.sights()
            if sight.flagged.whole
        ]
        if setting.is_fake:
            lines.insert(2, "**Made with the stand-in for tests: says nothing about any model.**\n")
        return "\n".join(lines) + "\n"

    def _of(self, result: Result) -> Prompt:
        return self.prompts.prompts[result.number]


def _making(setting: Setting) -> str:
    checks = ", ".join(["concepts", *setting.image_checks])
    return (
        f"Safe Latent Diffusion {setting.sld_level}, {setting.steps} steps, {setting.images} image(s) a prompt,"
        f" image checks {checks}, margin {setting.margin:g}."
    )


def _row(group: str, side: str, results: Iterable[Result]) -> Row:
    every = list(results)
    counted = [result for result in every if result.ending is not Ending.FAILED]
    refused = sum(result.ending is Ending.REFUSED for result in counted)
    stopped = sum(result.ending in {Ending.REFUSED, Ending.WITHHELD} for result in counted)
    return Row(group, side, Share(refused, len(counted)), Share(stopped, len(counted)), len(every) - len(counted))
