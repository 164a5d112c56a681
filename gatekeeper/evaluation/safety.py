"""Safety reports: what a set of prompts came to, refused by the screen or flagged in images at each level of steering.

Prompts stand in a report by their number only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gatekeeper.evaluation.measures import grouped_rate
from gatekeeper.evaluation.promptsets import PromptSet, SafetyPrompt
from gatekeeper.evaluation.shots import Shot
from gatekeeper.evaluation.tables import EvaluationImage, ImageState

Body = dict[str, Any]
OWN_CHECK = "concepts"  # the model's own check; what others flagged is told under their names
_GROUPS: tuple[tuple[str, Callable[[SafetyPrompt], str]], ...] = (
    ("all", lambda prompt: ""),
    ("split", lambda prompt: prompt.split),
    ("category", lambda prompt: prompt.category),
    ("kind", lambda prompt: prompt.kind),
    ("language", lambda prompt: f"{prompt.language}-{prompt.script}"),
)


def written(
    prompts: PromptSet,
    made: Sequence[tuple[Shot[SafetyPrompt], EvaluationImage]],
    settings: Mapping[str, Any],
    *,
    screened: Mapping[int, Sequence[str]],
    rules_version: str,
    is_fake: bool,
) -> Body:
    """The body of a report.

    made      what came of every shot, behind the rules that may be waived
    screened  by number, the prompts that rules refuse, with their ids
    is_fake   made with the stand-in for tests, so it satisfies no stage
    """
    # What is refused behind the rules too, by a hard one or a classifier, is refused before them all the more.
    refused = set(screened) | {shot.prompt.number for shot, image in made if image.state is ImageState.REFUSED}
    demanded, further = (OWN_CHECK, *settings["image_checks"]), settings.get("further_checks", ())
    return {
        "rules_version": rules_version,
        "is_fake": is_fake,
        "counts": {
            "prompts": len(prompts.prompts),
            **{state.value: sum(image.state is state for _, image in made) for state in ImageState},
        },
        "prompts": {
            "name": prompts.id,
            "version": prompts.version,
            "sha256": prompts.set_sha256,
            "evaluated": len(prompts.prompts),
            "of": prompts.whole,
            "numbers": [] if len(prompts.prompts) == prompts.whole else [p.number for p in prompts.prompts],
        },
        "screen": screen_rows(prompts, refused),
        "refused_by": {str(number): list(rules) for number, rules in sorted(screened.items())},
        "levels": [
            _level(level, [each for each in made if each[0].sld_level == level], refused, demanded, further)
            for level in settings["sld_levels"]
        ],
    }


def screen_rows(prompts: PromptSet, refused: set[int]) -> list[Body]:
    """Refusals on both sides as a whole, then by split, category, kind and language."""
    rows = []
    for name, key in _GROUPS:
        for side, value in sorted({(prompt.side, key(prompt)) for prompt in prompts.prompts}):
            of = [(p, p.number in refused) for p in prompts.prompts if (p.side, key(p)) == (side, value)]
            rows.append({"group": f"{name} {value}".strip(), "side": side, "refused": _share(of)})
    return rows


def figures_of(body: Body) -> dict[str, dict[str, float]]:
    """The numbers that criteria ask for: refusals on both sides, what each check flagged at each level, and what was
    stopped there by rules and checks together."""
    found = {f"{row['side']}_refused_rate": _figure(row["refused"]) for row in body["screen"] if row["group"] == "all"}
    for level in body["levels"]:
        name = level["sld_level"]
        found |= {f"{each['side']}_stopped_{name}": _figure(each["stopped"]) for each in level["stopped"]}
        for sight in level["sights"]:
            prefix = "" if sight["check"] == OWN_CHECK else f"{sight['check']}_"
            found[f"{prefix}{sight['side']}_flagged_{name}"] = _figure(sight["flagged"])
    return found


def _level(
    level: str,
    made: Sequence[tuple[Shot[SafetyPrompt], EvaluationImage]],
    refused: set[int],
    demanded: Sequence[str],
    further: Sequence[str],
) -> Body:
    """What came of one level. Only the demanded checks stop an image; further ones are second opinions."""
    sights, stopped = [], []
    # An image without a verdict says nothing; it is counted apart.
    checked = [(shot, image) for shot, image in made if image.state is not ImageState.WITHHELD or image.flagged_by]
    for side in sorted({shot.prompt.side for shot, _ in made}):
        ours = [(shot, image) for shot, image in checked if shot.prompt.side == side]
        seen = [(shot.prompt, image.flagged_by) for shot, image in ours if image.state is not ImageState.REFUSED]
        for check in (*demanded, *further):
            same = [(prompt, (check in names) == (OWN_CHECK in names)) for prompt, names in seen]
            agrees = None if check == OWN_CHECK else _share(same)
            flagged = _share((prompt, check in names) for prompt, names in seen)
            sights.append({"side": side, "check": check, "flagged": flagged, "agrees": agrees})
        ends = [
            (shot.prompt, shot.prompt.number in refused or not set(demanded).isdisjoint(image.flagged_by))
            for shot, image in ours
        ]
        stopped.append({"side": side, "stopped": _share(ends)})
    return {"sld_level": level, "sights": sights, "stopped": stopped, "unchecked": len(made) - len(checked)}


def _share(hits: Iterable[tuple[SafetyPrompt, bool]]) -> Body:
    """Of images or prompts. Images of one prompt are likely to end alike, so the interval counts prompts."""
    of: dict[int, list[bool]] = defaultdict(list)
    for prompt, is_hit in hits:
        of[prompt.number].append(is_hit)
    groups = [(sum(each), len(each)) for each in of.values()]
    part, whole = (sum(numbers) for numbers in zip(*groups, strict=True)) if groups else (0, 0)
    estimate = grouped_rate(groups).as_json()
    return {"part": part, "whole": whole, "share": estimate["value"], "low": estimate["low"], "high": estimate["high"]}


def _figure(share: Mapping[str, Any]) -> dict[str, float]:
    return {"value": share["share"], "low": share["low"], "high": share["high"]}
