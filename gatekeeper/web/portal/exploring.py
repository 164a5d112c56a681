"""What the explorer shows of one report, or of two beside each other: the chosen prompts, their images and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, Self

from markupsafe import Markup
from starlette.datastructures import QueryParams

from gatekeeper.evaluation import Estimate, EvaluationReport, measures
from gatekeeper.evaluation.pictures import PictureFolder
from gatekeeper.web import bias

_AT_FIRST = 4  # professions
_MOST_IMAGES = 48  # of a report on a page
_MOST_OF_PROMPT = 12
EVERY = "all"
_GONE = "not kept"

_Images = dict[int, dict[str, Any]]  # by seed


@dataclass(frozen=True)
class Chosen:
    """Which cells are shown. `guidance` is the text of one scale, or "all"."""

    professions: Sequence[str]
    adjectives: Sequence[str]
    guidance: str

    @classmethod
    def of(cls, query: QueryParams, report: EvaluationReport) -> Self:
        """What a query asks for. Where it asks for nothing that there is: the first of each, so neutral prompts."""
        professions, adjectives = values_of(report, "profession"), values_of(report, "adjective")
        scales = values_of(report, "guidance_scale")
        asked = _number(query.get("guidance", ""))
        nearest = scales[0] if asked is None else min(scales, key=lambda scale: abs(scale - asked))
        return cls(
            [each for each in professions if each in query.getlist("profession")] or professions[:_AT_FIRST],
            [each for each in adjectives if each in query.getlist("adjective")] or adjectives[:1],
            EVERY if EVERY in query.getlist("guidance") else f"{nearest:g}",
        )

    def cells(self, report: EvaluationReport) -> list[dict[str, Any]]:
        """The cells of a report that fit."""
        return [
            cell
            for cell in report.body["cells"]
            if cell["profession"] in self.professions
            and cell["adjective"] in self.adjectives
            and self.guidance in (EVERY, f"{cell['guidance_scale']:g}")
        ]


@dataclass(frozen=True)
class Side:
    """A report in a column of the explorer."""

    report: EvaluationReport
    href: str
    rows: Sequence[bias.Row]
    plots: dict[str, Markup]


@dataclass(frozen=True)
class Place:
    """Where an image stands. `lack` says why it is not there, in a word; "" where it is."""

    image: dict[str, Any]
    lack: str


@dataclass(frozen=True)
class Pictures:
    """One prompt's images, those of each report. `are_pairs`: equal places have equal seeds."""

    title: str
    columns: Sequence[tuple[Side, Sequence[Place]]]
    are_pairs: bool

    @property
    def are_gone(self) -> bool:
        """Whether some were made, and are not kept now."""
        return any(place.lack == _GONE for _, places in self.columns for place in places)


@dataclass(frozen=True)
class Moved:
    """A share that differs between two reports beyond doubt."""

    row: bias.Row
    before: float
    change: Estimate


@dataclass(frozen=True)
class Slider:
    """The guidance scales that were made, as a slider. Its steps reach each; in between the nearest is taken."""

    low: str
    high: str
    step: str
    marks: Sequence[str]

    @classmethod
    def of(cls, report: EvaluationReport) -> Self | None:
        """None where there is nothing to slide."""
        scales = sorted(values_of(report, "guidance_scale"))
        step = gcd(*(round(100 * (scale - scales[0])) for scale in scales)) / 100
        return cls(f"{scales[0]:g}", f"{scales[-1]:g}", f"{step:g}", [f"{s:g}" for s in scales]) if step else None


def values_of(report: EvaluationReport, name: str) -> list[Any]:
    """The professions, adjectives or guidance scales of a report, in their order."""
    return list(dict.fromkeys(cell[name] for cell in report.body["cells"]))


def side_of(report: EvaluationReport, chosen: Chosen, *, href: str, number: int) -> Side:
    """A report's column."""
    cells = chosen.cells(report)
    # Made here, its texts escaped.
    plots = {name: Markup(plot) for name, plot in bias.plots_of(report, cells, prefix=f"plot{number}")}  # noqa: S704
    return Side(report, href, bias.rows_of(report, cells), plots)


def pictures_of(sides: Sequence[Side], chosen: Chosen, folder: PictureFolder) -> list[Pictures]:
    """The first images of each chosen prompt, of each report. Where the reports share seeds, equal ones stand in equal
    places; what was withheld or refused keeps its place.
    """
    prompts = dict.fromkeys(
        (cell["profession"], cell["adjective"], cell["guidance_scale"])
        for side in sides
        for cell in chosen.cells(side.report)
    )
    most = min(max(_MOST_IMAGES // max(len(prompts), 1), 1), _MOST_OF_PROMPT)
    by_prompt = [_by_prompt_and_seed(side.report) for side in sides]
    found = []
    for prompt in prompts:
        made = [images.get(prompt, {}) for images in by_prompt]
        shared = set(made[0]).intersection(*made[1:])
        columns = [
            (side, [_place(images[seed], folder) for seed in sorted(shared or images)[:most]])
            for side, images in zip(sides, made, strict=True)
        ]
        profession, adjective, scale = prompt
        title = f"{adjective} {profession}".strip() + f", guidance {scale:g}"
        found.append(Pictures(title, columns, bool(shared)))
    return found


def moved(after: Side, before: Side) -> list[Moved]:
    """Shares of attributes that differ between two reports; clusters are each report's own, so they are left out."""
    known = {_key(row): row for row in before.rows}
    found = []
    for row in after.rows:
        old = known.get(_key(row))
        if old is None or row.measure == "cluster":
            continue
        new_share, old_share = Estimate.of(row.corrected or row.read), Estimate.of(old.corrected or old.read)
        change = measures.difference(new_share, old_share)
        if change.low > 0 or change.high < 0:
            found.append(Moved(row, old_share.value, change))
    return found


def _by_prompt_and_seed(report: EvaluationReport) -> dict[tuple[str, str, float], _Images]:
    found: dict[tuple[str, str, float], _Images] = {}
    for image in report.body["images"]:
        if not image["markers"]:
            prompt = image["profession"], image["adjective"], image["guidance_scale"]
            found.setdefault(prompt, {})[image["seed"]] = image
    return found


def _place(image: dict[str, Any], folder: PictureFolder) -> Place:
    if not image["sha256"]:
        return Place(image, image["state"])
    return Place(image, "" if folder.path(image["sha256"]).is_file() else _GONE)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _key(row: bias.Row) -> tuple[str, str, float, str, str]:
    return row.profession, row.adjective, row.guidance_scale, row.measure, row.group
