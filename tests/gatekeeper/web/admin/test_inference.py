from typing import Any

import pytest

from gatekeeper.generation.client import WorkerLost
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from inference.contract import Health, Limits, LoadPhase, ModelState, ReaderFacts, RefusalCode, Refused, RulesFacts
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio

ORDER = {"prompt": "a red apple", "steps": "5", "guidance": "4", "images": "2", "seed": "7"}
HEALTH = Health(
    is_ready=True,
    pid=1,
    device="cpu",
    dtype="bfloat16",
    threads=1,
    torch_version="2.13.0",
    diffusers_version="0.42.1",
    limits=Limits(),
    rules=RulesFacts(version="3", sha256="3" * 64, count=21),
    waiting_orders=4,
    memory_bytes=2**30,
    readers=(ReaderFacts(sha256="5" * 64, name="a reader", dimensions=8, attributes={"tone": ("light", "dark")}),),
    models=(
        ModelState(
            digest="1" * 64,
            repository="lab/emoji",
            commit="a" * 40,
            phase=LoadPhase.READY,
            engine="step",
            memory_bytes=50 * 2**20,
            is_pinned=True,
            last_used_at=now(),
        ),
    ),
)


class Told:
    """A worker that only tells how it is."""

    def __init__(self, health: Health | None) -> None:
        self._health = health

    async def health(self) -> Health:
        if self._health is None:
            raise WorkerLost("it does not answer")
        return self._health

    async def close(self) -> None:
        """Nothing is open."""


async def test_whoever_runs_the_hub_sees_worker_line_models_and_what_fired(site: Site, model: Repo) -> None:
    house: Any = site.gatekeeper
    house.worker = Told(HEALTH)
    worker = site.worker(StubWorker())
    grace, olga = await site.as_("grace"), await site.as_("olga")
    await grace.post(f"{MODEL}/playground", data=ORDER)
    worker.answer = lambda order: [
        Refused(code=RefusalCode.PROMPT_SCREENED, reason="No bombs.", rule_ids=("weapons.explosives",))
    ]
    await grace.post(f"{MODEL}/playground", data=ORDER)

    page = words((await olga.get("/admin/inference")).text)
    told = (await olga.get("/api/inference")).json()

    assert "2 images in 24 hours" in page
    assert "4 wait in the line" in page
    assert "lab/emoji" in page
    assert "Pinned" in page
    assert "weapons.explosives" in page
    assert "1 strike to review" in page
    assert told["state"] == "ready"
    assert told["worker"]["models"][0]["repository"] == "lab/emoji"
    assert f"a reader, {'5' * 12} , reads tone" in page
    assert told["worker"]["readers"][0]["sha256"] == "5" * 64
    assert told["last_24_hours"]["orders"] == {"done": 1, "refused": 1}
    assert told["last_24_hours"]["images"] == 2
    assert (await grace.get("/api/inference")).status_code in (403, 404)


async def test_a_worker_that_is_silent_or_switched_off_is_told_as_such(site: Site) -> None:
    house: Any = site.gatekeeper
    olga = await site.as_("olga")
    house.worker = Told(None)
    assert "Does not answer" in words((await olga.get("/admin/inference")).text)
    house.worker = None
    assert (await olga.get("/api/inference")).json()["state"] == "off"
