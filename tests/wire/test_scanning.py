"""What the public client is told of scans that the running server makes by itself."""

import io
import pickle
import time
import zipfile
from typing import Any

import pytest

from tests.wire.server import Hub

EVIL = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03."


def scanned(hub: Hub, name: str) -> dict[str, Any]:
    """The repository's security status once the server has looked at everything."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        status = hub.api("ada").model_info(name, securityStatus=True).security_repo_status
        assert status is not None
        if status["scansDone"]:
            return status
        time.sleep(0.2)
    raise AssertionError("the scan did not end")


def test_the_client_is_told_which_files_are_unsafe_and_why(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    torch = io.BytesIO()
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", EVIL)
    for path, content in {"evil.bin": torch.getvalue(), "good.pkl": pickle.dumps({"a": 1}), "a.txt": b"a"}.items():
        ada.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=name)

    status = scanned(hub, name)

    assert status["filesWithIssues"] == [{"path": "evil.bin", "level": "unsafe"}]
    files = {file.path: file for file in hub.api("bob").get_paths_info(name, ["evil.bin", "good.pkl"], expand=True)}
    evil, good = files["evil.bin"].security, files["good.pkl"].security  # type: ignore[union-attr]
    assert (evil.safe, evil.status, good.safe) == (False, "unsafe", True)
    assert evil.pickle_import_scan["pickleImports"] == [{"module": "posix", "name": "system", "safety": "dangerous"}]
    listed = {file.path: file for file in ada.list_repo_tree(name, expand=True)}
    assert listed["evil.bin"].security.status == "unsafe"  # type: ignore[union-attr]
    assert next(iter(ada.list_repo_tree(name))).security is None  # type: ignore[union-attr]


def test_the_file_page_says_what_was_found(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=EVIL, path_in_repo="evil.dat", repo_id=name)
    scanned(hub, name)

    with hub.http("bob") as http:
        page = http.get(f"/{name}/tree/main", headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert "Unsafe" in page.text
    assert "posix.system" in page.text


def test_results_of_a_private_repository_are_for_its_readers(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name, private=True)
    ada.upload_file(path_or_fileobj=EVIL, path_in_repo="evil.dat", repo_id=name)
    assert scanned(hub, name)["filesWithIssues"]

    with hub.http("eve") as http:
        hidden = http.get(f"/api/models/{name}", params={"securityStatus": "true"})
        missing = http.get("/api/models/ada/never-there", params={"securityStatus": "true"})

    assert (hidden.status_code, hidden.json()) == (missing.status_code, missing.json())


@pytest.mark.parametrize("flag", ["false", ""])
def test_nothing_is_said_of_scans_unless_asked(hub: Hub, name: str, flag: str) -> None:
    hub.api("ada").create_repo(name)
    with hub.http("bob") as http:
        assert "securityRepoStatus" not in http.get(f"/api/models/{name}", params={"securityStatus": flag}).json()
