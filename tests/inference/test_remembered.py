"""Pinned models come back with the worker, and nothing that was put there by somebody else."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.building import ModelBuilder
from inference.contract import LoadPhase, ModelManifest, ModelState
from inference.desk import LONGEST_SIGNATURE, TRY_AGAIN
from inference.fleet import Fleet, Model
from inference.remembered import KEPT, Remembered
from inference.safety.trusted import TrustedCheckers
from inference.server import create_app, warm_up
from inference.settings import Settings

KEY = b"test-key-" * 4
MakeManifest = Callable[[dict[str, bytes]], ModelManifest]


def remembered(directory: Path, *, key: bytes = KEY, pinned: str = "demo/tiny") -> Remembered:
    return Remembered(directory, key, pinned=frozenset({pinned}))


def test_a_pinned_model_is_remembered_by_the_next_worker(tmp_path: Path, make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"model_index.json": b"{}"})

    remembered(tmp_path).keep(make_manifest({"model_index.json": b"an older commit"}))
    remembered(tmp_path).keep(manifest)

    assert remembered(tmp_path).manifests() == [manifest]
    assert [oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == ["0o600"]


def test_what_is_not_pinned_any_more_or_failed_is_forgotten(tmp_path: Path, make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"model_index.json": b"{}"})
    remembered(tmp_path, pinned="demo/other").keep(manifest)
    assert not list(tmp_path.iterdir())
    remembered(tmp_path).keep(manifest)

    assert remembered(tmp_path, pinned="demo/other").manifests() == []
    assert not list(tmp_path.iterdir())

    remembered(tmp_path).keep(manifest)
    remembered(tmp_path).forget(manifest)
    assert remembered(tmp_path).manifests() == []


def test_a_manifest_of_somebody_else_is_deleted_unread(tmp_path: Path, make_manifest: MakeManifest) -> None:
    remembered(tmp_path, key=b"another-key" * 4).keep(make_manifest({"model_index.json": b"{}"}))
    (tmp_path / "pinned-nonsense.json").write_text("{}")

    assert remembered(tmp_path).manifests() == []
    assert not list(tmp_path.iterdir())


@pytest.mark.anyio
async def test_the_worker_loads_them_when_it_starts(tmp_path: Path, make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"model_index.json": b"{}"})
    remembered(tmp_path).keep(manifest)
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, fake=True, key=KEY.decode(), work_dir=tmp_path, pinned_models="demo/tiny"
    )
    app = create_app(settings)

    async with app.router.lifespan_context(app):
        fleet = app.state.desk.fleet
        while not isinstance(fleet.find(manifest.digest), Model):
            await asyncio.sleep(0.01)

    assert [state.is_pinned for state in fleet.states()] == [True]


@pytest.mark.anyio
async def test_a_pinned_model_whose_files_come_later_is_loaded_then_and_remembered_meanwhile(
    tiny_dir: Path, checkers: TrustedCheckers, manifest_of: Callable[[Path], ModelManifest], tmp_path: Path
) -> None:
    inline = manifest_of(tiny_dir)
    manifest = inline.model_copy(update={"files": tuple(f.model_copy(update={"inline": None}) for f in inline.files)})
    store, kept = tmp_path / "store", remembered(tmp_path)
    kept.keep(manifest)
    fleet = Fleet(ModelBuilder(checkers, store=store, device="cpu", dtype="float32"), pinned=frozenset({"demo/tiny"}))

    await warm_up(fleet, kept)

    state = fleet.find(manifest.digest)
    assert isinstance(state, ModelState)
    assert state.error in TRY_AGAIN
    assert kept.manifests() == [manifest]
    for file in inline.files:
        place = store / "sha256" / file.sha256[:2] / file.sha256[2:4] / file.sha256
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content() or b"")
    assert [state.phase async for state in fleet.load(manifest)][-1] is LoadPhase.READY


def test_where_nothing_can_be_remembered_the_start_says_so(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, fake=True, key=KEY.decode(), pinned_models="demo/tiny"
    )

    create_app(settings)

    assert "set INFERENCE_WORK_DIR" in caplog.text


def test_what_is_kept_is_of_no_use_as_an_order() -> None:
    assert KEPT > 1000 * LONGEST_SIGNATURE
