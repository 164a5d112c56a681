"""The info object of a repository."""

from collections.abc import Iterable

from gatekeeper.kit.canonical import instant_text
from gatekeeper.repos import Card, RepoKind
from gatekeeper.web.hub.described import Described
from gatekeeper.web.hub.schemas.answers import Json, repo_status, sibling

_EVERYWHERE = (
    "author", "cardData", "createdAt", "disabled", "lastModified", "likes", "private", "resourceGroup", "sha",
    "siblings", "tags", "trendingScore", "usedStorage", "xetEnabled",
)  # fmt: skip
_COUNTED = ("downloads", "downloadsAllTime", "gated")
_MODELS = (
    "baseModels", "childrenModelCount", "config", "evalResults", "gguf", "inference", "inferenceProviderMapping",
    "library_name", "mask_token", "model-index", "pipeline_tag", "safetensors", "spaces", "transformersInfo",
    "widgetData",
)  # fmt: skip
_DATASETS = ("citation", "description", "mainSize", "paperswithcode_id")
_SPACES = ("datasets", "models", "region", "runtime", "sdk", "subdomain")

# Fields that `expand` may ask for. Those that mean nothing here are left out of the answer, as the public hub does.
EXPANDABLE = {
    RepoKind.MODEL: tuple(sorted(_EVERYWHERE + _COUNTED + _MODELS)),
    RepoKind.DATASET: tuple(sorted(_EVERYWHERE + _COUNTED + _DATASETS)),
    RepoKind.SPACE: tuple(sorted(_EVERYWHERE + _SPACES)),
}
_TAG_TYPES = {"base_model": "base_model", "dataset": "dataset", "license": "license"}


def info(
    seen: Described,
    *,
    with_sizes: bool,
    only: frozenset[str] = frozenset(),
    is_row: bool = False,
    with_card: bool = False,
) -> Json:
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
        "downloads": seen.popularity.downloads,
        "likes": seen.popularity.likes,
        "tags": list(card.all_tags),
    }
    if card.pipeline_tag:
        answer["pipeline_tag"] = card.pipeline_tag
    if card.library_name:
        answer["library_name"] = card.library_name
    if repo.kind is RepoKind.SPACE and "sdk" in card.data:
        answer["sdk"] = card.data["sdk"]
    if not is_row or with_card or "cardData" in only:
        answer["cardData"] = dict(card.data)
    if seen.files or not is_row:
        answer["siblings"] = [sibling(entry, with_sizes=with_sizes) for entry in seen.files]
        answer["usedStorage"] = sum(entry.size for entry in seen.files)
    answer |= seen.details
    if seen.scans is not None:
        answer["securityRepoStatus"] = repo_status(seen.scans)
    if only:
        answer |= _asked_for(seen) | {
            "xetEnabled": True
        }  # releases up to 1.19 upload large folders by Xet if it says so
        answer = {name: value for name, value in answer.items() if name in only}
    return {"_id": repo.id, "id": repo.full_name, "modelId": repo.full_name, **answer}


def _asked_for(seen: Described) -> Json:
    """Fields that are there only when `expand` names them."""
    card = seen.card
    answer: Json = {"downloadsAllTime": seen.popularity.downloads, "trendingScore": seen.popularity.trending}
    if card.base_models:
        answer["baseModels"] = {"relation": card.base_relation, "models": [{"id": name} for name in card.base_models]}
    for name in ("model-index", "models", "datasets", "paperswithcode_id"):
        if name in card.data:
            answer[name] = card.data[name]
    return answer


def tasks(seen: Iterable[Described]) -> Json:
    """`GET /api/tasks`: by what a card says its model is for."""
    found: dict[str, list[str]] = {}
    for one in sorted(seen, key=lambda one: -one.popularity.likes):
        if one.card.pipeline_tag:
            found.setdefault(one.card.pipeline_tag, []).append(one.repo.full_name)
    return {task: {"widgetModels": names} for task, names in found.items()}


def tags_by_type(cards: Iterable[Card]) -> Json:
    """`GET /api/models-tags-by-type`: each tag once, under what it says."""
    found: dict[str, dict[str, Json]] = {"pipeline_tag": {}, "library": {}, "license": {}, "language": {}, "other": {}}
    for card in cards:
        told = {card.pipeline_tag: "pipeline_tag", card.library_name: "library"}
        languages = card.data.get("language")
        told |= dict.fromkeys([languages] if isinstance(languages, str) else languages or [], "language")
        for tag in card.all_tags:
            name, colon, label = tag.partition(":")
            kind = _TAG_TYPES.get(name) if colon else None
            place = kind or told.get(tag, "other")
            found.setdefault(place, {})[tag] = {"id": tag, "label": label if kind else tag, "type": place}
    return {place: list(tags.values()) for place, tags in found.items()}
