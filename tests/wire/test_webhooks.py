"""Webhooks by the unmodified client."""

import pytest
from huggingface_hub import WebhookInfo, WebhookWatchedItem, errors

from tests.wire.server import Hub

URL = "https://hooks.example.org/gatekeeper"


def test_a_webhook_goes_through_its_whole_life(hub: Hub) -> None:
    ada = hub.api("ada")
    made = ada.create_webhook(url=URL, watched=[{"type": "user", "name": "ada"}], secret="hush")
    assert isinstance(made, WebhookInfo)
    assert (made.url, made.job, made.secret, made.disabled) == (URL, None, None, False)
    assert made.watched == [WebhookWatchedItem(type="user", name="ada")]
    assert set(made.domains) == {"repo", "discussion"}
    assert ada.get_webhook(made.id) == made
    assert made in ada.list_webhooks()
    changed = ada.update_webhook(
        made.id, url=f"{URL}/2", watched=[WebhookWatchedItem(type="model", name="ada/one")], domains=["repo"]
    )
    assert (changed.url, changed.domains) == (f"{URL}/2", ["repo"])
    assert [item.name for item in ada.update_webhook(made.id, secret="other").watched] == ["ada/one"]
    assert ada.disable_webhook(made.id).disabled
    assert not ada.enable_webhook(made.id).disabled
    ada.delete_webhook(made.id)
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.get_webhook(made.id)
    assert caught.value.response.status_code == 404


def test_both_names_of_the_discussion_domain_are_taken(hub: Hub) -> None:
    with hub.http("bob") as http:
        for name in ("discussion", "discussions"):
            body = {"url": URL, "watched": [{"type": "org", "name": "lab"}], "domains": [name, "repo"]}
            made = http.post("/api/settings/webhooks", json=body).json()["webhook"]
            assert made["domains"] == ["discussion", "repo"]


def test_webhooks_of_others_are_not_there(hub: Hub) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    made = ada.create_webhook(url=URL, watched=[{"type": "user", "name": "ada"}])
    assert made.id not in [hook.id for hook in eve.list_webhooks()]
    told = set()
    for webhook_id in (made.id, "0" * 26):
        for call in (eve.get_webhook, eve.delete_webhook, eve.enable_webhook, eve.disable_webhook):
            with pytest.raises(errors.HfHubHTTPError) as caught:
                call(webhook_id)
            told.add((caught.value.response.status_code, caught.value.response.text))
    assert len(told) == 1
    assert not ada.get_webhook(made.id).disabled


@pytest.mark.parametrize(
    "url", ["http://hooks.example.org/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest"]
)
def test_addresses_inside_are_refused_with_a_sentence(hub: Hub, url: str) -> None:
    with pytest.raises(errors.BadRequestError, match=r"https|private network"):
        hub.api("ada").create_webhook(url=url, watched=[{"type": "user", "name": "ada"}])


def test_what_this_hub_does_not_have_is_refused_with_a_sentence(hub: Hub) -> None:
    ada = hub.api("ada")
    with pytest.raises(errors.BadRequestError, match="runs no jobs"):
        ada.create_webhook(job_id="ada/job", watched=[{"type": "user", "name": "ada"}])
    with pytest.raises(errors.BadRequestError, match="cannot be watched"):
        ada.create_webhook(url=URL, watched=[{"type": "bucket", "name": "ada/files"}])
    with pytest.raises(errors.BadRequestError, match="no such domain"):
        ada.create_webhook(url=URL, watched=[{"type": "user", "name": "ada"}], domains=["weather"])
