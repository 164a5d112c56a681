"""What an info object says beyond the catalogue: read from files and scans, only where `expand` asks and as far as the
caller may read."""

import json
from typing import Any

from gatekeeper import authz
from gatekeeper.authz import Resource
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, history, scanning
from gatekeeper.repos.history import TreeEntry
from gatekeeper.web import lineage
from gatekeeper.web.guard import Call

_LONGEST_JSON = 2 * 2**20
_CONFIG = ("architectures", "model_type", "auto_map")
_TOKENIZER = ("bos_token", "eos_token", "mask_token", "pad_token", "unk_token", "sep_token", "cls_token")
_WEIGHTS = ("model", "diffusion_pytorch_model", "adapter_model")
ASKED = frozenset({"safetensors", "gguf", "config", "transformersInfo", "mask_token", "childrenModelCount"})


async def details(
    call: Call, repo: Repo, resource: Resource, commit: str, files: tuple[TreeEntry, ...], wanted: frozenset[str]
) -> dict[str, Any]:
    """The asked ones of `ASKED` that have a value, by their names on the wire."""
    found: dict[str, Any] = {}
    if wanted & {"safetensors", "gguf"}:
        found |= await _from_scans(call, repo, files)
    if wanted & {"config", "transformersInfo", "mask_token"}:
        found |= await _from_files(call, repo, resource, commit)
    if "childrenModelCount" in wanted and repo.kind is RepoKind.MODEL:
        found["childrenModelCount"] = await _children(call, repo)
    return {name: value for name, value in found.items() if value}


async def _from_scans(call: Call, repo: Repo, files: tuple[TreeEntry, ...]) -> dict[str, Any]:
    """Numbers of parameters, from headers that the scan read."""
    results = await scanning.results_of(call.session, repo, files)
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


async def _from_files(call: Call, repo: Repo, resource: Resource, commit: str) -> dict[str, Any]:
    """The parts of the configuration that libraries choose by."""
    config = await _json(call, repo, resource, commit, "config.json")
    index = await _json(call, repo, resource, commit, "model_index.json")
    tokenizer = await _json(call, repo, resource, commit, "tokenizer_config.json")
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


async def _json(call: Call, repo: Repo, resource: Resource, commit: str, path: str) -> dict[str, Any]:
    entry = await history.find_entry(call.session, repo, commit, path)
    if entry is None or entry.type != "file" or entry.lfs is not None or entry.size > _LONGEST_JSON:
        return {}
    action = authz.action_for_path(path, is_lfs=False)
    if not authz.decide(call.gatekeeper.policies, call.principal, action, resource, now()):
        return {}
    try:
        parsed = json.loads(await history.read_blob(call.session, repo, entry.oid))
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


async def _children(call: Call, repo: Repo) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, relation in await lineage.children(call, repo):
        counts[relation] = counts.get(relation, 0) + 1
    return counts
