from typing import Any

import pytest
import sqlalchemy as sa

from gatekeeper.accounts import Principal
from gatekeeper.accounts.use_tables import ApiUse
from gatekeeper.db import Database
from gatekeeper.errors import TooMany
from gatekeeper.web.limits import WINDOW_SECONDS, RateLimits
from tests.gatekeeper.web.site import Site

KEY = b"k" * 32


class Clock:
    now = 1000.0 * WINDOW_SECONDS

    def __call__(self) -> float:
        return self.now


def request(*, token: str = "", address: str = "192.0.2.1", person: str | None = None) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    made = {"type": "http", "path": "/api/models", "headers": headers, "client": (address, 1)}
    return made | ({"gatekeeper.principal": Principal(person_id=person)} if token else {})


def used_up(limits: RateLimits, scope: dict[str, Any]) -> bool:
    try:
        limits.take(scope)
    except TooMany:
        return True
    return False


def test_the_headers_tell_what_is_left_and_until_when() -> None:
    clock = Clock()
    limits = RateLimits(2, key=KEY, clock=clock)
    clock.now += 10
    assert dict(limits.take(request())) == {
        b"ratelimit": b'"api";r=1;t=290',
        b"ratelimit-policy": b'"fixed window";"api";q=2;w=300',
    }
    limits.take(request())
    with pytest.raises(TooMany) as caught:
        limits.take(request())
    assert dict(limits.refused(caught.value))[b"ratelimit"] == b'"api";r=0;t=290'
    clock.now += 290
    assert not used_up(limits, request())


def test_all_tokens_of_a_person_count_together_and_addresses_apart() -> None:
    limits = RateLimits(2, key=KEY, clock=Clock())
    for token in ("one", "two"):
        limits.saw(request(token=token, person="ada"), status=200)
    assert not used_up(limits, request(token="one"))
    assert not used_up(limits, request(token="two", address="192.0.2.9"))
    assert used_up(limits, request(token="one", address="192.0.2.7"))
    assert not used_up(limits, request())


def test_made_up_and_refused_credentials_count_for_their_address() -> None:
    limits = RateLimits(3, key=KEY, clock=Clock())
    for number in range(3):
        scope = request(token=f"made-up-{number}")
        assert not used_up(limits, scope)
        limits.saw(scope, status=401)
    assert used_up(limits, request(token="made-up-9"))
    limits.saw(request(token="good", person="ada"), status=200)
    assert not used_up(limits, request(token="good"))
    limits.saw(request(token="good", person=None), status=401)
    assert used_up(limits, request(token="good"))


def test_files_and_pages_are_not_counted_and_zero_means_any_number() -> None:
    assert not RateLimits(1, key=KEY).applies_to(request() | {"path": "/ada/demo/resolve/main/a.txt"})
    assert RateLimits(1, key=KEY).applies_to(request())
    assert not RateLimits(0, key=KEY).applies_to(request())


@pytest.mark.anyio
async def test_answers_carry_the_headers_and_beyond_the_limit_a_429(site: Site) -> None:
    site.app._limits = RateLimits(2, key=KEY)
    async with site.browser() as browser:
        answer = await browser.get("/api/models")
        assert answer.headers["ratelimit"].startswith('"api";r=1;t=')
        assert (await browser.get("/api/models/no/where")).headers["ratelimit"].startswith('"api";r=0;t=')
        refused = await browser.get("/api/models")
        assert refused.status_code == 429
        assert refused.headers["ratelimit"].startswith('"api";r=0;t=')
        assert int(refused.headers["retry-after"]) <= WINDOW_SECONDS
        assert "minutes" in refused.json()["error"]
        assert (await browser.get("/")).status_code == 200
        page = await site.as_("ada")
        assert (await page.get("/api/whoami-v2")).status_code == 429  # not known yet, so it counts for the address
        site.app._limits = RateLimits(2, key=KEY)
        for _ in range(3):
            seen = await page.get("/api/whoami-v2")
        assert seen.status_code == 200  # the first call counted for the address
        await page.aclose()


@pytest.mark.anyio
async def test_processes_share_one_limit(database: Database) -> None:
    clock = Clock()
    one, two = RateLimits(10, key=KEY, clock=clock), RateLimits(10, key=KEY, clock=clock)
    two.take(request())
    for _ in range(8):
        one.take(request())
    await one.share(database)
    await two.share(database)
    await one.share(database)

    assert dict(two.take(request()))[b"ratelimit"].startswith(b'"api";r=0;')
    assert used_up(two, request())
    assert not used_up(two, request(address="192.0.2.2"))
    assert not used_up(one, request())
    assert used_up(one, request())
    clock.now += WINDOW_SECONDS
    assert not used_up(one, request())


@pytest.mark.anyio
async def test_sharing_twice_counts_once_and_keeps_no_address(database: Database) -> None:
    clock = Clock()
    one, two = RateLimits(10, key=KEY, clock=clock), RateLimits(10, key=KEY, clock=clock)
    one.take(request())
    for _ in range(3):
        await one.share(database)
    two.take(request())
    await two.share(database)
    assert dict(two.take(request()))[b"ratelimit"].startswith(b'"api";r=7;')
    async with database.read() as session:
        rows = str(list(await session.execute(sa.select(ApiUse.__table__))))
    assert "192.0.2.1" not in rows
    clock.now += WINDOW_SECONDS
    one.take(request())
    await one.share(database)
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(ApiUse)) == 1


def test_one_token_uses_up_its_own_share_and_not_its_persons() -> None:
    limits = RateLimits(10, key=KEY, per_token=2, clock=Clock())
    for token in ("wild", "tame"):
        limits.saw(request(token=token, person="ada"), status=200)
    told = dict(limits.take(request(token="wild")))
    limits.take(request(token="wild"))

    assert told[b"ratelimit-policy"] == b'"fixed window";"api";q=2;w=300'
    with pytest.raises(TooMany) as caught:
        limits.take(request(token="wild"))
    assert dict(limits.refused(caught.value))[b"ratelimit-policy"].endswith(b";q=2;w=300")
    assert not used_up(limits, request(token="tame"))
