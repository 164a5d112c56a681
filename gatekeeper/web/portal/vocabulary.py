"""A model's vocabulary: what it says it knows in `vocabulary.json`, for suggestions and honest warnings."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.repos import Repo, history

FILE_NAME = "vocabulary.json"
_MOST_BYTES = 2**20
_MOST_WORDS = 20_000
_MOST_SHOWN = 2_000
_MOST_EXAMPLES = 12
_EDGES = ',.!:?;"“”'


@dataclass(frozen=True)
class Vocabulary:
    """What the model knows. Everything in it was written by the repository's authors and is not trusted.

    words     every known word, in lower case
    prompts   whole prompts to suggest
    examples  a few to begin with
    groups    names by category, for looking around
    """

    words: tuple[str, ...]
    prompts: tuple[str, ...]
    examples: tuple[str, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def others(self) -> tuple[str, ...]:
        """Words that stand in no name of a group."""
        named = {word for _, names in self.groups for name in names for word in name.lower().split()}
        return tuple(word for word in self.words if word not in named)

    def strange(self, prompt: str) -> list[str]:
        """Words of `prompt` that the model does not know, each once, in order."""
        known = set(self.words)
        words = (word.strip(_EDGES) for word in re.split(r"\s+", prompt.lower()))
        return list(dict.fromkeys(word for word in words if word and word not in known))


async def vocabulary_of(session: AsyncSession, repo: Repo, commit: str) -> Vocabulary | None:
    """The vocabulary that ships with a commit; None where there is none that can be read."""
    entry = await history.find_entry(session, repo, commit, FILE_NAME)
    if entry is None or entry.type != "file" or entry.lfs is not None or entry.size > _MOST_BYTES:
        return None
    try:
        return parse(json.loads(await history.read_blob(session, repo, entry.oid)))
    except (ValueError, RecursionError):
        return None


def parse(data: Any) -> Vocabulary | None:
    """The vocabulary in a file's JSON; parts of another shape are left out. None where no words are named."""
    if not isinstance(data, dict):
        return None
    words = tuple(dict.fromkeys(word.lower() for word in _texts(data.get("words"))))[:_MOST_WORDS]
    if not words:
        return None
    pictures = [picture for picture in _list(data.get("pictures")) if isinstance(picture, dict)]
    prompts = _texts(picture.get("caption") for picture in pictures if not picture.get("is_flagged"))
    categories = data.get("categories")
    groups = (
        tuple((str(name)[:60], _texts(names)) for name, names in (categories or {}).items())
        if isinstance(categories, dict)
        else ()
    )
    examples = _texts(data.get("examples"))[:_MOST_EXAMPLES]
    return Vocabulary(words, (prompts or examples)[:_MOST_SHOWN], examples or prompts[:_MOST_EXAMPLES], groups[:100])


def strange_note(vocabulary: Vocabulary | None, prompt: str) -> str:
    """The warning about words outside the vocabulary, "" where there is nothing to say."""
    strange = vocabulary.strange(prompt) if vocabulary else []
    return f"Outside this model’s vocabulary: {', '.join(strange[:20])}." if strange else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return ()
    return tuple(value.strip()[:200] for value in values if isinstance(value, str) and value.strip())
