"""The YAML block at the head of a model card, read safely: plain values only, bounded in size, depth and expansion."""

import math
import re
from collections import Counter
from typing import Any

import yaml

MAX_BYTES = 128 * 2**10
_MAX_VALUES = 20_000
_MAX_DEPTH = 24
_OPENING = re.compile(r"\A\ufeff?---[ \t]*\r?$", re.MULTILINE)


class FrontMatterError(ValueError):
    """Why a card's metadata cannot be used, as a sentence for its author."""


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # which of the two depends on how PyYAML was built
    """YAML's safe types with the scalars of YAML 1.2, as the public Hub reads them: `no` and dates stay text.

    The C loader builds values by recursion on the C stack, so depth is limited by `_check_shape` before it starts.
    """


_Loader.yaml_implicit_resolvers = {}  # drop those of YAML 1.1
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]{1,40}|0x[0-9a-fA-F]{1,32}", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        ["" if first == "\0" else first for first in _first],
    )


def split(text: str) -> tuple[str | None, str]:
    """The metadata block and the text after it; None when there is no block. Raises FrontMatterError if unfinished."""
    opening = _OPENING.match(text)
    if opening is None:
        return None, text
    closing = re.compile(r"^---[ \t]*\r?$", re.MULTILINE).search(text, opening.end())
    if closing is None:
        raise FrontMatterError("The metadata block at the top is not closed: a line with only --- must end it.")
    return text[opening.end() : closing.start()], text[closing.end() :].lstrip("\r\n")


def parse(block: str) -> dict[str, Any]:
    """The values of a metadata block as plain JSON values. Raises FrontMatterError."""
    if len(block.encode("utf-8", "replace")) > MAX_BYTES:
        raise FrontMatterError(f"The metadata block is longer than {MAX_BYTES // 1024} KiB.")
    try:
        _check_shape(block)
        loaded = yaml.load(block, Loader=_Loader)  # noqa: S506 - a SafeLoader
        budget = [_MAX_VALUES]
        plain = _plain(loaded, budget, 0)
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise FrontMatterError(
            f"The metadata is not valid YAML: {error.problem or 'it cannot be read'}{where}."
        ) from None
    except yaml.YAMLError:
        raise FrontMatterError("The metadata is not valid YAML: it holds a character that is not allowed.") from None
    except (RecursionError, ValueError, OverflowError, TypeError) as error:
        reason = str(error) if isinstance(error, FrontMatterError) else "The metadata cannot be read."
        raise FrontMatterError(reason) from None
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise FrontMatterError("The metadata must be a list of `key: value` lines.")
    return plain


def repeated(block: str) -> list[str]:
    """Keys that stand in a block that can be read more than once: the last one counts, which few authors mean."""
    node = yaml.compose(block, Loader=_Loader)
    rows = node.value if isinstance(node, yaml.MappingNode) else []
    counted = Counter(key.value for key, _ in rows if isinstance(key, yaml.ScalarNode))
    return [key for key, count in counted.items() if count > 1]


def _check_shape(block: str) -> None:
    """Refuse what nests too deeply or has too many parts, while it is read as a stream and before anything is built."""
    depth = 0
    for count, event in enumerate(yaml.parse(block, Loader=_Loader)):
        match event:
            case yaml.CollectionStartEvent():
                depth += 1
            case yaml.CollectionEndEvent():
                depth -= 1
        if depth > _MAX_DEPTH or count > _MAX_VALUES:
            raise FrontMatterError("The metadata holds too many values, or nests too deeply.")


def _plain(value: Any, budget: list[int], depth: int) -> Any:
    """A copy made of dicts, lists and scalars. Aliases are expanded here, so this is where a bomb is counted."""
    budget[0] -= 1
    if budget[0] < 0 or depth > _MAX_DEPTH:
        raise FrontMatterError("The metadata holds too many values, or nests too deeply.")
    match value:
        case dict():
            return {_key(key): _plain(below, budget, depth + 1) for key, below in value.items()}
        case list():
            return [_plain(below, budget, depth + 1) for below in value]
        case float() if not math.isfinite(value):
            raise FrontMatterError("The metadata holds a number that is not finite.")
        case str():
            value.encode()  # lone surrogates raise ValueError
            return value
        case None | bool() | int() | float():
            return value
    raise FrontMatterError(f"The metadata holds a value of the type {type(value).__name__}, which is not allowed.")


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)
