"""Where files lie in a bucket, the worker finds verified copies of what it is told to load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.db import Database
from gatekeeper.generation import GenerationState, ImageFolder, Studio, making
from gatekeeper.kit.ids import new_id
from gatekeeper.repos import Repo
from gatekeeper.repos.storage import BucketStore, object_key, open_store
from gatekeeper.settings import Settings
from inference.contract import ManifestFile, ModelManifest, ModelState
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.generation.test_studio import SECRETS, Story, tell
from tests.gatekeeper.repos.conftest import put
from tests.seaweed import Seaweed

pytestmark = pytest.mark.anyio
WEIGHTS = b"weights" * 1000


class ReadingWorker(StubWorker):
    """Reads what a real worker would link: `<store>/sha256/aa/bb/<hex>`."""

    def __init__(self, copies: Path) -> None:
        super().__init__(needs_load=True)
        self.copies = copies
        self.read: list[bytes] = []

    async def load(self, manifest: ModelManifest, *, on_state: Callable[[ModelState], None]) -> ModelState:
        stored = [file for file in manifest.files if file.inline is None]
        self.read += [(self.copies / object_key(file.sha256)).read_bytes() for file in stored]
        return await super().load(manifest, on_state=on_state)


@pytest.fixture
async def story(
    seaweed: Seaweed, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Story, BucketStore, str]:
    """A person and a model with one file in a bucket."""
    store = open_store(Settings(data_dir=tmp_path / "data", _env_file=None, **seaweed.settings(new_id())))
    assert isinstance(store, BucketStore)
    sha256 = await put(store, WEIGHTS)
    folder = ImageFolder(tmp_path / "images")
    made = await tell(database, folder, ReadingWorker(store.copies))
    made.studio = Studio(database, made.worker, folder, store, **SECRETS)
    real = making.worker_manifest

    async def prepare(session: AsyncSession, repo: Repo, commit: str) -> ModelManifest:
        manifest = await real(session, repo, commit)
        file = ManifestFile(path="unet/model.safetensors", size_bytes=len(WEIGHTS), sha256=sha256, inline=None)
        return manifest.model_copy(update={"files": (*manifest.files, file)})

    monkeypatch.setattr(making, "worker_manifest", prepare)
    return made, store, sha256


async def test_the_worker_finds_the_files_of_a_model_on_its_own_disk(story: tuple[Any, BucketStore, str]) -> None:
    told, _, _ = story
    assert (await told.end()).state is GenerationState.DONE
    assert told.worker.read == [WEIGHTS]


@pytest.mark.parametrize("is_damaged", [True, False], ids=["damaged", "missing"])
async def test_a_model_whose_files_cannot_be_read_costs_nothing(
    story: tuple[Any, BucketStore, str], is_damaged: bool
) -> None:
    told, store, sha256 = story
    if is_damaged:
        obstore.put(store._client, object_key(sha256), b"X" * len(WEIGHTS))
    else:
        await store.remove(object_key(sha256))
    made = await told.end()
    assert (made.state, made.code, told.worker.read) == (GenerationState.FAILED, "files_unavailable", [])
    assert made.charged_images == 0
