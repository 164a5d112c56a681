"""A report as files: a page of Markdown with its plots, and the report itself as JSON and CSV.

A bias report brings its pictures too. A safety report has none, for nobody gets them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatekeeper.evaluation import EvaluationReport, ReportKind
from gatekeeper.web import bias
from gatekeeper.web.plots import percent
from gatekeeper.web.portal import safety_report
from gatekeeper.web.state import Gatekeeper

_PICTURES = 16  # of each prompt on the sheet
_SIDE = 64


def write_pages(gatekeeper: Gatekeeper, report: EvaluationReport, directory: Path) -> None:
    """Write everything into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = _people(gatekeeper, report, directory) if report.kind is ReportKind.BIAS else _harm(report, directory)
    (directory / "README.md").write_text("\n".join(lines), encoding="utf-8")
    (directory / "report.csv").write_text(bias.as_csv(report), encoding="utf-8")
    # As it is given out, with the key beside it: statement, signature and digest can be checked from the file alone.
    whole = {**bias.as_json(report), "public_key": gatekeeper.keys.signing.public_text}
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    (directory / "report.json").write_text(text + "\n", encoding="utf-8")


def _people(gatekeeper: Gatekeeper, report: EvaluationReport, directory: Path) -> list[str]:
    plain = [cell for cell in report.body["cells"] if not cell["adjective"]]
    lines = [*_head(report), *_figures(report)]
    for measure, plot in bias.plots_of(report, plain, prefix="plot", is_file=True):
        (directory / f"{measure}.svg").write_text(plot + "\n", encoding="utf-8")
        lines += [f"## Shares by {measure}", "", f"![Shares by {measure}]({measure}.svg)", ""]
        if measure in report.body["attributes"]:
            lines += _attribute(report, plain, measure)
        else:
            lines += ["Clusters of the identity images:", "", *(f"- {name}" for name in bias.cluster_names(report)), ""]
    lines += _adjectives(report)
    sheet = _sheet(gatekeeper, report, directory / "images.webp")
    lines += ["## Images", "", "The first images of each prompt, in the order of their seeds:", ""]
    lines += ["![The first images of each prompt](images.webp)", "", *sheet, ""]
    return [*lines, "## What this does not say", "", *(f"- {caution}" for caution in bias.CAUTIONS), ""]


def _harm(report: EvaluationReport, directory: Path) -> list[str]:
    settings, chosen = report.body["settings"], report.body["prompts"]
    plot = safety_report.plot_of(report, is_file=True)
    (directory / "flagged.svg").write_text(plot + "\n", encoding="utf-8")
    sample = f", a sample drawn with the seed {settings['sample']['seed']}" if settings["sample"] else ""
    lines = [
        "# Safety report",
        "",
        f"Prompts “{chosen['name']}”, version {chosen['version']} (`{chosen['sha256'][:16]}`), {chosen['evaluated']} of"
        f" {chosen['of']}{sample}, on the files `{report.manifest_sha256[:16]}`. Images of each prompt at each level:"
        f" {report.seeds}. Levels of Safe Latent Diffusion ({', '.join(settings['sld_levels'])}),"
        f" {settings['steps']} steps. Prompt rules {report.body['rules_version']} (`{settings['rules_sha256'][:16]}`).",
        "",
        "Made by `gatekeeper evaluate`; see [evaluation.md](../evaluation.md#safety-reports) for the method. All"
        " intervals are 95 %. Prompts are named by their number only, and nobody got the images.",
        "",
    ]
    if report.body["is_fake"]:
        lines += ["**Made with the stand-in for tests: says nothing about any model.**", ""]
    lines += [*_figures(report), "## What the checks flagged", "", "![What the checks flagged](flagged.svg)", ""]
    seen = [
        (level["sld_level"], sight["side"], sight["check"], _share(sight["flagged"]), _share(sight["agrees"]))
        for level in report.body["levels"]
        for sight in level["sights"]
    ]
    lines += [*_table(("steering", "prompts", "check", "flagged", "agrees with the model's own"), seen), ""]
    rows = [(row["group"], row["side"], _share(row["refused"])) for row in report.body["screen"]]
    lines += ["## What the prompt screen refused", "", *_table(("group", "prompts", "refused"), rows), ""]
    return [*lines, "## What this does not say", "", *(f"- {each}" for each in safety_report.CAUTIONS), ""]


def _share(share: dict[str, Any] | None) -> str:
    if share is None or not share["whole"]:
        return ""
    low, high = percent(share["low"]), percent(share["high"])
    return f"{share['part']} of {share['whole']}, {percent(share['share'])} ({low} to {high})"


def _head(report: EvaluationReport) -> list[str]:
    settings, counts = report.body["settings"], report.body["counts"]
    grid, scales = report.body["grid"], " and ".join(f"{scale:g}" for scale in settings["guidance_scales"])
    return [
        "# Bias report",
        "",
        f"Grid “{grid['title']}”, version {grid['version']} (`{report.grid_sha256[:16]}`), on the files"
        f" `{report.manifest_sha256[:16]}`: {sum(counts.values()):,} images, {counts['withheld']} withheld by the image"
        f" check, {counts['refused']} of refused prompts. {report.seeds} images of each prompt at guidance {scales},"
        f" {settings['steps']} steps, Safe Latent Diffusion {settings['sld_level']}.",
        "",
        "Made by `gatekeeper evaluate`; see [evaluation.md](../evaluation.md) for the method. All intervals are"
        " 95 %. In the plots the orange line is the share that the model was trained with, as its card states it.",
        "",
    ]


def _figures(report: EvaluationReport) -> list[str]:
    rows = [
        (bias.figure_label(name), f"`{name}`", f"{f['value']:.3f}", f"{f['low']:.3f} to {f['high']:.3f}")
        for name, f in report.figures.items()
    ]
    return ["## Figures", "", *_table(("", "name in stages.toml", "value", "interval"), rows), ""]


def _attribute(report: EvaluationReport, cells: Sequence[dict[str, Any]], measure: str) -> list[str]:
    rows = [
        (
            f"{row.profession}, guidance {row.guidance_scale:g}",
            row.group,
            percent(row.read["value"]),
            f"{percent(row.corrected['value'])} ({percent(row.corrected['low'])} to {percent(row.corrected['high'])})",
            "" if row.truth is None else percent(row.truth),
            "" if row.truth is None else f"{100 * (row.corrected['value'] - row.truth):+.0f} points",
            "" if row.truth is None else "yes" if row.corrected["low"] <= row.truth <= row.corrected["high"] else "no",
        )
        for row in bias.rows_of(report, cells)
        if row.measure == measure and row.corrected
    ]
    head = ("images of", measure, "read", "corrected (interval)", "trained", "difference", "interval holds it")
    lines = [*_table(head, rows), "", f"How the reader errs in {measure} (rows: true, columns: read):", ""]
    values = report.body["attributes"][measure]
    for group, counts in report.body["confusion"].get(measure, {}).items():
        errors = [(value, *map(str, row)) for value, row in zip(values, counts, strict=True)]
        lines += [*_table((f"{group}: true", *values), errors), ""]
    return lines


def _adjectives(report: EvaluationReport) -> list[str]:
    rows = []
    for cell in report.body["cells"]:
        spreads = [
            f"{cell['attributes'][name]['entropy']['value']:.2f}" if name in cell["attributes"] else "too few"
            for name in report.body["attributes"]
        ]
        clusters = f"{cell['clusters']['entropy']['value']:.2f}" if cell["clusters"] else "too few"
        seen = percent(cell["recognized"]["value"]) if "recognized" in cell else ""
        name = f"{cell['adjective']} {cell['profession']}".strip()
        rows.append((name, f"{cell['guidance_scale']:g}", str(cell["images"]), seen, clusters, *spreads))
    spread_of = [f"{name}: evenness" for name in report.body["attributes"]]
    head = ("prompt", "guidance", "images", "profession seen", "clusters: evenness", *spread_of)
    return ["## Every prompt", "", "Evenness is 0 when all images fall into one group, 1 when all are as many.", "",
            *_table(head, rows), ""]  # fmt: skip


def _sheet(gatekeeper: Gatekeeper, report: EvaluationReport, path: Path) -> list[str]:
    """Draws the sheet; returns the list of its rows."""
    # Imported here: it comes with the extra [inference], which only this needs.
    from PIL import Image

    rows: dict[tuple[str, float], list[str]] = {}
    for image in report.body["images"]:
        if image["state"] == "made" and not image["markers"]:
            rows.setdefault((image["prompt"], image["guidance_scale"]), []).append(image["sha256"])
    sheet = Image.new("RGB", (_PICTURES * _SIDE, len(rows) * _SIDE), "white")
    for y, digests in enumerate(rows.values()):
        for x, digest in enumerate(digests[:_PICTURES]):
            with Image.open(gatekeeper.pictures.path(digest)) as picture:
                sheet.paste(picture.convert("RGB").resize((_SIDE, _SIDE)), (x * _SIDE, y * _SIDE))
    sheet.save(path, quality=70, method=6)
    return [f"{n}. {prompt}, guidance {scale:g}" for n, (prompt, scale) in enumerate(rows, start=1)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]
