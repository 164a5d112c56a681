"""What pages and files show of reports: figures in words; of bias reports cells as rows, plots, words of caution."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper.evaluation import EvaluationReport, ReportKind
from gatekeeper.web.plots import Bar, Group, bars

FIGURES = {
    "entropy_min": "Least even spread over the clusters",
    "largest_share_max": "Greatest share of one cluster",
    "recognized_min": "Lowest share of images in which the profession is seen",
    "withheld_rate": "Images that the check withheld",
    "refused_rate": "Images whose prompt was refused",
    "harmful_refused_rate": "Harmful prompts that were refused",
    "harmless_refused_rate": "Harmless prompts that were refused",
}
_FLAGGED = re.compile(r"(?P<check>(?:[^_].*_)?)(?P<side>harmful|harmless)_flagged_(?P<level>[a-z]+)")
_STOPPED = re.compile(r"(?P<side>harmful|harmless)_stopped_(?P<level>[a-z]+)")
CAUTIONS = (
    "Clusters and readers see how images look. They do not know who somebody is, and no image shows anybody.",
    "The names of groups are those of the prompts. They are few, coarse, and leave people out.",
    "A cluster is described by the identities that were asked for in the images that make it up, not by what its other "
    "images show.",
    "An even spread is no goal by itself: whether it is wanted depends on what the model is for.",
    "Intervals hold the chance in drawing images, and the reader's errors where they are known. They do not hold what "
    "the grid leaves out.",
    "Results hold for these words, these settings and this safety level. Another phrasing may show something else.",
)


@dataclass(frozen=True)
class Row:
    """A share in the table."""

    profession: str
    adjective: str
    guidance_scale: float
    measure: str
    group: str
    count: int
    read: dict[str, float]
    corrected: dict[str, float] | None
    truth: float | None


def figure_label(name: str) -> str:
    """A figure in words; those of an attribute name it."""
    for suffix, label in (
        ("_entropy_min", "Least even spread of {}"),
        ("_largest_share_max", "Greatest share of one {}"),
    ):
        if name.endswith(suffix) and name not in FIGURES:
            return label.format(name.removesuffix(suffix))
    if found := _FLAGGED.fullmatch(name):
        check = f" by the check “{found['check'][:-1]}”" if found["check"] else ""
        return f"Images of {found['side']} prompts flagged{check}, steering {found['level']}"
    if found := _STOPPED.fullmatch(name):
        return f"{found['side'].capitalize()} prompts stopped by rules or checks, steering {found['level']}"
    return FIGURES.get(name, name)


def rows_of(report: EvaluationReport, cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Every share of these cells, clusters first."""
    rows = []
    for cell in cells:
        measures = {"cluster": (cell["clusters"], cluster_names(report))} if cell["clusters"] else {}
        measures |= {name: (found, report.body["attributes"][name]) for name, found in cell["attributes"].items()}
        for measure, (found, groups) in measures.items():
            for i, group in enumerate(groups):
                rows.append(
                    Row(
                        cell["profession"],
                        cell["adjective"],
                        cell["guidance_scale"],
                        measure,
                        group,
                        found["counts"][i],
                        found["shares"][i],
                        found["corrected"][i] if "corrected" in found else None,
                        found["truth"][i] if found.get("truth") else None,
                    )
                )
    return rows


def cluster_names(report: EvaluationReport) -> list[str]:
    """Clusters by their number and the marker that most of their images were asked with."""
    names = []
    for number, cluster in enumerate(report.body["clusters"], start=1):
        tops = [max(found.items(), key=lambda item: item[1]) for found in cluster["markers"].values() if found]
        shares = [f"{value} {100 * count / cluster['images']:.0f} %" for value, count in tops]
        names.append(f"{number}: {', '.join(shares)}")
    return names


def plots_of(
    report: EvaluationReport, cells: Sequence[Mapping[str, Any]], *, prefix: str, is_file: bool = False
) -> list[tuple[str, str]]:
    """(measure, plot) for each measure of these cells."""
    found: dict[str, list[Group]] = {}
    for cell in cells:
        title = f"{cell['adjective']} {cell['profession']}".strip() + f", guidance {cell['guidance_scale']:g}"
        for row in rows_of(report, [cell]):
            groups = found.setdefault(row.measure, [])
            if not groups or groups[-1].title != title:
                groups.append(Group(title, []))
            shown = row.corrected or row.read
            bar = Bar(row.group, shown["value"], shown["low"], shown["high"], row.truth)
            groups[-1] = Group(title, [*groups[-1].bars, bar])
    return [
        (measure, bars(f"{prefix}-{measure}", f"Shares by {measure}", groups, is_file=is_file))
        for measure, groups in found.items()
    ]


def as_csv(report: EvaluationReport) -> str:
    """Every share of a report, one a line; of a safety report its figures."""
    if report.kind is ReportKind.SAFETY:
        lines = [(name, f["value"], f["low"], f["high"]) for name, f in report.figures.items()]
        return _csv([("figure", "value", "low", "high"), *lines])
    head = ["profession", "adjective", "guidance_scale", "measure", "group", "images"]
    head += [f"{kind}_{part}" for kind in ("read", "corrected") for part in ("share", "low", "high")] + ["trained"]
    shares: list[Sequence[object]] = []
    for row in rows_of(report, report.body["cells"]):
        ends = [
            "" if each is None else each[part]
            for each in (row.read, row.corrected)
            for part in ("value", "low", "high")
        ]
        known = [row.profession, row.adjective, row.guidance_scale, row.measure, row.group, row.count]
        shares.append([*known, *ends, "" if row.truth is None else row.truth])
    return _csv([head, *shares])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def as_json(report: EvaluationReport) -> dict[str, Any]:
    """A report as it is given out: the signed statement, and the body that it is about."""
    return {"id": report.id, "receipt": report.receipt, "body": report.body}
