"""The `hf` command as its users type it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wire.server import Hub

Command = Callable[..., str]


@pytest.fixture
def hf(hub: Hub, client_env: dict[str, str]) -> Command:
    """Runs `hf` as ada and returns what it printed; `fails` expects an exit status other than 0."""
    command = shutil.which("hf", path=str(Path(sys.executable).parent))
    assert command

    def run(*words: str, person: str = "ada", fails: bool = False) -> str:
        env = client_env | {"HF_TOKEN": hub.tokens[person], "NO_COLOR": "1"}
        done = subprocess.run([command, *words], env=env, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_a_repository_is_made_filled_tagged_fetched_and_deleted(
    hub: Hub, name: str, hf: Command, tmp_path: Path
) -> None:
    assert "ada" in hf("auth", "whoami")
    assert name in hf("repos", "create", name, "--private")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "w.bin").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "folder" / "a.txt").write_text("hello")
    hf("upload", name, str(tmp_path / "folder"), ".", "--commit-message", "by command")
    hf("repos", "tag", "create", name, "v1")
    assert "v1" in hf("repos", "tag", "list", name)
    hf("repos", "branch", "create", name, "next")
    hf("repos", "settings", name, "--public")
    assert name in hf("repos", "ls")

    hf("download", name, "--revision", "v1", "--local-dir", str(tmp_path / "got"), person="eve")
    assert (tmp_path / "got" / "w.bin").read_bytes() == (tmp_path / "folder" / "w.bin").read_bytes()
    hf("download", name, "a.txt", person="eve")
    assert name in hf("cache", "ls")
    hf("cache", "verify", name)
    hf("cache", "rm", f"model/{name}", "--yes")
    assert name not in hf("cache", "ls")

    hf("repos", "delete-files", name, "a.txt")
    assert "a.txt" not in hub.api("ada").list_repo_files(name)
    assert "403" in hf("upload", name, str(tmp_path / "folder" / "a.txt"), person="eve", fails=True)
    hf("repos", "delete", name, "--yes")
    assert not hub.api("ada").repo_exists(name)


def test_a_gated_repository_is_told_as_gated(hub: Hub, name: str, hf: Command) -> None:
    hub.api("ada").create_repo(name)
    hub.api("ada").upload_file(path_or_fileobj=b"w", path_in_repo="w.bin", repo_id=name)
    hub.api("ada").update_repo_settings(name, gated="manual")
    refused = hf("download", name, "w.bin", person="eve", fails=True)
    assert f"Model '{name}' requires approval" in refused  # in the client's own words
