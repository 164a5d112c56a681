"""Everyday work with the present client beyond single files: folders, schedules, patterns, resumption, other kinds."""

import json
import os
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import errors, snapshot_download
from safetensors.numpy import save_file

from tests.wire.server import Hub

Run = Callable[..., Any]
KINDS = pytest.mark.parametrize("kind", ["model", "dataset", "space"])


def make_files(folder: Path, count: int) -> None:
    for number in range(count):
        path = folder / f"part-{number % 7}" / f"{number:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number}\n")
    (folder / "w.bin").write_bytes(os.urandom(200_000))


def test_a_folder_of_more_files_than_one_commit_takes_goes_up_in_several(
    hub: Hub, name: str, tmp_path: Path, run_client: Run
) -> None:
    make_files(tmp_path / "folder", 300)
    code = """
        from huggingface_hub import HfApi
        api = HfApi()
        api.create_repo(values["name"])
        for _ in range(2):
            api.upload_folder(repo_id=values["name"], folder_path=values["folder"], commit_message="All of it")
        answer = [commit.title for commit in api.list_repo_commits(values["name"])]
    """
    titles = run_client(code, person="ada", name=name, folder=str(tmp_path / "folder"))
    assert len(hub.api("ada").list_repo_files(name)) == 302
    assert len(titles) >= 3  # the first one, and at least two parts; the second upload changed nothing
    assert sum("All of it" in title for title in titles) == len(titles) - 1


@pytest.mark.parametrize("squash", [False, True], ids=["history", "squashed"])
def test_a_folder_is_committed_on_schedule(hub: Hub, name: str, tmp_path: Path, run_client: Run, squash: bool) -> None:
    code = """
        import pathlib
        from huggingface_hub import CommitScheduler
        folder = pathlib.Path(values["folder"])
        folder.mkdir()
        (folder / "log.txt").write_text("one\\n")
        scheduler = CommitScheduler(repo_id=values["name"], repo_type="dataset", folder_path=folder, every=60,
                                    squash_history=values["squash"])
        scheduler.trigger().result()
        with scheduler.lock, (folder / "log.txt").open("a") as file:
            file.write("two\\n")
        scheduler.trigger().result()
        scheduler.stop()
        answer = [commit.title for commit in scheduler.api.list_repo_commits(values["name"], repo_type="dataset")]
    """
    titles = run_client(code, person="ada", name=name, folder=str(tmp_path / "logs"), squash=squash)
    assert len(titles) == (1 if squash else 3)
    with hub.http() as http:
        assert http.get(f"/datasets/{name}/resolve/main/log.txt").text == "one\ntwo\n"


def test_a_snapshot_takes_what_its_patterns_say(hub: Hub, name: str, tmp_path: Path) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    for path in ("a.txt", "sub/b.txt", "sub/c.json", "w.bin"):
        ada.upload_file(path_or_fileobj=path.encode(), path_in_repo=path, repo_id=name)
    options: dict[str, Any] = {"endpoint": hub.url, "token": False, "cache_dir": tmp_path}
    place = Path(snapshot_download(name, allow_patterns=["*.txt", "sub/*"], ignore_patterns="*.json", **options))
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == ["a.txt", "sub/b.txt"]


class Cutting:
    """A way to the hub that breaks off the first connection to bring more than `limit` bytes; keeps what was asked."""

    def __init__(self, port: int, limit: int) -> None:
        self._port, self._limit = port, limit
        self._has_cut = False
        self.asked = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        carried = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if is_request:
                    self.asked += data
                target.sendall(data)
                carried += len(data)
                if not is_request and carried > self._limit and not self._has_cut:
                    self._has_cut = True
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    hub: Hub, name: str, tmp_path: Path, run_client: Run
) -> None:
    content = os.urandom(3_000_000)
    hub.api("ada").create_repo(name)
    hub.api("ada").upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id=name)
    code = """
        import pathlib
        from huggingface_hub import constants, hf_hub_download
        constants.DOWNLOAD_CHUNK_SIZE = 2**16  # it is written to disk in steps of that size
        path = hf_hub_download(values["name"], "w.bin", local_dir=values["folder"])
        answer = pathlib.Path(path).read_bytes().hex()
    """
    way = Cutting(hub.port, 1_000_000)
    env = {"HF_HUB_DISABLE_XET": "1", "HF_ENDPOINT": way.url}
    assert run_client(code, person="eve", env=env, name=name, folder=str(tmp_path / "local")) == content.hex()
    way.close()
    ranges = [int(first) for first in re.findall(rb"(?i)range: bytes=(\d+)-", way.asked)]
    assert ranges
    assert max(ranges) > 500_000  # what had arrived was not asked for again


def shards(folder: Path) -> None:
    """A model in two safetensors files with their index."""
    weight_map = {}
    for number in (1, 2):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({f"layer.{number}": np.zeros((2, number), np.float32)}, folder / file, metadata={"format": "pt"})
        weight_map[f"layer.{number}"] = file
    index = {"metadata": {"total_size": 24}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_headers_of_weights_are_read_without_their_tensors(hub: Hub, name: str, tmp_path: Path) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    shards(tmp_path)
    save_file({"only": np.zeros(3, np.float16)}, tmp_path / "single.safetensors")
    ada.create_repo(name)
    ada.upload_folder(repo_id=name, folder_path=tmp_path, allow_patterns="model*")
    one_by_one, at_once = eve.get_safetensors_metadata(name), eve.get_sharded_safetensors_metadata(name)
    for found in (one_by_one, at_once):
        assert found.sharded
        assert found.metadata == {"total_size": 24}
        assert set(found.weight_map) == {"layer.1", "layer.2"}
        assert found.parameter_count == {"F32": 6}
    ada.create_repo(f"{name}-single")
    ada.upload_file(
        path_or_fileobj=tmp_path / "single.safetensors", path_in_repo="model.safetensors", repo_id=f"{name}-single"
    )
    assert eve.get_safetensors_metadata(f"{name}-single").parameter_count == {"F16": 3}
    with pytest.raises(errors.EntryNotFoundError):
        eve.get_sharded_safetensors_metadata(f"{name}-single")
    with pytest.raises(errors.BadRequestError):
        eve.get_sharded_safetensors_metadata(name, filename="model-00001-of-00002.safetensors")
    ada.update_repo_settings(name, gated="auto")
    with pytest.raises(errors.GatedRepoError):
        eve.get_sharded_safetensors_metadata(name)
    ada.update_repo_settings(name, gated=False, private=True)
    with pytest.raises(errors.RepositoryNotFoundError):
        eve.get_sharded_safetensors_metadata(name)
    assert ada.get_sharded_safetensors_metadata(name).sharded


@KINDS
def test_every_kind_of_repository_is_made_filled_read_changed_and_deleted(
    hub: Hub, name: str, tmp_path: Path, kind: str
) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    how: dict[str, Any] = {"repo_id": name, "repo_type": kind}
    ada.create_repo(**how, **({"space_sdk": "static"} if kind == "space" else {}))
    (tmp_path / "w.bin").write_bytes(os.urandom(100_000))
    ada.upload_file(path_or_fileobj=tmp_path / "w.bin", path_in_repo="data/w.bin", **how)
    ada.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", **how)
    begun = {".gitattributes"} | ({"README.md"} if kind == "space" else set())  # a Space's card says its SDK
    assert set(eve.list_repo_files(**how)) == begun | {"a.txt", "data/w.bin"}
    assert eve.repo_info(**how).id == name
    assert eve.file_exists(filename="data/w.bin", **how)
    local = eve.hf_hub_download(filename="data/w.bin", cache_dir=tmp_path / "cache", **how)
    assert Path(local).read_bytes() == (tmp_path / "w.bin").read_bytes()
    ada.create_branch(branch="next", **how)
    ada.create_tag(tag="v1", **how)
    ada.delete_folder("data", **how)
    assert [ref.name for ref in eve.list_repo_refs(**how).tags] == ["v1"]
    assert not eve.file_exists(filename="data/w.bin", **how)
    assert eve.file_exists(filename="data/w.bin", revision="v1", **how)
    with pytest.raises(errors.HfHubHTTPError):
        eve.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", **how)
    ada.delete_repo(**how)
    with pytest.raises(errors.RepositoryNotFoundError):
        eve.repo_info(**how)
