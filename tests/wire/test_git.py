"""`git` and `git lfs` as they are, against the real server."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, hf_hub_download

from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper
from tests.wire.server import Hub
from tests.wire.stages import CARD, accept_terms, hold, release, stage

Git = Callable[..., subprocess.CompletedProcess[str]]
WEIGHTS_HEADER = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
WEIGHTS = len(WEIGHTS_HEADER).to_bytes(8, "little") + WEIGHTS_HEADER + b"data"


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Runs git without any configuration but its own; `ok=False` expects a failure."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "127.0.0.1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "LC_ALL": "C",
    }

    def run(
        *words: str | Path, at: Path = tmp_path, ok: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["git", *map(str, words)],
            cwd=at,
            env=plain | (env or {}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) is ok, f"git {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def repo(hub: Hub, name: str) -> str:
    ada = hub.api("ada")
    ada.create_repo(name)
    add(hub, name, {"config.json": b"{}", "folder/notes.txt": b"one\n"})
    return name


def url(hub: Hub, person: str | None, name: str, *, suffix: str = ".git") -> str:
    if person is None:
        return f"{hub.url}/{name}{suffix}"
    return f"{hub.url.replace('://', f'://anybody:{hub.tokens[person]}@')}/{name}{suffix}"


def add(hub: Hub, name: str, files: dict[str, bytes], **options: Any) -> str:
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return hub.api("ada").create_commit(name, operations, commit_message="files", **options).oid


def write(at: Path, path: str, content: bytes) -> None:
    (at / path).parent.mkdir(parents=True, exist_ok=True)
    (at / path).write_bytes(content)


def commit(git: Git, at: Path, files: dict[str, bytes], message: str = "by git") -> str:
    for path, content in files.items():
        write(at, path, content)
    git("add", "-A", at=at)
    git("commit", "-qm", message, at=at)
    return git("rev-parse", "HEAD", at=at).stdout.strip()


def test_a_clone_has_the_true_history_and_is_sound(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    head = add(hub, repo, {"folder/notes.txt": b"two\n"})
    hub.api("ada").create_tag(repo, tag="v1", revision=head)
    for suffix in (".git", ""):
        at = tmp_path / f"clone{suffix}"
        git("clone", "-q", url(hub, None, repo, suffix=suffix), at)
        assert git("rev-parse", "HEAD", "v1", at=at).stdout.split() == [head, head]
        assert (at / "folder/notes.txt").read_bytes() == b"two\n"
        assert git("rev-list", "--count", "HEAD", at=at).stdout.strip() == "3"
        git("fsck", "--full", "--strict", at=at)


def test_shallow_clones_deepen_and_a_fetch_brings_what_is_new(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    add(hub, repo, {"folder/notes.txt": b"two\n"})
    at = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", url(hub, None, repo), at)
    assert git("rev-list", "--count", "HEAD", at=at).stdout.strip() == "1"
    newer = add(hub, repo, {"more.txt": b"more\n"})
    git("pull", "-q", at=at)
    assert git("rev-parse", "HEAD", at=at).stdout.strip() == newer
    assert git("rev-list", "--count", "HEAD", at=at).stdout.strip() == "2"
    git("fetch", "-q", "--depth", "3", at=at)
    assert git("rev-list", "--count", "HEAD", at=at).stdout.strip() == "3"
    git("fetch", "-q", "--unshallow", at=at)
    assert git("rev-list", "--count", "HEAD", at=at).stdout.strip() == "4"
    git("fsck", "--full", at=at)


def test_history_is_deepened_by_steps_by_time_and_up_to_a_name(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    years = {}
    for year in (2001, 2002, 2003, 2004):
        write(at, "year.txt", b"%d" % year)
        git("add", "-A", at=at)
        git("commit", "-qm", str(year), at=at, env={"GIT_COMMITTER_DATE": f"{year}-06-01T00:00:00Z"})
        years[year] = git("rev-parse", "HEAD", at=at).stdout.strip()
        git("tag", f"y{year}", at=at)
    git("push", "-q", "origin", "main", "--tags", at=at)

    def count(where: Path) -> int:
        git("fsck", "--full", at=where)
        return int(git("rev-list", "--count", "HEAD", at=where).stdout)

    steps = tmp_path / "steps"
    git("clone", "-q", "--depth", "1", url(hub, None, repo), steps)
    git("fetch", "-q", "--deepen", "1", at=steps)
    assert count(steps) == 2
    git("fetch", "-q", "--deepen", "2", at=steps)
    assert count(steps) == 4
    git("fetch", "-q", "--unshallow", at=steps)
    assert count(steps) == 6
    assert git("rev-parse", "--is-shallow-repository", at=steps).stdout.strip() == "false"

    since = tmp_path / "since"
    git("clone", "-q", "--shallow-since", "2003-01-01", url(hub, None, repo), since)
    assert git("rev-list", "HEAD", at=since).stdout.split() == [years[2004], years[2003]]
    git("fetch", "-q", "--shallow-since", "2002-01-01", at=since)
    assert git("rev-list", "HEAD", at=since).stdout.split() == [years[2004], years[2003], years[2002]]
    none = git("clone", "--shallow-since", "2035-01-01", url(hub, None, repo), tmp_path / "none", ok=False)
    assert "no commits selected" in none.stderr

    beyond = tmp_path / "beyond"
    git("clone", "-q", "--shallow-exclude", "y2003", "--no-tags", url(hub, None, repo), beyond)
    assert git("rev-list", "HEAD", at=beyond).stdout.split() == [years[2004]]
    git("fetch", "-q", "--no-tags", "--shallow-exclude", "y2001", at=beyond)
    assert count(beyond) == 3


def test_a_partial_clone_fetches_files_when_they_are_looked_at(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    add(hub, repo, {"folder/notes.txt": b"two\n", "long.txt": b"long\n" * 2_000})
    add(hub, repo, {"folder/notes.txt": b"three\n"})

    def missing(at: Path) -> int:
        rows = git("rev-list", "--objects", "--all", "--missing=print", at=at).stdout.split("\n")
        return sum(row.startswith("?") for row in rows)

    bare = tmp_path / "bare"
    git("clone", "-q", "--bare", "--filter=blob:none", url(hub, None, repo), bare)
    assert missing(bare) == 6
    assert git("show", "HEAD~1:folder/notes.txt", at=bare).stdout == "two\n"
    assert missing(bare) == 5
    checked_out = tmp_path / "checked-out"
    git("clone", "-q", "--filter=blob:none", url(hub, None, repo), checked_out)
    assert (checked_out / "folder/notes.txt").read_bytes() == b"three\n"
    assert missing(checked_out) == 2
    git("fetch", "-q", "--refetch", "--no-filter", at=checked_out)
    assert missing(checked_out) == 0
    limited = tmp_path / "limited"
    git("clone", "-q", "--bare", "--filter=blob:limit=5k", url(hub, None, repo), limited)
    assert missing(limited) == 1
    refused = git("clone", "-q", "--bare", "--filter=tree:0", url(hub, None, repo), tmp_path / "trees", ok=False)
    assert "blob:none" in refused.stderr or "400" in refused.stderr


def test_a_file_of_a_commit_that_may_not_leave_is_no_partial_clones_either(
    hub: Hub, repo: str, git: Git, tmp_path: Path
) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    lost = commit(git, at, {"secret.txt": b"secret"})
    kept = git("rev-parse", "HEAD~1:folder/notes.txt", at=at).stdout.strip()
    secret = git("rev-parse", f"{lost}:secret.txt", at=at).stdout.strip()
    git("push", "-q", "origin", "HEAD:side", at=at)
    git("push", "-q", "origin", ":side", at=at)
    with hub.http("ada") as http:
        lines = {oid: f"0032want {oid}\n0000".encode() + b"0009done\n" for oid in (kept, secret)}
        said = {oid: http.post(f"/{repo}.git/git-upload-pack", content=line).content for oid, line in lines.items()}
    assert b"PACK" in said[kept]
    assert b"not our ref" in said[secret]


def test_git_falls_back_from_the_newest_protocol(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    for version in ("0", "1", "2"):
        at = tmp_path / f"v{version}"
        git("-c", f"protocol.version={version}", "clone", "-q", url(hub, None, repo), at)
        assert (at / "folder/notes.txt").read_bytes() == b"one\n"


def test_many_commits_are_negotiated(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at, other = tmp_path / "clone", tmp_path / "other"
    git("clone", "-q", url(hub, "ada", repo), at)
    git("clone", "-q", url(hub, "ada", repo), other)
    for number in range(60):
        commit(git, at, {f"{number}.txt": b"%d" % number})
        if number == 30:
            git("push", "-q", at=at)
    for number in range(40):
        commit(git, other, {f"own-{number}.txt": b"%d" % number})
    git("push", "-q", at=at)
    git("fetch", "-q", at=other)
    assert git("rev-parse", "origin/main", at=other).stdout == git("rev-parse", "HEAD", at=at).stdout
    git("fsck", "--full", at=other)


def test_a_push_is_a_commit_like_any_other(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    made = commit(git, at, {"by-git.txt": b"hello\n", "noise.txt": os.urandom(3_000_000)})
    git("tag", "-a", "v2", "-m", "second", at=at)
    git("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/side", "v2", at=at)
    ada = hub.api("ada")
    refs = ada.list_repo_refs(repo)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": made, "side": made}
    assert [ref.name for ref in refs.tags] == ["v2"]
    assert ada.list_repo_commits(repo)[0].title == "by git"
    assert Path(hf_hub_download(repo, "by-git.txt", revision="v2", endpoint=hub.url, cache_dir=tmp_path)).read_bytes()
    git("push", "-q", "origin", ":side", at=at)
    assert [ref.name for ref in ada.list_repo_refs(repo).branches] == ["main"]
    again = tmp_path / "again"
    git("clone", "-q", "--branch", "v2", url(hub, None, repo), again)
    git("fsck", "--full", "--strict", at=again)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"big.txt": b"x" * (10 * 2**20 + 1)}, "must be in Git LFS"),
        ({"README.md": b"---\nlicense: [\n---\n"}, "cannot be used"),
        ({"w.safetensors": b"no weights"}, "not a sound safetensors file"),
        (
            {"w.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 4\n"},
            "The content of 'w.bin' was not uploaded",
        ),
        ({"back\\slash": b"x"}, "it holds a backslash"),
    ],
)
def test_what_a_commit_by_api_may_not_hold_a_push_may_not_either(
    hub: Hub, repo: str, git: Git, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    head = git("rev-parse", "HEAD", at=at).stdout.strip()
    commit(git, at, files)
    git("rm", "-q", "-r", "--", *files, at=at)
    commit(git, at, {"fine.txt": b"the bad one is below"})
    assert said in git("push", at=at, ok=False).stderr
    assert hub.api("ada").repo_info(repo).sha == head


def test_links_and_submodules_are_refused(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    (at / "link").symlink_to("/etc/passwd")
    commit(git, at, {})
    assert "is a link" in git("push", at=at, ok=False).stderr
    git("reset", "-q", "--hard", "origin/main", at=at)
    head = git("rev-parse", "HEAD", at=at).stdout.strip()
    git("update-index", "--add", "--cacheinfo", f"160000,{head},sub", at=at)
    git("commit", "-qm", "sub", at=at)
    assert "is a submodule" in git("push", at=at, ok=False).stderr


def test_main_goes_forward_only_and_stays(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    head = git("rev-parse", "HEAD", at=at).stdout.strip()
    git("push", "-q", "origin", "HEAD:side", at=at)
    git("reset", "-q", "--hard", "HEAD~1", at=at)
    other = commit(git, at, {"other.txt": b"other"})
    assert "main only goes forward" in git("push", "--force", at=at, ok=False).stderr
    assert "Cannot delete" in git("push", "origin", ":main", at=at, ok=False).stderr
    assert "nor a pull request that is there" in git("push", "origin", "HEAD:refs/pr/1", at=at, ok=False).stderr
    git("push", "-q", "--force", "origin", "HEAD:side", at=at)
    refs = {ref.name: ref.target_commit for ref in hub.api("ada").list_repo_refs(repo).branches}
    assert refs == {"main": head, "side": other}


def test_lfs_files_go_both_ways(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", repo), at)
    git("lfs", "install", "--local", at=at)
    git("lfs", "track", "*.weights", at=at)
    content = os.urandom(3_000_000)
    commit(git, at, {"folder/w.weights": content, "model.safetensors": WEIGHTS})
    git("push", "-q", at=at)
    path = hf_hub_download(repo, "folder/w.weights", endpoint=hub.url, cache_dir=tmp_path / "cache", token=False)
    assert Path(path).read_bytes() == content
    for person in ("bob", None):
        other = tmp_path / f"other-{person}"
        git("clone", "-q", url(hub, person, repo), other)
        git("lfs", "install", "--local", at=other)
        assert (other / "folder/w.weights").stat().st_size < 200
        git("lfs", "pull", at=other)
        assert (other / "folder/w.weights").read_bytes() == content
        assert (other / "model.safetensors").read_bytes() == WEIGHTS


def test_without_the_right_to_write_nothing_is_pushed(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, None, repo), at)
    commit(git, at, {"mine.txt": b"mine"})
    assert "403" in git("push", url(hub, "bob", repo), "HEAD:main", at=at, ok=False).stderr
    assert "could not read Username" in git("push", at=at, ok=False).stderr
    wrong = url(hub, "bob", repo).replace(hub.tokens["bob"], "gk_wrong")
    assert "Authentication failed" in git("push", wrong, "HEAD:main", at=at, ok=False).stderr


def test_a_private_repository_and_a_missing_one_answer_alike(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    hub.api("ada").update_repo_settings(repo, visibility="private")
    for person, said in ((None, "could not read Username"), ("bob", "not found")):
        found = git("clone", url(hub, person, repo), tmp_path / "no", ok=False).stderr
        missing = git("clone", url(hub, person, "ada/never"), tmp_path / "no", ok=False).stderr
        assert said in found
        assert found.replace(repo, "NAME") == missing.replace("ada/never", "NAME")
        answers = []
        for asked in (repo, "ada/never"):
            with hub.http(person) as http:
                for path in ("info/refs?service=git-upload-pack", "info/refs?service=git-receive-pack"):
                    answer = http.get(f"/{asked}.git/{path}")
                    answers.append((answer.status_code, answer.headers.get("www-authenticate"), answer.text))
        assert answers[:2] == answers[2:]
        assert answers[0][1] == ('Basic realm="gatekeeper"' if person is None else None)
    git("clone", "-q", url(hub, "ada", repo), tmp_path / "yes")


def test_behind_a_gate_nothing_leaves_and_the_reason_is_said(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    add(hub, repo, {"w.bin": b"\0weights"})
    digest = hub.api("ada").get_paths_info(repo, ["w.bin"])[0].lfs.sha256
    hub.api("ada").update_repo_settings(repo, gated="manual")
    assert "restricted" in git("clone", url(hub, "bob", repo), tmp_path / "no", ok=False).stderr
    asked = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": digest, "size": 8}]}
    with hub.http("bob") as http:
        refused = http.post(f"/{repo}.git/info/lfs/objects/batch", json=asked)
    assert refused.status_code == 403
    assert "restricted" in refused.json()["message"]


def test_history_under_terms_that_were_not_accepted_stays_behind(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    ada = hub.api("ada")
    ada.update_repo_settings(repo, gated="auto")
    card = b"---\nlicense: other\nlicense_name: kind\n---\n# A model\n"
    add(hub, repo, {"README.md": card, "LICENSE": b"The first terms.\n"})
    accept_terms(hub, "bob", repo)
    git("clone", "-q", url(hub, "bob", repo), tmp_path / "before")
    changed = add(hub, repo, {"LICENSE": b"The second terms.\n"})
    latest = add(hub, repo, {"config.json": b"{ }"})
    git("clone", "-q", url(hub, "bob", repo), tmp_path / "warned")  # let in for days, by the terms they accepted
    assert git("rev-parse", "HEAD", at=tmp_path / "warned").stdout.strip() == latest
    assert "terms" in git("clone", url(hub, "eve", repo), tmp_path / "no", ok=False).stderr
    accept_terms(hub, "eve", repo)
    at = tmp_path / "eve"
    git("clone", "-q", url(hub, "eve", repo), at)
    assert git("rev-list", "HEAD", at=at).stdout.split() == [latest, changed]
    assert git("rev-parse", "--is-shallow-repository", at=at).stdout.strip() == "true"
    newer = add(hub, repo, {"config.json": b"{  }"})
    git("pull", "-q", at=at)
    assert git("rev-list", "HEAD", at=at).stdout.split() == [newer, latest, changed]
    git("fetch", "-q", "--unshallow", at=at)
    assert git("rev-list", "HEAD", at=at).stdout.split() == [newer, latest, changed]


def test_an_lfs_address_ends_with_the_right_behind_it(hub: Hub, repo: str) -> None:
    add(hub, repo, {"w.bin": b"\0weights"})
    ada = hub.api("ada")
    digest = ada.get_paths_info(repo, ["w.bin"])[0].lfs.sha256
    asked = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": digest, "size": 8}]}
    with hub.http("bob") as http:
        row = http.post(f"/{repo}.git/info/lfs/objects/batch", json=asked).json()["objects"][0]
    with hub.http() as nobody:
        href = row["actions"]["download"]["href"]
        assert nobody.get(href).content == b"\0weights"
        part = nobody.get(href, headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"wei")
        ada.update_repo_settings(repo, visibility="private")
        assert nobody.get(href).status_code in (401, 404)
        assert nobody.get(href[:-3] + "abc").status_code in (401, 403)
    other = f"{repo}-other"
    ada.create_repo(other)
    with hub.http("ada") as http:  # the store has it, this repository does not
        row = http.post(f"/{other}.git/info/lfs/objects/batch", json=asked).json()["objects"][0]
    assert row["error"]["code"] == 404


def test_an_unreachable_commit_is_not_given_out(hub: Hub, repo: str, git: Git, tmp_path: Path) -> None:
    at, other = tmp_path / "clone", tmp_path / "other"
    git("clone", "-q", url(hub, "ada", repo), at)
    lost = commit(git, at, {"secret.txt": b"secret"})
    git("push", "-q", "origin", "HEAD:side", at=at)
    git("push", "-q", "origin", ":side", at=at)
    assert hub.api("ada").repo_info(repo, revision=lost).sha == lost
    git("clone", "-q", url(hub, "ada", repo), other)
    assert "not our ref" in git("fetch", "origin", lost, at=other, ok=False).stderr
    blob = git("rev-parse", f"{lost}:secret.txt", at=at).stdout.strip()
    said = []
    for oid in (lost, blob, "1" * 40):
        with hub.http("ada") as http:
            request = f"0032want {oid}\n".encode() + b"0000" + b"0009done\n"
            said.append(http.post(f"/{repo}.git/git-upload-pack", content=request).text.replace(oid, "OID"))
    assert len(set(said)) == 1
    assert "not our ref" in said[0]


@pytest.fixture
def maintainer(hub: Hub) -> Iterator[Callable[..., Any]]:
    """Acts on the running hub's database from a second process's place, as the command line does."""
    gatekeeper: Gatekeeper = assemble(
        Settings(data_dir=hub.data_dir, public_url=hub.url, inference_url="off", _env_file=None)
    )
    with asyncio.Runner() as runner:
        yield lambda act, *words: runner.run(act(gatekeeper, *words))
        runner.run(close(gatekeeper))


def test_of_a_staged_repository_only_what_is_released_leaves(
    hub: Hub, name: str, git: Git, tmp_path: Path, maintainer: Callable[..., Any]
) -> None:
    hub.api("ada").create_repo(name)
    add(hub, name, {"draft.txt": b"never to be seen\n"})
    files = {"README.md": CARD, "LICENSE": b"Use it kindly.\n" * 20, "config.json": b"{}", "model.safetensors": WEIGHTS}
    released = add(hub, name, files)
    maintainer(stage, name)
    assert "not found" in git("clone", url(hub, "bob", name), tmp_path / "no", ok=False).stderr
    maintainer(release, name)
    draft = add(hub, name, {"later.txt": b"a draft\n"})

    at, mine = tmp_path / "clone", tmp_path / "mine"
    git("clone", "-q", url(hub, "ada", name), mine)
    assert git("rev-parse", "HEAD", at=mine).stdout.strip() == draft
    assert "terms" in git("clone", url(hub, "bob", name), at, ok=False).stderr
    accept_terms(hub, "bob", name)
    git("clone", "-q", url(hub, "bob", name), at)
    assert git("rev-list", "--all", at=at).stdout.split() == [released]
    assert git("rev-parse", "--abbrev-ref", "HEAD", at=at).stdout.strip() == "main"
    parent = git("rev-parse", f"{released}~1", at=mine).stdout.strip()
    for oid in (draft, parent):
        assert "not our ref" in git("fetch", "origin", oid, at=at, ok=False).stderr
    pushed = commit(git, mine, {"by-git.txt": b"another draft\n"})
    git("push", "-q", at=mine)
    with hub.http("ada") as http:
        rows = http.get(f"/api/models/{name}/releases").json()
    assert pushed in json.dumps(rows)

    maintainer(hold, name)
    assert "on hold" in git("clone", url(hub, "bob", name), tmp_path / "held", ok=False).stderr
    git("fetch", at=at, ok=False)


def test_the_next_release_is_fetched_without_what_lies_between(
    hub: Hub, name: str, git: Git, tmp_path: Path, maintainer: Callable[..., Any]
) -> None:
    hub.api("ada").create_repo(name)
    files = {"README.md": CARD, "LICENSE": b"Use it kindly.\n" * 20, "config.json": b"{}", "model.safetensors": WEIGHTS}
    add(hub, name, files)
    maintainer(stage, name)
    maintainer(release, name)
    accept_terms(hub, "bob", name)
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "bob", name), at)
    between = add(hub, name, {"between.txt": b"a draft\n"})
    second = add(hub, name, {"config.json": b"{ }"})
    maintainer(release, name)
    git("fetch", "-q", "--depth", "1", at=at)
    assert git("rev-parse", "origin/main", at=at).stdout.strip() == second
    git("cat-file", "-e", between, at=at, ok=False)
    git("fsck", "--full", at=at)
