import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, errors, hf_hub_download

from tests.wire.server import Hub

CARD = b"""---
license: other
license_name: test-license
extra_gated_fields:
  Institution: text
  I agree: checkbox
---
# A gated model
"""


@pytest.fixture
def gated(hub: Hub, name: str) -> str:
    """A manually gated repository with a license text, a form and a weight file."""
    ada = hub.api("ada")
    ada.create_repo(name)
    files = {"README.md": CARD, "LICENSE": b"Use it kindly.\n", "config.json": b"{}", "w.bin": b"\0weights"}
    ada.create_commit(name, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="files")
    ada.update_repo_settings(name, gated="manual")
    return name


def ask(hub: Hub, person: str, name: str) -> Any:
    with hub.http(person) as http:
        stands = http.get(f"/api/models/{name}/access").json()
        body = {
            "accept": [text["sha256"] for text in stands["terms"]],
            "fields": {"Institution": "A university", "I agree": True},
        }
        return http.post(f"/api/models/{name}/access", json=body)


def accept(hub: Hub, person: str, name: str) -> Any:
    with hub.http(person) as http:
        texts = http.get(f"/api/models/{name}/access").json()["terms"]
        return http.post(f"/api/models/{name}/access", json={"accept": [text["sha256"] for text in texts]})


def test_who_is_not_on_the_list_is_told_where_to_ask(hub: Hub, gated: str, tmp_path: Path) -> None:
    assert hub.api("bob").model_info(gated).gated == "manual"
    for person, status in (("bob", 403), (None, 401)):
        with pytest.raises(errors.GatedRepoError) as caught:
            hub.api(person).auth_check(gated)
        assert caught.value.response.status_code == status
        text = str(caught.value)
        assert f"Access to model {gated} is restricted and you are not in the authorized list." in text
        assert f"{hub.url}/{gated}" in text
    with pytest.raises(errors.GatedRepoError):
        hf_hub_download(gated, "w.bin", endpoint=hub.url, token=hub.tokens["bob"], cache_dir=tmp_path)
    hub.api("ada").auth_check(gated)


def test_the_story_of_a_request(hub: Hub, gated: str, tmp_path: Path) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    with hub.http("bob") as http:
        stands = http.get(f"/api/models/{gated}/access").json()
        assert stands["status"] == "none"
        assert stands["capabilities"]["download"]["allowed"] is False
        text = http.get(stands["terms"][0]["url"])
        assert text.text == "Use it kindly.\n"
        missing = http.post(f"/api/models/{gated}/access", json={"accept": [], "fields": {}})
        assert missing.status_code == 422
        assert set(missing.json()["details"]["fields"]) == {"Institution", "I agree"}
        assert list(missing.json()["details"]["texts"]) == [stands["terms"][0]["sha256"]]
    asked = ask(hub, "bob", gated)
    assert asked.status_code == 201, asked.text
    assert asked.json()["status"] == "in_review"
    assert asked.json()["receipt"]
    assert ask(hub, "bob", gated).status_code == 409

    pending = list(ada.list_pending_access_requests(gated))
    assert [(row.username, row.fields["Institution"]) for row in pending] == [("bob", "A university")]
    with pytest.raises(errors.RepositoryNotFoundError):
        list(hub.api("eve").list_pending_access_requests("ada/never"))
    with pytest.raises(errors.HfHubHTTPError):
        list(hub.api("eve").list_pending_access_requests(gated))
    ada.accept_access_request(gated, "bob")
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.accept_access_request(gated, "bob")
    assert caught.value.response.status_code == 404
    bob.auth_check(gated)
    options: dict[str, Any] = {"endpoint": hub.url, "token": hub.tokens["bob"], "cache_dir": tmp_path}
    assert Path(hf_hub_download(gated, "w.bin", **options)).read_bytes() == b"\0weights"
    assert [row.username for row in ada.list_accepted_access_requests(gated)] == ["bob"]

    with hub.http("bob") as http:
        receipts = http.get("/api/receipts").json()
        mine = next(row for row in receipts if row["repository"] == gated)
        whole = http.get(f"/api/receipts/{mine['id']}").json()
        assert {name: value for name, value in whole.items() if name != "proof"} == mine["receipt"]
    with hub.http("eve") as http:
        assert http.get(f"/api/receipts/{mine['id']}").status_code == 404

    ada.reject_access_request(gated, "bob", rejection_reason="The project has ended.")
    with pytest.raises(errors.GatedRepoError, match="revoked"):
        bob.auth_check(gated)
    with hub.http("bob") as http:
        assert http.get(f"/{gated}/resolve/main/w.bin").status_code == 403, "revocation binds on the next request"
    ada.cancel_access_request(gated, "bob")
    assert [row.username for row in ada.list_pending_access_requests(gated)] == ["bob"]
    with hub.http("bob") as http:
        assert http.delete(f"/api/models/{gated}/access").json() == {"status": "withdrawn"}
        assert http.delete(f"/api/models/{gated}/access").status_code == 409


def test_access_is_granted_to_somebody_who_did_not_ask(hub: Hub, gated: str) -> None:
    ada = hub.api("ada")
    ada.grant_access(gated, "eve")
    with pytest.raises(errors.HfHubHTTPError):
        ada.grant_access(gated, "eve")
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.grant_access(gated, "nobody-of-that-name")
    assert caught.value.response.status_code == 404
    with pytest.raises(errors.HfHubHTTPError):
        hub.api("bob").grant_access(gated, "bob")


def test_an_ungated_repository_has_no_requests(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    with pytest.raises(errors.HfHubHTTPError) as caught:
        list(hub.api("ada").list_pending_access_requests(name))
    assert caught.value.response.status_code == 400


def test_the_public_hubs_form_asks_as_well(hub: Hub, gated: str) -> None:
    with hub.http("bob") as http:
        stands = http.get(f"/api/models/{gated}/access").json()
        form = {"accept": stands["terms"][0]["sha256"], "Institution": "A school", "I agree": "on"}
        answer = http.post(f"/api/models/{gated}/ask-access", data=form)
    assert answer.status_code == 201, answer.text


def test_a_gate_that_opens_by_itself_opens_at_once(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=name)
    ada.update_repo_settings(name, gated="auto")
    with pytest.raises(errors.GatedRepoError):
        hub.api("bob").auth_check(name)
    with hub.http("bob") as http:
        assert http.post(f"/api/models/{name}/access", json={}).json()["status"] == "active"
    hub.api("bob").auth_check(name)


def test_the_evidence_log_shows_its_head(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    with hub.http() as http:
        for _ in range(50):
            answer = http.get("/api/ledger/checkpoint")
            if answer.status_code == 200:
                break
            time.sleep(0.1)
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) >= 5


def test_the_client_shows_that_terms_have_changed(hub: Hub, name: str, run_client: Callable[..., Any]) -> None:
    ada = hub.api("ada")
    names = [name, f"{name}-b"]
    for each in names:
        ada.create_repo(each)
        files = {"LICENSE": b"Use it kindly.\n", "a.txt": b"a", "b.txt": b"b"}
        ada.create_commit(each, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="f")
        ada.update_repo_settings(each, gated="auto")
        assert accept(hub, "bob", each).status_code == 201
        operation = CommitOperationAdd("LICENSE", b"Use it very kindly.\n")
        ada.create_commit(each, [operation], commit_message="new terms")
    code = """
        import logging
        from huggingface_hub import hf_hub_download
        lines = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(record.getMessage())
        logging.getLogger("huggingface_hub").addHandler(handler)
        for each in values["names"]:
            for path in ("a.txt", "b.txt"):
                hf_hub_download(each, path)
        answer = [line for line in lines if "terms" in line]
    """
    said = run_client(code, person="bob", names=names)
    assert [f"The terms of {each} have changed." in line for each, line in zip(names, said, strict=True)] == [True] * 2
    assert all(f"{hub.url}/{each}/access" in line for each, line in zip(names, said, strict=True))
    with hub.http("bob") as http:
        assert accept(hub, "bob", name).status_code == 201
        assert "x-hf-warning" not in http.get(f"/{name}/resolve/main/a.txt").headers
