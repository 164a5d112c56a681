"""The info object of a repository."""

from typing import TYPE_CHECKING

from gatekeeper.kit.canonical import instant_text
from gatekeeper.web.hub.schemas.answers import Json, sibling

if TYPE_CHECKING:
    from gatekeeper.web.hub.info import Described

# Fields that `expand` may ask for. Those that mean nothing here are left out of the answer, as the public hub does.
EXPANDABLE = (
    "author",
    "baseModels",
    "cardData",
    "childrenModelCount",
    "config",
    "createdAt",
    "description",
    "disabled",
    "downloads",
    "downloadsAllTime",
    "gated",
    "inference",
    "inferenceProviderMapping",
    "lastModified",
    "library_name",
    "likes",
    "mask_token",
    "model-index",
    "pipeline_tag",
    "private",
    "resourceGroup",
    "runtime",
    "safetensors",
    "sdk",
    "sha",
    "siblings",
    "spaces",
    "subdomain",
    "tags",
    "transformersInfo",
    "trendingScore",
    "usedStorage",
    "widgetData",
)


def info(seen: "Described", *, with_sizes: bool, only: frozenset[str] = frozenset(), is_row: bool = False) -> Json:
    """The info object. `sha` is always there without `expand`: downloads pin to it.

    No inference mapping is ever named: with one, a client would send prompt and token to the public router.
    """
    repo, card = seen.repo, seen.card
    answer: Json = {
        "author": repo.namespace,
        "sha": seen.commit,
        "lastModified": instant_text(repo.updated_at),
        "createdAt": instant_text(repo.created_at),
        "private": seen.is_private,
        "gated": seen.gated,
        "disabled": False,
        "downloads": repo.download_count,
        "likes": 0,
        "tags": list(card.all_tags),
    }
    if card.pipeline_tag:
        answer["pipeline_tag"] = card.pipeline_tag
    if card.library_name:
        answer["library_name"] = card.library_name
    if not is_row or "cardData" in only:
        answer["cardData"] = dict(card.data)
    if seen.files or not is_row:
        answer["siblings"] = [sibling(entry, with_sizes=with_sizes) for entry in seen.files]
        answer["usedStorage"] = sum(entry.size for entry in seen.files)
    if only:
        answer = {name: value for name, value in answer.items() if name in only}
    return {"_id": repo.id, "id": repo.full_name, "modelId": repo.full_name, **answer}
