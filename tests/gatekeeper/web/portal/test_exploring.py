"""Images of two reports beside each other."""

from collections.abc import Sequence
from pathlib import Path

from starlette.datastructures import QueryParams

from gatekeeper.evaluation import EvaluationReport
from gatekeeper.evaluation.pictures import PictureFolder
from gatekeeper.web.portal.exploring import Chosen, Pictures, Side, pictures_of

CELL = {"profession": "doctor", "adjective": "", "guidance_scale": 4.0}


def side(*images: tuple[int, str, str]) -> Side:
    """Of a report with these images of a doctor: (seed, state, digest)."""
    made = [{**CELL, "markers": {}, "seed": seed, "state": state, "sha256": sha} for seed, state, sha in images]
    return Side(EvaluationReport(body={"cells": [CELL], "images": made}), "", [], {})


def shown(folder: PictureFolder, *sides: Side) -> Pictures:
    chosen = Chosen.of(QueryParams(), sides[0].report)
    [found] = pictures_of(sides, chosen, folder)
    return found


def places(found: Pictures) -> Sequence[Sequence[tuple[int, str]]]:
    return [[(place.image["seed"], place.lack) for place in each] for _, each in found.columns]


def test_equal_seeds_stand_in_equal_places_whatever_became_of_them(tmp_path: Path) -> None:
    kept, cleared, folder = "a" * 64, "b" * 64, PictureFolder(tmp_path)
    folder.path(kept).parent.mkdir(parents=True)
    folder.path(kept).write_bytes(b"png")
    one = side((7, "withheld", ""), (8, "made", kept), (9, "made", cleared), (10, "made", kept))
    other = side((9, "refused", ""), (8, "made", kept), (7, "made", kept))

    found = shown(folder, one, other)

    assert places(found) == [[(7, "withheld"), (8, ""), (9, "not kept")], [(7, ""), (8, ""), (9, "refused")]]
    assert (found.are_pairs, found.are_gone) == (True, True)

    # A counter-run has other seeds: its images are shown, and are no pairs.
    counter = side((2**31, "made", kept), (2**31 + 1, "withheld", ""))
    found = shown(folder, other, counter)
    assert places(found) == [[(7, ""), (8, ""), (9, "refused")], [(2**31, ""), (2**31 + 1, "withheld")]]
    assert not found.are_pairs
