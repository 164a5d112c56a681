"""What a card's metadata must look like: mistakes that refuse a commit, and advice. Works on plain JSON values."""

import re
from collections.abc import Mapping
from typing import Any

_RELATIONS = ("adapter", "finetune", "merge", "quantized")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}|code|multilingual")
_DATASET_ID = re.compile(r"[A-Za-z0-9._-]{1,96}(?:/[A-Za-z0-9._-]{1,96})?")
_LONGEST_TAG = 200
TEXT_LISTS = (
    "task_categories", "task_ids", "size_categories", "multilinguality", "language_creators", "annotations_creators",
    "source_datasets",
)  # fmt: skip

# License ids that the public hub knows.
_LICENSES = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl
    gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr
    mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
    deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4
    grok2-community gemma unknown other
    """.split()  # noqa: SIM905 - seventy names read better so
)


def errors(data: Mapping[str, Any]) -> list[str]:
    """Mistakes beside those of single fields: what cannot be understood as it stands."""
    found = [
        f'"{key}" must be a string or an array of strings'
        for key in TEXT_LISTS
        if data.get(key) is not None and not is_texts(data[key])
    ]
    relation = data.get("base_model_relation")
    if relation is not None and relation not in _RELATIONS:
        found.append(f'"base_model_relation" must be one of [{", ".join(_RELATIONS)}]')
    found += [
        f'"datasets" with value {name[:100]!r} is not valid. Use a data set id such as "namespace/name"'
        for name in texts(data.get("datasets"))
        if not _DATASET_ID.fullmatch(name)
    ]
    found += [f'"tags" holds a tag of {len(tag)} characters; {_LONGEST_TAG} are possible' for tag in _too_long(data)]
    return found + _index_errors(data.get("model-index"))


def warnings(data: Mapping[str, Any]) -> list[str]:
    """What is accepted and probably not meant."""
    found = [
        f'"license" {name[:60]!r} is not a known license id; use "other" with "license_name" and "license_link"'
        for name in texts(data.get("license"))
        if name.lower() not in _LICENSES
    ]
    found += [
        f'"language" {name[:60]!r} is not a code of ISO 639, such as "en"'
        for name in texts(data.get("language"))
        if not _LANGUAGE.fullmatch(name)
    ]
    thumbnail = data.get("thumbnail")
    if isinstance(thumbnail, str) and "://" in thumbnail:
        found.append('"thumbnail" lies elsewhere and is not shown; name an image of this repository')
    return found


def _index_errors(index: Any) -> list[str]:
    """`model-index`: models with results, each of a task, a data set and metrics."""
    if index is None:
        return []
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    found: list[str] = []
    for number, model in enumerate(index):
        here = f"model-index[{number}]"
        if not isinstance(model, dict):
            found.append(f'"{here}" must be an object')
            continue
        if not isinstance(model.get("name"), str):
            found.append(f'"{here}.name" must be a string')
        results = model.get("results", [])
        if not isinstance(results, list):
            found.append(f'"{here}.results" must be an array')
            continue
        for place, result in enumerate(results):
            found += _result_errors(result, f"{here}.results[{place}]")
    return found


def _result_errors(result: Any, here: str) -> list[str]:
    if not isinstance(result, dict):
        return [f'"{here}" must be an object']
    found = [
        f'"{here}.{part}.{name}" must be a string'
        for part, names in (("task", ("type",)), ("dataset", ("type", "name")))
        for name in names
        if not isinstance((result.get(part) or {}).get(name) if isinstance(result.get(part), dict) else None, str)
        and (part == "task" or part in result)
    ]
    metrics = result.get("metrics", [])
    if not isinstance(metrics, list):
        return [*found, f'"{here}.metrics" must be an array']
    for number, metric in enumerate(metrics):
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str) or metric.get("value") is None:
            found.append(f'"{here}.metrics[{number}]" must have a type and a value')
    return found


def _too_long(data: Mapping[str, Any]) -> list[str]:
    return [tag for tag in texts(data.get("tags")) if len(tag) > _LONGEST_TAG]


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a field that may hold one or several; what is none is left out."""
    values = value if isinstance(value, list) else [value]
    return tuple(text.strip() for text in values if isinstance(text, str) and text.strip())


def is_texts(value: Any) -> bool:
    """Whether a field holds a text, or several and nothing else."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))
