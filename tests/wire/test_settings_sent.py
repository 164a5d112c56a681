"""Every field that the public client can send about a repository is enforced, or refused with a sentence."""

import inspect
from typing import Any

import pytest
from huggingface_hub import HfApi

from tests.wire.server import Hub

# What each argument becomes in the body; None for those that choose the repository, the caller or what is raised.
_CREATE: dict[str, dict[str, Any] | None] = {
    "repo_id": None,
    "token": None,
    "repo_type": None,
    "exist_ok": None,
    "private": {"visibility": "private"},
    "visibility": {"visibility": "private"},
    "space_sdk": {"sdk": "static"},
    "resource_group_id": {"resourceGroupId": "66670e5163145ca562cb1988"},
    "region": {"region": "eu"},
    "space_template": {"template": "lab/template"},
    "space_hardware": {"hardware": "cpu-basic"},
    "space_storage": {"storageTier": "small"},
    "space_sleep_time": {"sleepTimeSeconds": 60},
    "space_secrets": {"secrets": [{"key": "A", "value": "b"}]},
    "space_variables": {"variables": [{"key": "A", "value": "b"}]},
    "space_volumes": {"volumes": [{"type": "model", "source": "lab/m", "mountPath": "/m"}]},
}
_KEPT = {"private", "visibility", "space_sdk"}


def _arguments(method: Any) -> set[str]:
    return set(inspect.signature(method).parameters) - {"self"}


def test_every_argument_of_create_repo_is_in_the_table() -> None:
    assert _arguments(HfApi.create_repo) <= set(_CREATE)
    assert _arguments(HfApi.update_repo_settings) == {"repo_id", "gated", "private", "visibility", "token", "repo_type"}
    assert _arguments(HfApi.move_repo) == {"from_id", "to_id", "repo_type", "token"}


@pytest.mark.parametrize("argument", sorted(name for name, sent in _CREATE.items() if sent and name not in _KEPT))
def test_what_is_not_kept_makes_no_repository(hub: Hub, name: str, argument: str) -> None:
    body = {"name": name.partition("/")[2], "type": "space", "sdk": "static"} | (_CREATE[argument] or {})

    with hub.http("ada") as http:
        answer = http.post("/api/repos/create", json=body)

    assert 400 <= answer.status_code < 500
    assert next(iter(_CREATE[argument] or {})) in answer.json()["error"]
    assert not hub.api("ada").repo_exists(name, repo_type="space")


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_visibility_is_enforced_from_the_first_moment(hub: Hub, name: str, repo_type: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    sdk = {"space_sdk": "static"} if repo_type == "space" else {}

    ada.create_repo(name, repo_type=repo_type, visibility="private", **sdk)
    hidden = bob.repo_exists(name, repo_type=repo_type)
    ada.update_repo_settings(name, repo_type=repo_type, visibility="public")

    assert not hidden
    assert bob.repo_exists(name, repo_type=repo_type)


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
@pytest.mark.parametrize("gated", ["auto", "manual"])
def test_a_gate_is_enforced_for_every_kind(hub: Hub, name: str, repo_type: str, gated: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name, repo_type=repo_type, **({"space_sdk": "static"} if repo_type == "space" else {}))
    ada.upload_file(path_or_fileobj=b"x", path_in_repo="a.bin", repo_id=name, repo_type=repo_type)
    prefix = "" if repo_type == "model" else f"/{repo_type}s"

    def status() -> int:
        with hub.http("bob") as http:
            return http.get(f"{prefix}/{name}/resolve/main/a.bin").status_code

    before = status()
    ada.update_repo_settings(name, repo_type=repo_type, gated=gated)
    shut = status()
    ada.update_repo_settings(name, repo_type=repo_type, gated=False)

    assert (before, shut, status()) == (200, 403, 200)


@pytest.mark.parametrize(
    "body",
    [
        {"visibility": "protected"},
        {"gated": "sometimes"},
        {"gatedNotifications": {"mode": "bulk"}},
        {"discussionsDisabled": True},
        {"xetEnabled": False},
        {"title": "Nice"},
        {"resourceGroupId": "66670e5163145ca562cb1988"},
        {"sleepTimeSeconds": 60},
    ],
    ids=lambda body: next(iter(body)),
)
def test_settings_that_nobody_keeps_are_refused_by_name(hub: Hub, name: str, body: dict[str, Any]) -> None:
    hub.api("ada").create_repo(name, repo_type="space", space_sdk="static")

    with hub.http("ada") as http:
        answer = http.put(f"/api/spaces/{name}/settings", json=body)

    assert 400 <= answer.status_code < 500
    assert next(iter(body)) in answer.json()["error"]


@pytest.mark.parametrize("extra", [{"force": True}, {"type": "bucket"}, {"private": True}], ids=str)
def test_a_move_with_more_than_two_names_and_a_kind_is_refused(hub: Hub, name: str, extra: dict[str, Any]) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)

    with hub.http("ada") as http:
        answer = http.post("/api/repos/move", json={"fromRepo": name, "toRepo": f"{name}-b", "type": "model"} | extra)

    assert 400 <= answer.status_code < 500
    assert ada.repo_exists(name)
    assert not ada.repo_exists(f"{name}-b")
