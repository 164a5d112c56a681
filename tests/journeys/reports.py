"""Finished reports for the demo's model, without the hour of images: `python -m tests.journeys.reports DATA_DIR`.

Everything goes through the rooms' own verbs; only the pictures and what is seen in them are made up.
"""

import asyncio
import io
import random
import sys
from pathlib import Path

import PIL.Image

from gatekeeper import accounts, evaluation, repos
from gatekeeper.app import assemble, close
from gatekeeper.cli.demo import NAME, NAMESPACE
from gatekeeper.evaluation import ImageState, Outcome, Reader, reports, runs
from gatekeeper.repos import RepoKind
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper
from tests.gatekeeper.web.evaluations import safety_here, safety_report

GENDERS = ("man", "woman", "person")


async def seed(data_dir: Path) -> None:
    """Two bias reports, the second contesting the first, and a safety report."""
    house = assemble(Settings(data_dir=data_dir, inference_url="off", _env_file=None))
    try:
        first = await _bias(house, None)
        await _bias(house, first)
        async with house.db.read() as session:
            repo, _, commit = await _at(house, session)
            person = await accounts.people.find(session, "maintainer")
        assert person is not None
        prompts = evaluation.load_prompt_sets()["prompts"]
        await safety_report(house, repo, commit, prompts, by=person)
    finally:
        await close(house)


async def _at(house: Gatekeeper, session):  # type: ignore[no-untyped-def]  # (repo, maintainer, released commit)
    repo = await repos.require(session, RepoKind.MODEL, f"{NAMESPACE}/{NAME}")
    person = await accounts.people.find(session, "maintainer")
    assert person is not None
    by = await accounts.principals.for_person(session, person)
    return repo, by, await repos.resolve_revision(session, repo, "main")


async def _bias(house: Gatekeeper, contests: evaluation.EvaluationReport | None) -> evaluation.EvaluationReport:
    # One transaction: the server beside it finds a run that is done, and nothing to do.
    grid, chance = evaluation.load_grids()["emoji"], random.Random(7)
    reader = Reader(grid.reader, "made-up reader", "profession", {"gender": GENDERS})
    async with house.db.write() as session:
        repo, by, commit = await _at(house, session)
        settings = grid.plan(await safety_here(house, session, repo, commit), seeds=3)
        run = await runs.start(session, repo, commit, grid, settings, by=by, contests=contests)
        outcomes, seen = {}, {}
        for shot in grid.shots(run.settings):
            gender = chance.randrange(3)
            digest = await house.pictures.write(_picture(gender, chance))
            outcomes[shot] = Outcome(ImageState.MADE, digest)
            embedding = [float(gender == place) + chance.gauss(0, 0.1) for place in range(3)]
            seen[digest] = (embedding, {"profession": shot.prompt.profession, "gender": GENDERS[gender]})
        await runs.keep(session, run, outcomes, done=len(outcomes))
        await reports.keep_readings(session, reader.sha256, seen)
        samples = await reports.samples_of(session, run, grid, reader_sha256=reader.sha256)
        body = reports.written(grid, samples, reader, None)
        return await reports.make(session, run, repo, grid, body, key=house.keys.signing)


def _picture(gender: int, chance: random.Random) -> bytes:
    color = [chance.randrange(60, 120) for _ in range(3)]
    color[gender] += 100
    file = io.BytesIO()
    PIL.Image.new("RGB", (64, 64), tuple(color)).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    asyncio.run(seed(Path(sys.argv[1])))
