"""Whoever runs the hub hears of a policy that fails, as those are promised whom it refuses."""

from pathlib import Path

import pytest

from gatekeeper import notices
from gatekeeper.authz import Policies
from gatekeeper.repos import Repo
from tests.gatekeeper.authz.test_policies import OVERFLOW, with_rules
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio


async def test_a_policy_that_fails_is_told_to_who_runs_the_hub_once_an_hour(
    site: Site, model: Repo, tmp_path: Path
) -> None:
    house = site.gatekeeper
    olga, sound = await site.as_("olga"), house.policies
    assert "failed" not in words((await olga.get("/admin")).text)
    broken = Policies.load(with_rules(tmp_path, OVERFLOW))
    broken.alarms = sound.alarms
    house.in_force.current = broken
    refused = await site.browser().get(MODEL)
    house.in_force.current = sound
    assert refused.status_code in (401, 404)
    for _ in range(2):
        await house.alarms.tell(house.db)
        house.alarms.raised({"action": "know"})
    await house.alarms.tell(house.db)
    async with house.db.read() as session:
        told = {name: await notices.listing(session, person.id) for name, person in site.people.items()}
    assert {name: [n.kind for n in page.items if n.kind == "policy-error"] for name, page in told.items()} == {
        name: ["policy-error"] if person.is_admin else [] for name, person in site.people.items()
    }
    assert "failed" in words((await olga.get("/admin")).text)
