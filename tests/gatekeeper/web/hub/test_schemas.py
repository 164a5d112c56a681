from datetime import UTC, datetime

import pytest

from gatekeeper.errors import Invalid
from gatekeeper.repos import Card, Gate, GitRef, LfsPointer, Repo, RepoKind, TreeEntry
from gatekeeper.repos.lfs import Planned
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.info import Described

FILE = TreeEntry("w.bin", "file", "b" * 40, 9, LfsPointer("a" * 64, 9, 130))


def described(**changes: object) -> Described:
    repo = Repo(
        kind=RepoKind.MODEL, namespace="ada", name="m", key="models/ada/m", created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    given = {"repo": repo, "commit": "c" * 40, "files": (FILE,), "card": Card(), "is_private": False, "gated": "manual"}
    return Described(**given | changes)  # type: ignore[arg-type]  # a builder for tests


def test_dates_end_in_z() -> None:
    assert schemas.info(described(), with_sizes=False)["createdAt"] == "2026-01-01T00:00:00.000Z"


def test_the_digest_is_called_sha256_in_siblings_and_oid_in_trees() -> None:
    row = schemas.info(described(), with_sizes=True)["siblings"][0]
    assert row == {
        "rfilename": "w.bin",
        "size": 9,
        "blobId": "b" * 40,
        "lfs": {"sha256": "a" * 64, "size": 9, "pointerSize": 130},
    }
    assert schemas.tree_entry(FILE)["lfs"] == {"oid": "a" * 64, "size": 9, "pointerSize": 130}


def test_no_inference_provider_is_ever_named() -> None:
    answer = schemas.info(
        described(), with_sizes=True, only=frozenset({"inferenceProviderMapping", "inference", "sha"})
    )
    assert set(answer) == {"_id", "id", "modelId", "sha"}


def test_a_stored_object_has_no_actions_key() -> None:
    assert "actions" not in schemas.lfs_object(Planned("a" * 64, 9, True), address=None, verify="v")
    refused = schemas.lfs_object(Planned("a" * 64, 9, False, 413, "too large"), address=None, verify="v")
    assert refused["error"] == {"code": 413, "message": "too large"}


def test_refs_always_name_converts() -> None:
    rows = [
        GitRef(repo_id="r", name=name, object_id="c" * 40) for name in ("refs/heads/a/b", "refs/tags/v1", "refs/pr/2")
    ]
    answer = schemas.refs(rows, with_pull_requests=True)
    assert [row["name"] for row in answer["branches"]] == ["a/b"]
    assert [row["name"] for row in answer["tags"]] == ["v1"]
    assert [row["name"] for row in answer["pullRequests"]] == ["refs/pr/2"]
    assert answer["converts"] == []
    assert "pullRequests" not in schemas.refs(rows, with_pull_requests=False)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"gated": "sometimes"}', "gated"),
        (b'{"sdkVersion": 1}', "sdkVersion"),
        (b'{"private": "perhaps"}', "private"),
    ],
)
def test_a_body_that_cannot_be_accepted_says_why(content: bytes, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        schemas.parse(schemas.RepoSettings, content)


def test_gated_false_opens_and_silence_changes_nothing() -> None:
    assert schemas.parse(schemas.RepoSettings, b'{"gated": false}').gate is Gate.NONE
    assert schemas.parse(schemas.RepoSettings, b'{"gated": "auto"}').gate is Gate.AUTO
    assert schemas.parse(schemas.RepoSettings, b'{"private": true}').gate is None


def test_old_and_new_ways_of_saying_private_mean_the_same() -> None:
    assert schemas.parse(schemas.NewRepo, b'{"name": "m", "private": true}').is_private
    assert schemas.parse(schemas.NewRepo, b'{"name": "m", "visibility": "private"}').is_private
    assert not schemas.parse(schemas.NewRepo, b'{"name": "m"}').is_private
