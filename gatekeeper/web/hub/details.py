"""What an info object says beyond the catalogue: read from files and scans, only where `expand` asks and as far as the
caller may read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper import authz
from gatekeeper.authz import Resource
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, history, scanning
from gatekeeper.repos.history import TreeEntry
from gatekeeper.repos.scanning import FileResult
from gatekeeper.web import lineage
from gatekeeper.web.guard import Call

_LONGEST_JSON = 2 * 2**20
_FILES = ("config.json", "model_index.json", "tokenizer_config.json")
_CONFIG = ("architectures", "model_type", "auto_map")
_TOKENIZER = ("bos_token", "eos_token", "mask_token", "pad_token", "unk_token", "sep_token", "cls_token")
_WEIGHTS = ("model", "diffusion_pytorch_model", "adapter_model")
ASKED = frozenset({"safetensors", "gguf", "config", "transformersInfo", "mask_token", "childrenModelCount"})


@dataclass(frozen=True)
class Place:
    """A repository at the commit that its reader stands before, and those of its files that were read."""

    repo: Repo
    resource: Resource
    commit: str
    files: tuple[TreeEntry, ...] = ()


async def details(call: Call, places: Sequence[Place], wanted: frozenset[str]) -> dict[str, dict[str, Any]]:
    """The asked ones of `ASKED` that have a value, by repository and by their names on the wire."""
    found: dict[str, dict[str, Any]] = {place.repo.id: {} for place in places}
    if wanted & {"safetensors", "gguf"}:
        results = await scanning.results_of_each(call.session, {place.repo.id: place.files for place in places})
        for repo_id, scanned in results.items():
            found[repo_id] |= _from_scans(scanned)
    if wanted & {"config", "transformersInfo", "mask_token"}:
        files = await _files(call, places)
        for repo_id in found:
            found[repo_id] |= _from_files({name: files.get((repo_id, name), {}) for name in _FILES})
    if "childrenModelCount" in wanted:
        models = [place.repo for place in places if place.repo.kind is RepoKind.MODEL]
        for repo_id, children in (await lineage.children_of(call, models)).items():
            found[repo_id]["childrenModelCount"] = dict(Counter(relation for _, relation in children))
    return {repo_id: {name: value for name, value in more.items() if value} for repo_id, more in found.items()}


def _from_scans(results: Mapping[str, FileResult]) -> dict[str, Any]:
    """Numbers of parameters, from headers that the scan read."""
    counts: dict[str, int] = {}
    gguf: dict[str, Any] = {}
    for path, result in results.items():
        if result.verdict is None:
            continue
        if path.endswith(".safetensors") and path.startswith(_WEIGHTS):
            for dtype, count in result.verdict.facts.get("parameters", {}).items():
                counts[dtype] = counts.get(dtype, 0) + count
        gguf = gguf or result.verdict.facts.get("gguf", {})
    return {"safetensors": {"parameters": counts, "total": sum(counts.values())} if counts else None, "gguf": gguf}


def _from_files(files: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The parts of the configuration that libraries choose by."""
    config, index, tokenizer = (files[name] for name in _FILES)
    told: dict[str, Any] = {name: config[name] for name in _CONFIG if name in config}
    if isinstance(quantization := config.get("quantization_config"), dict) and "quant_method" in quantization:
        told["quantization_config"] = {"quant_method": quantization["quant_method"]}
    if isinstance(index.get("_class_name"), str):
        told["diffusers"] = {"_class_name": index["_class_name"]}
    tokens = {name: _token(tokenizer[name]) for name in _TOKENIZER if name in tokenizer}
    if tokens:
        told["tokenizer_config"] = tokens
    return {"config": told, "mask_token": tokens.get("mask_token"), "transformersInfo": _auto_class(config)}


def _token(value: Any) -> Any:
    return value.get("content") if isinstance(value, dict) else value


def _auto_class(config: dict[str, Any]) -> dict[str, str] | None:
    """The class that transformers would choose, by its convention of names: `BertForMaskedLM` is a MaskedLM."""
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        return None
    _, is_for, purpose = architectures[0].partition("For")
    if purpose == "ConditionalGeneration":
        purpose = "Seq2SeqLM"
    return {"auto_model": f"AutoModelFor{purpose}" if is_for else "AutoModel"}


async def _files(call: Call, places: Sequence[Place]) -> dict[tuple[str, str], dict[str, Any]]:
    """The configuration files that are objects and that the caller may read, by repository and name."""
    instant, policies, session = now(), call.gatekeeper.policies, call.session
    await history.warm(session, [(place.repo.id, place.commit) for place in places])
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    for place in places:
        for name in _FILES:
            entry = await history.find_entry(session, place.repo, place.commit, name)
            if entry is None or entry.type != "file" or entry.lfs is not None or entry.size > _LONGEST_JSON:
                continue
            action = authz.action_for_path(name, is_lfs=False)
            if authz.decide(policies, call.principal, action, place.resource, instant):
                wanted[place.repo.id, name] = (place.repo.id, entry.oid)
    read = await history.read_blobs(session, wanted.values())
    return {named: _object(read.get(key, b"")) for named, key in wanted.items()}


def _object(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
