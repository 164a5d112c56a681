"""Collections by the unmodified client."""

import pytest
from huggingface_hub import errors

from tests.wire.server import Hub


def test_a_collection_goes_through_its_whole_life(hub: Hub, name: str) -> None:
    ada, title = hub.api("ada"), f"Recent {name[5:]}"
    ada.create_repo(name)
    ada.create_repo(name, repo_type="dataset")
    made = ada.create_collection(title, description="What I like")
    assert made.slug.startswith("ada/recent-")
    assert len(made.slug.rpartition("-")[2]) == 24
    assert made.owner == "ada"
    assert made.description == "What I like"
    assert made.url == f"{hub.url}/collections/{made.slug}"
    ada.add_collection_item(made.slug, name, "model", note="First")
    two = ada.add_collection_item(made.slug, name, "dataset")
    assert [(item.item_id, item.item_type, item.position, item.note) for item in two.items] == [
        (name, "model", 0, "First"),
        (name, "dataset", 1, None),
    ]
    ada.update_collection_item(made.slug, two.items[1].item_object_id, note="Second", position=0)
    turned = ada.get_collection(made.slug)
    assert [(item.item_type, item.note) for item in turned.items] == [("dataset", "Second"), ("model", "First")]
    renamed = ada.update_collection_metadata(made.slug, title=f"{title} anew", theme="pink")
    assert renamed.slug != made.slug
    assert renamed.slug[-24:] == made.slug[-24:]
    assert renamed.theme == "pink"
    assert ada.get_collection(made.slug).slug == renamed.slug
    ada.delete_collection_item(renamed.slug, turned.items[0].item_object_id)
    ada.delete_collection_item(renamed.slug, turned.items[0].item_object_id, missing_ok=True)
    assert [item.item_type for item in ada.get_collection(made.slug).items] == ["model"]
    ada.delete_collection(made.slug)
    ada.delete_collection(made.slug, missing_ok=True)
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.get_collection(made.slug)
    assert caught.value.response.status_code == 404


def test_what_is_there_already_is_told_by_409(hub: Hub, name: str) -> None:
    ada, title = hub.api("ada"), f"Twice {name[5:]}"
    ada.create_repo(name)
    made = ada.create_collection(title)
    assert ada.create_collection(title.upper(), exists_ok=True).slug == made.slug
    ada.add_collection_item(made.slug, name, "model")
    again = ada.add_collection_item(made.slug, name, "model", exists_ok=True)
    assert len(again.items) == 1
    for repeat in (lambda: ada.create_collection(title), lambda: ada.add_collection_item(made.slug, name, "model")):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            repeat()
        assert caught.value.response.status_code == 409


def test_a_private_collection_is_not_there_for_others(hub: Hub, name: str) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    hidden = ada.create_collection(f"Hidden {name[5:]}", private=True)
    assert hidden.private
    assert hidden.slug in [each.slug for each in ada.list_collections(owner="ada")]
    for other in (eve, hub.api(None)):
        assert hidden.slug not in [each.slug for each in other.list_collections(owner="ada")]
        for call in (
            lambda api=other: api.get_collection(hidden.slug),
            lambda api=other: api.get_collection("ada/nothing-" + "0" * 24),
        ):
            with pytest.raises(errors.HfHubHTTPError) as caught:
                call()
            assert caught.value.response.status_code == 404
            assert (
                caught.value.server_message == "Collection not found. Check the address, or sign in if it is private."
            )
    with pytest.raises(errors.HfHubHTTPError) as caught:
        eve.update_collection_metadata(hidden.slug, title="Mine")
    assert caught.value.response.status_code == 404


def test_only_its_owner_changes_a_public_collection(hub: Hub, name: str) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    made = ada.create_collection(f"Seen {name[5:]}")
    for attempt in (
        lambda: eve.update_collection_metadata(made.slug, title="Mine"),
        lambda: eve.delete_collection(made.slug),
        lambda: eve.create_collection("Forced", namespace="ada"),
        lambda: eve.create_collection("Forced", namespace="nobody-there"),
    ):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            attempt()
        assert caught.value.response.status_code == 403
    assert eve.get_collection(made.slug).title == made.title


def test_items_that_the_reader_may_not_know_are_left_out(hub: Hub, name: str) -> None:
    ada, eve, secret = hub.api("ada"), hub.api("eve"), f"{name}-secret"
    ada.create_repo(name)
    ada.create_repo(secret, private=True)
    made = ada.create_collection(f"Both {name[5:]}")
    ada.add_collection_item(made.slug, name, "model")
    ada.add_collection_item(made.slug, secret, "model")
    assert [item.item_id for item in ada.get_collection(made.slug).items] == [name, secret]
    assert [item.item_id for item in eve.get_collection(made.slug).items] == [name]
    assert made.slug in [each.slug for each in ada.list_collections(item=f"models/{secret}")]
    assert list(eve.list_collections(item=f"models/{secret}")) == []
    [listed] = list(eve.list_collections(item=f"models/{name}"))
    assert [item.item_id for item in listed.items] == [name]
    mine = eve.create_collection(f"Probe {name[5:]}")
    told = set()
    for probe in (secret, "ada/never-there"):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            eve.add_collection_item(mine.slug, probe, "model")
        told.add((caught.value.response.status_code, caught.value.response.text))
    assert len(told) == 1


def test_collections_hold_collections_and_lists_have_pages(hub: Hub, name: str) -> None:
    bob = hub.api("bob")
    made = [bob.create_collection(f"Page {number} {name[5:]}") for number in range(3)]
    bob.add_collection_item(made[0].slug, made[1].slug, "collection")
    assert [item.item_id for item in bob.get_collection(made[0].slug).items] == [made[1].slug]
    with hub.http("bob") as http:
        first = http.get("/api/collections", params={"owner": "bob", "limit": 2})
        assert len(first.json()) == 2
        assert all("position" not in each for each in first.json())
        second = http.get(first.links["next"]["url"])
        assert {each["slug"] for each in first.json()}.isdisjoint({each["slug"] for each in second.json()})
    with pytest.raises(errors.BadRequestError, match="no papers"):
        bob.add_collection_item(made[0].slug, "2307.09288", "paper")
