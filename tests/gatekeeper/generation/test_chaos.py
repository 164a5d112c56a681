"""Workers killed and the server restarted under load; `bench/chaos.py` does it in full size."""

from pathlib import Path

import pytest

from bench.chaos import chaos

pytestmark = pytest.mark.anyio


async def test_every_order_ends_once_and_is_charged_for_what_it_delivered(tmp_path: Path) -> None:
    ends, problems = await chaos(tmp_path, orders=24, kills=2, restarts=1, seed=4)

    assert problems == []
    assert ends.total() == 24
    assert ends["done"] > 0
