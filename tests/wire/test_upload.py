import base64
import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, errors

from tests.wire.server import Hub

UPLOAD_FOLDER = """
    import os
    from huggingface_hub import HfApi
    api = HfApi()
    api.create_repo(values["name"])
    api.upload_folder(repo_id=values["name"], folder_path=values["folder"])
    api.upload_file(path_or_fileobj=b"one more", path_in_repo="deep/more.txt", repo_id=values["name"])
    files = {file.path: file for file in api.list_repo_tree(values["name"], recursive=True) if hasattr(file, "size")}
    answer = {path: [file.size, file.lfs.sha256 if file.lfs else None] for path, file in files.items()}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    (made / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (made / "config.json").write_text('{"a": 1}')
    (made / "sub" / "note.txt").write_text("note")
    (made / "weights.bin").write_bytes(os.urandom(11 * 2**20) + b"\0" * 2**20)
    (made / "sub" / "small.safetensors").write_bytes(_safetensors(b"\1" * 4096))
    return made


@pytest.mark.parametrize("without_xet", ["0", "1"], ids=["xet", "lfs"])
def test_a_folder_arrives_whole_by_xet_and_by_lfs(
    hub: Hub, name: str, folder: Path, run_client: Callable[..., Any], without_xet: str
) -> None:
    env = {"HF_HUB_DISABLE_XET": without_xet}
    files = run_client(UPLOAD_FOLDER, person="ada", env=env, name=name, folder=str(folder))
    for path in ("weights.bin", "sub/small.safetensors"):
        content = (folder / path).read_bytes()
        assert files[path] == [len(content), hashlib.sha256(content).hexdigest()]
    assert files["config.json"] == [8, None]
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/weights.bin").content == (folder / "weights.bin").read_bytes()
        assert http.get(f"/{name}/resolve/main/deep/more.txt").text == "one more"


def test_a_changed_large_file_is_sent_again_by_xet(
    hub: Hub, name: str, tmp_path: Path, run_client: Callable[..., Any]
) -> None:
    first = os.urandom(12 * 2**20)
    second = first[: 6 * 2**20] + b"changed" + first[6 * 2**20 :]
    (tmp_path / "first").write_bytes(first)
    (tmp_path / "second").write_bytes(second)
    code = """
        from huggingface_hub import HfApi
        api = HfApi()
        api.create_repo(values["name"])
        for file in ("first", "second"):
            api.upload_file(path_or_fileobj=f"{values['place']}/{file}", path_in_repo="w.bin", repo_id=values["name"])
        answer = api.model_info(values["name"]).sha
    """
    head = run_client(code, person="ada", name=name, place=str(tmp_path))
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/{head}/w.bin").content == second


def test_twelve_plain_files_of_ten_megabytes_are_one_commit(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    piece = base64.b64encode(b"0123456789" * 10**6).decode()

    def lines() -> Any:
        yield json.dumps({"key": "header", "value": {"summary": "many"}}).encode() + b"\n"
        for number in range(12):
            value = {"path": f"f{number}.txt", "content": piece, "encoding": "base64"}
            yield json.dumps({"key": "file", "value": value}).encode() + b"\n"

    with hub.http("ada") as http:
        answer = http.post(
            f"/api/models/{name}/commit/main", content=lines(), headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.status_code == 200, answer.text
        assert "/commit/" in answer.json()["commitUrl"]
        tree = http.get(f"/api/models/{name}/tree/main").json()
    assert sum(entry["size"] for entry in tree if entry["path"].startswith("f")) == 12 * 10**7


def test_a_commit_on_a_stale_parent_is_refused_and_changes_nothing(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    seen = ada.model_info(name).sha
    ada.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=name)
    with pytest.raises(errors.HfHubHTTPError, match="The branch was updated since you opened this page") as caught:
        ada.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=name, parent_commit=seen)
    assert caught.value.response.status_code == 412
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/a.txt").text == "1"


def test_files_and_folders_are_deleted(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    added = [CommitOperationAdd(path, b"x") for path in ("a.txt", "d/b.txt", "d/c.txt")]
    ada.create_commit(name, added, commit_message="add")
    ada.create_commit(
        name, [CommitOperationDelete("a.txt"), CommitOperationDelete("d/", is_folder=True)], commit_message="remove"
    )
    assert ada.list_repo_files(name) == [".gitattributes"]
    with pytest.raises(errors.EntryNotFoundError):
        ada.delete_file("a.txt", name)


@pytest.mark.parametrize(
    "path",
    ["../up.txt", "a/../../up.txt", "/etc/passwd", "a//b", ".git/config", "a\\b", "x/./y", "nul\0", "", "é" * 600],
)
def test_paths_that_leave_the_tree_are_refused(hub: Hub, name: str, path: str) -> None:
    hub.api("ada").create_repo(name)
    value = {"path": path, "content": "eA==", "encoding": "base64"}
    body = b"\n".join(
        json.dumps(line).encode()
        for line in ({"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": value})
    )
    with hub.http("ada") as http:
        answer = http.post(f"/api/models/{name}/commit/main", content=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json\n",
        b"[]\n",
        b'{"key":"header","value":{}}\n{"key":"file","value":{"path":"a","content":"%%%","encoding":"base64"}}\n',
        b'{"key":"header","value":{}}\n{"key":"lfsFile","value":{"path":"a","algo":"md5","oid":"0"}}\n',
        b'{"key":"header","value":{}}\n{"key":"chmod","value":{"path":"a"}}\n',
        b'{"key":"header","value":{"summary":5}}\n',
        b'{"key":"file","value":{"path":"a","content":"eA==","encoding":"base64"}}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
    ids=["empty", "text", "list", "base64", "digest", "unknown", "types", "headless", "bytes", "deep"],
)
def test_a_malformed_commit_is_refused_with_a_sentence(hub: Hub, name: str, body: bytes) -> None:
    hub.api("ada").create_repo(name)
    with hub.http("ada") as http:
        answer = http.post(f"/api/models/{name}/commit/main", content=body)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error"]
    assert len(hub.api("ada").list_repo_commits(name)) == 1


def test_knowing_a_digest_gives_nobody_the_file(hub: Hub, name: str) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    content = os.urandom(64 * 1024) + b"\0"
    ada.create_repo(name, private=True)
    _put_by_lfs(hub, "ada", name, content)
    mine = name.replace("ada/", "eve/")
    eve.create_repo(mine)
    digest = hashlib.sha256(content).hexdigest()
    value = {"path": "w.bin", "algo": "sha256", "oid": digest, "size": len(content)}
    body = b"\n".join(
        json.dumps(line).encode()
        for line in ({"key": "header", "value": {"summary": "s"}}, {"key": "lfsFile", "value": value})
    )
    with hub.http("eve") as http:
        assert http.post(f"/api/models/{mine}/commit/main", content=body).status_code == 422
        batch = http.post(f"/{mine}.git/info/lfs/objects/batch", json=_batch(digest, len(content))).json()
        assert "actions" in batch["objects"][0], "the store has it, but not for her repository"
        refused = http.post(f"/{name}.git/info/lfs/objects/batch", json=_batch(digest, len(content)))
        assert refused.status_code == 404
    with hub.http("ada") as http:
        again = http.post(f"/{name}.git/info/lfs/objects/batch", json=_batch(digest, len(content))).json()
        assert "actions" not in again["objects"][0]


def test_an_upload_cut_off_in_the_middle_leaves_nothing(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    content = os.urandom(3 * 2**20)
    digest = hashlib.sha256(content).hexdigest()
    with hub.http("ada") as http:
        batch = http.post(f"/{name}.git/info/lfs/objects/batch", json=_batch(digest, len(content))).json()
        address = batch["objects"][0]["actions"]["upload"]["href"]
        path = address.removeprefix(hub.url)
        with socket.create_connection(("127.0.0.1", hub.port)) as connection:
            head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[: 2**20])
        verified = http.post(f"/{name}.git/info/lfs/objects/verify", json={"oid": digest, "size": len(content)})
        assert verified.status_code == 404
        assert http.put(address, content=content[:-1] + b"?").status_code == 422
        assert http.put(address, content=content + b"?").status_code == 413
        assert http.put(address, content=content).status_code == 200
        assert http.put(f"{address}x", content=content).status_code == 403
    staging = hub.data_dir / "files" / "staging"
    assert list(staging.iterdir()) == []


def test_a_commit_cut_off_in_the_middle_changes_nothing(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    head = (
        f"POST /api/models/{name}/commit/main HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hub.tokens['ada']}\r\n"
        f"Content-Length: 5000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port)) as connection:
        connection.sendall(head.encode() + b'{"key":"header","value":{"summary":"s"}}\n')
    assert len(hub.api("ada").list_repo_commits(name)) == 1


def test_a_reader_uploads_nothing(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    eve = hub.api("eve")
    with pytest.raises(errors.HfHubHTTPError) as caught:
        eve.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=name)
    assert caught.value.response.status_code == 403
    with hub.http("eve") as http:
        assert http.get(f"/api/models/{name}/xet-write-token/main").status_code == 403
        assert http.post(f"/api/models/{name}/commit/main", content=b"x").status_code == 403


def test_a_broken_safetensors_file_is_refused_with_the_reason(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    with pytest.raises(errors.HfHubHTTPError, match=r"model\.safetensors") as caught:
        _put_by_lfs(hub, "ada", name, b"\xff" * 4096, path="model.safetensors")
    assert 400 <= caught.value.response.status_code < 500


def _put_by_lfs(hub: Hub, person: str, name: str, content: bytes, path: str = "w.bin") -> None:
    digest = hashlib.sha256(content).hexdigest()
    with hub.http(person) as http:
        batch = http.post(f"/{name}.git/info/lfs/objects/batch", json=_batch(digest, len(content))).json()
        with hub.http() as unsigned:
            put = unsigned.put(batch["objects"][0]["actions"]["upload"]["href"], content=content)
            assert put.status_code == 200, put.text
    hub.api(person).create_commit(name, [CommitOperationAdd(path, content)], commit_message="add")


def _batch(digest: str, size: int) -> dict[str, Any]:
    return {
        "operation": "upload",
        "transfers": ["basic"],
        "objects": [{"oid": digest, "size": size}],
        "hash_algo": "sha256",
    }


def _safetensors(data: bytes) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return len(header).to_bytes(8, "little") + header + data
