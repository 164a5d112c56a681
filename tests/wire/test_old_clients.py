"""The everyday calls of older releases of the public client, unmodified, in environments of their own."""

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wire.old_clients import RELEASES, python_with
from tests.wire.server import Hub

WRITER = """
    import pathlib
    from huggingface_hub import HfApi, snapshot_download, hf_hub_download
    from huggingface_hub.utils import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub import __version__
    api, name, folder = HfApi(), values["name"], pathlib.Path(values["folder"])
    answer = {"version": __version__, "who": api.whoami()["name"], "kinds": {}}
    for kind in ("model", "dataset"):
        how = {"repo_id": name, "repo_type": kind}
        url = api.create_repo(private=True, **how)
        assert url.repo_id == name
        api.create_repo(exist_ok=True, **how)
        try:
            api.create_repo(**how)
            raise AssertionError("made twice")
        except HfHubHTTPError as error:
            assert error.response.status_code == 409
        api.upload_file(path_or_fileobj=b"---\\nlicense: mit\\n---\\n# Card\\n", path_in_repo="README.md", **how)
        first = api.upload_folder(folder_path=folder, **how)
        assert api.repo_info(**how).sha == first.oid
        api.create_branch(branch="next", **how)
        api.create_tag(tag="v1", **how)
        api.upload_file(path_or_fileobj=b"later", path_in_repo="later.txt", **how)
        api.delete_file("later.txt", **how)
        files = {file.path: file for file in api.list_repo_tree(recursive=True, **how) if hasattr(file, "size")}
        refs = api.list_repo_refs(**how)
        place = pathlib.Path(snapshot_download(revision="v1", allow_patterns=["*.bin", "sub/*"], **how))
        answer["kinds"][kind] = {
            "files": sorted(api.list_repo_files(**how)),
            "sha256": files["w.bin"].lfs.sha256,
            "refs": [[ref.name for ref in refs.branches], [ref.name for ref in refs.tags]],
            "commits": len(api.list_repo_commits(**how)),
            "snapshot": sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()),
            "equal": (place / "w.bin").read_bytes() == (folder / "w.bin").read_bytes(),
            "exists": [api.file_exists(filename=path, **how) for path in ("w.bin", "none")],
            "private": api.repo_info(**how).private,
        }
        api.update_repo_settings(private=False, **how)
        try:
            api.repo_info(revision="nowhere", **how)
            raise AssertionError("found")
        except RevisionNotFoundError:
            pass
    answer["found"] = [model.id for model in api.list_models(author="ada", search=name.split("/")[1])]
    api.update_repo_settings(name, gated="manual")
    api.upload_large_folder(repo_id=name, folder_path=folder, repo_type="dataset", num_workers=1, print_report=False)
    api.move_repo(from_id=name, to_id=name + "-moved", repo_type="dataset")
    answer["moved"] = api.dataset_info(name).id
    api.delete_repo(name + "-moved", repo_type="dataset")
    try:
        api.dataset_info(name + "-moved")
        raise AssertionError("found")
    except RepositoryNotFoundError:
        pass
"""
READER = """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.utils import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    api, answer = HfApi(), {}
    answer["info"] = [api.model_info(values["name"]).id, api.model_info(values["name"]).gated]
    for what, call in {
        "download": lambda: hf_hub_download(values["name"], "w.bin"),
        "upload": lambda: api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=values["name"]),
        "missing": lambda: api.model_info(values["name"] + "-none"),
        "delete": lambda: api.delete_repo(values["name"]),
    }.items():
        try:
            call()
            answer[what] = "done"
        except (GatedRepoError, RepositoryNotFoundError, HfHubHTTPError) as error:
            answer[what] = [type(error).__name__, str(error)]
"""
DOWNLOAD = """
    import hashlib, pathlib
    from huggingface_hub import hf_hub_download
    answer = hashlib.sha256(pathlib.Path(hf_hub_download(values["name"], "w.bin")).read_bytes()).hexdigest()
"""


@pytest.fixture(params=RELEASES)
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment with that release; the test is skipped where none can be made."""
    try:
        return python_with(request.param)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"huggingface_hub {request.param} cannot be installed: {error.stderr[-300:]!r}")


@pytest.mark.parametrize("without_xet", ["0", "1"], ids=["xet", "lfs"])
def test_an_older_release_does_everyday_work(
    hub: Hub, name: str, tmp_path: Path, run_client: Callable[..., Any], python: Path, without_xet: str
) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "w.bin").write_bytes(os.urandom(1_000_000))
    (folder / "sub" / "note.txt").write_text("note")
    digest = hashlib.sha256((folder / "w.bin").read_bytes()).hexdigest()
    how: dict[str, Any] = {"python": python, "env": {"HF_HUB_DISABLE_XET": without_xet}}

    did = run_client(WRITER, person="ada", name=name, folder=str(folder), **how)

    assert did["version"] in RELEASES
    assert did["who"] == "ada"
    assert did["found"] == [name]
    assert did["moved"] == f"{name}-moved"
    for kind in ("model", "dataset"):
        assert did["kinds"][kind] == {
            "files": [".gitattributes", "README.md", "sub/note.txt", "w.bin"],
            "sha256": digest,
            "refs": [["main", "next"], ["v1"]],
            "commits": 5,
            "snapshot": ["sub/note.txt", "w.bin"],
            "equal": True,
            "exists": [True, False],
            "private": True,
        }

    tried = run_client(READER, person="eve", name=name, **how)
    assert tried["info"] == [name, "manual"]
    assert tried["download"][0] == "GatedRepoError"
    assert f"Access to model {name} is restricted" in tried["download"][1]
    assert f"{hub.url}/{name}" in tried["download"][1]
    assert tried["upload"][0] == "HfHubHTTPError"
    assert tried["missing"][0] == "RepositoryNotFoundError"
    assert tried["delete"][0] == "HfHubHTTPError"
    hub.api("ada").grant_access(name, "eve")
    assert run_client(DOWNLOAD, person="eve", name=name, **how) == digest
