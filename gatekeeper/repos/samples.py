"""Images that a card shows of what its model makes, as the public hub reads them: `thumbnail` and `widget`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gatekeeper.repos.paths import is_path

MOST = 24  # of one card
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(frozen=True, slots=True)
class Sample:
    """An image of the repository, by its path, and the prompt it was made from, as far as the card says."""

    path: str
    prompt: str = ""


def samples_of(data: Mapping[str, Any]) -> tuple[Sample, ...]:
    """Those of a card's metadata, each once: outputs of its `widget`, the `thumbnail` first where there is one."""
    prompts: dict[str, str] = {}
    if path := path_of(data.get("thumbnail")):
        prompts[path] = ""
    widget = data.get("widget")
    for example in widget if isinstance(widget, list) else ():
        output = example.get("output") if isinstance(example, dict) else None
        path = path_of(output.get("url")) if isinstance(output, dict) else None
        if path:
            text = example.get("text")
            prompts[path] = prompts.get(path) or (" ".join(text.split()) if isinstance(text, str) else "")
    return tuple(Sample(path, prompt) for path, prompt in list(prompts.items())[:MOST])


def path_of(address: Any) -> str | None:
    """The path in the repository that a card's relative address of an image means; None for any other address."""
    if not isinstance(address, str) or "://" in address:
        return None
    path = unquote(address.strip().partition("#")[0].partition("?")[0]).removeprefix("./")
    return path if path.lower().endswith(SUFFIXES) and is_path(path) else None
