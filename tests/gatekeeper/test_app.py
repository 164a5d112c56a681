from pathlib import Path

import pytest

from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings

pytestmark = pytest.mark.anyio


async def test_a_remote_worker_is_asked_with_the_key_that_the_operator_named(tmp_path: Path) -> None:
    (tmp_path / "shared.key").write_bytes(b"k" * 32)
    settings = Settings(
        data_dir=tmp_path / "data",
        inference_url="https://worker.example.org",
        inference_key_file=tmp_path / "shared.key",
        _env_file=None,
    )
    house = assemble(settings)
    assert house.worker is not None
    assert house.worker._key == b"k" * 32
    await close(house)
