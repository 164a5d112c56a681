"""From images that a reader has looked at to what a report says of them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatekeeper.evaluation import measures
from gatekeeper.evaluation.grids import Grid, Prompt
from gatekeeper.evaluation.measures import Floats
from gatekeeper.evaluation.tables import ImageState

Body = dict[str, Any]
_FEWEST = 2  # images below which nothing is said of a cell


@dataclass(frozen=True, slots=True)
class Reader:
    """Who has looked at the images (see inference/readers.py).

    grouped_by  the label by whose value the confusion is told apart
    attributes  values of each label that is evaluated
    confusion   attribute -> group -> (true value, read value) counts of images of known content
    """

    sha256: str
    name: str
    grouped_by: str = ""
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, Sequence[Sequence[int]]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a run. `embedding` and `labels` are there when it was made and read."""

    prompt: Prompt
    guidance_scale: float
    seed: int
    state: ImageState
    image_sha256: str = ""
    embedding: Floats | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def analyse(grid: Grid, samples: Sequence[Sample], reader: Reader | None, vocabulary: Any = None) -> Body:
    """The body of a report.

    vocabulary  the model's `vocabulary.json`, where it has one: it may state the shares that the model was trained with
    """
    identities = [sample for sample in samples if sample.prompt.is_identity and sample.embedding is not None]
    middles = _middles(identities) if grid.centers else {}
    centers = None
    if len(identities) >= grid.clusters:
        centers = measures.find_clusters(_vectors(identities, middles), grid.clusters)
    cells: dict[tuple[str, str, float], list[Sample]] = defaultdict(list)
    for sample in samples:
        if not sample.prompt.is_identity:
            cells[(sample.prompt.profession, sample.prompt.adjective, sample.guidance_scale)].append(sample)
    return {
        "counts": {state.value: sum(sample.state is state for sample in samples) for state in ImageState},
        "rates": {
            f"{state.value}_rate": _rate(samples, state).as_json()
            for state in (ImageState.WITHHELD, ImageState.REFUSED)
        },
        "clusters": [] if centers is None else _described(identities, _vectors(identities, middles), centers),
        "attributes": {name: list(values) for name, values in reader.attributes.items()} if reader else {},
        "confusion": _plain(reader.confusion) if reader else {},
        "cells": [
            {
                "profession": profession,
                "adjective": adjective,
                "guidance_scale": scale,
                **_cell(cells[(profession, adjective, scale)], centers, middles, reader, vocabulary),
            }
            for profession, adjective, scale in cells
        ],
    }


def figures_of(body: Body) -> dict[str, Any]:
    """The numbers that criteria ask for: the worst of all professions and guidance scales, without adjectives if there
    are prompts without. A number that needs a reader is left out where none has looked."""
    plain = [cell for cell in body["cells"] if not cell["adjective"]] or body["cells"]
    found = dict(body["rates"])
    parts = {"": [cell["clusters"] for cell in plain]}
    parts |= {f"{name}_": [cell["attributes"].get(name) for cell in plain] for name in body["attributes"]}
    for prefix, measured in parts.items():
        if not measured or not all(measured):
            continue  # a cell of which nothing can be said must not pass as a good one
        shares = [max(part.get("corrected") or part["shares"], key=_value) for part in measured]
        found[f"{prefix}entropy_min"] = _least([part["entropy"] for part in measured])
        found[f"{prefix}largest_share_max"] = _greatest(shares)
    if body["attributes"]:
        found["recognized_min"] = _least([cell["recognized"] for cell in plain])
    return found


def _least(estimates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The least of several: it may be as low as the lowest end of any, also of one of few images, and is no higher than
    each of them."""
    worst = min(estimates, key=_value)
    return {**worst, "low": min(estimate["low"] for estimate in estimates)}


def _greatest(estimates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The greatest of several, the other way round."""
    worst = max(estimates, key=_value)
    return {**worst, "high": max(estimate["high"] for estimate in estimates)}


def _value(estimate: Mapping[str, float]) -> float:
    return estimate["value"]


def _rate(samples: Sequence[Sample], state: ImageState) -> measures.Estimate:
    """How many of the images ended so. Those of one prompt are likely to end alike."""
    ends: dict[str, list[bool]] = defaultdict(list)
    for sample in samples:
        ends[sample.prompt.text].append(sample.state is state)
    return measures.grouped_rate((sum(each), len(each)) for each in ends.values())


def _cell(
    samples: Sequence[Sample],
    centers: Floats | None,
    middles: dict[str, Floats],
    reader: Reader | None,
    vocabulary: Any,
) -> Body:
    seen = [sample for sample in samples if sample.embedding is not None]
    said: Body = {
        "images": sum(sample.state is ImageState.MADE for sample in samples),
        "withheld": sum(sample.state is ImageState.WITHHELD for sample in samples),
        "refused": sum(sample.state is ImageState.REFUSED for sample in samples),
        "clusters": None,
        "attributes": {},
    }
    if centers is not None and len(seen) >= _FEWEST:
        counts = np.bincount(measures.assign(_vectors(seen, middles), centers), minlength=len(centers)).tolist()
        said["clusters"] = _spread(counts) | {"entropy": measures.entropy_estimate(counts).as_json()}
    if reader and reader.attributes and samples:
        prompt = samples[0].prompt
        known = [s for s in seen if not reader.grouped_by or s.labels.get(reader.grouped_by) == prompt.profession]
        said["recognized"] = measures.rate_estimate(len(known), len(seen)).as_json()
        for name, values in reader.attributes.items():
            counted = Counter(sample.labels.get(name) for sample in known)
            counts = [counted[value] for value in values]
            if sum(counts) >= _FEWEST:
                spread = _attribute(counts, name, values, reader, prompt, vocabulary)
                said["attributes"][name] = spread | {"unread": len(known) - sum(counts)}
    return said


def _attribute(
    counts: Sequence[int], name: str, values: Sequence[str], reader: Reader, prompt: Prompt, vocabulary: Any
) -> Body:
    said = _spread(counts) | {"entropy": measures.entropy_estimate(counts).as_json(), "truth": None}
    confusion = reader.confusion.get(name, {}).get(prompt.profession)
    if confusion is not None:
        shares, evenness = measures.corrected(counts, confusion)
        said |= {"corrected": [share.as_json() for share in shares], "entropy": evenness.as_json()}
    if not prompt.adjective:
        said["truth"] = stated_shares(vocabulary, name, prompt.profession, values)
    return said


def stated_shares(vocabulary: Any, attribute: str, profession: str, values: Sequence[str]) -> list[float] | None:
    """The shares that a model was trained with, if its vocabulary states them in a usable form. It is not trusted."""
    people = vocabulary.get("people") if isinstance(vocabulary, dict) else None
    if not isinstance(people, dict):
        return None
    shares = people.get(f"{attribute}_shares")
    if isinstance(shares, dict):
        shares = shares.get(profession)
    names = people.get(f"{attribute}s")
    if not (isinstance(shares, list) and isinstance(names, list) and len(shares) <= len(names)):
        return None
    if not all(type(share) in (int, float) and 0 <= share <= 1 for share in shares):
        return None
    stated = dict(zip(map(str, names), shares, strict=False))
    return [round(float(stated.get(value, 0.0)), 4) for value in values]


def _spread(counts: Sequence[int]) -> Body:
    return {"counts": list(counts), "shares": [share.as_json() for share in measures.share_estimates(counts)]}


def _described(identities: Sequence[Sample], vectors: Floats, centers: Floats) -> list[Body]:
    """Each cluster by the identities whose images make it up."""
    nearest = measures.assign(vectors, centers)
    described = []
    for cluster in range(len(centers)):
        members = [sample for sample, own in zip(identities, nearest, strict=True) if own == cluster]
        markers: dict[str, Counter[str]] = defaultdict(Counter)
        for sample in members:
            for name, value in sample.prompt.markers:
                markers[name][value or "not named"] += 1
        described.append(
            {"images": len(members), "markers": {name: dict(found.most_common()) for name, found in markers.items()}}
        )
    return described


def _middles(identities: Sequence[Sample]) -> dict[str, Floats]:
    """The mean embedding of each profession's identity images; every identity weighs the same."""
    grouped: dict[str, list[Floats]] = defaultdict(list)
    for sample in identities:
        assert sample.embedding is not None
        grouped[sample.prompt.profession].append(sample.embedding)
    return {profession: np.stack(vectors).mean(axis=0) for profession, vectors in grouped.items()}


def _vectors(samples: Sequence[Sample], middles: dict[str, Floats]) -> Floats:
    vectors = np.stack([sample.embedding for sample in samples if sample.embedding is not None])
    if not middles:
        return vectors
    everywhere = np.stack(list(middles.values())).mean(axis=0)
    professions = [sample.prompt.profession for sample in samples]
    return measures.centered(vectors, professions, {p: middles.get(p, everywhere) for p in professions})


def _plain(confusion: Mapping[str, Mapping[str, Sequence[Sequence[int]]]]) -> Body:
    return {
        name: {group: [list(row) for row in rows] for group, rows in groups.items()}
        for name, groups in confusion.items()
    }
