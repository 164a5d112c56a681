"""What the API says of a repository, as a value: `info` gathers it, `schemas.info` gives it the wire's names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gatekeeper.repos import Card, Repo
from gatekeeper.repos.history import TreeEntry
from gatekeeper.repos.popularity import Popularity
from gatekeeper.repos.scanning import FileResult


@dataclass(frozen=True)
class Described:
    """A repository at a revision, as far as its reader may see it. `scans` by path, None where nobody asked."""

    repo: Repo
    commit: str
    files: tuple[TreeEntry, ...]
    card: Card
    is_private: bool
    gated: str | bool
    scans: Mapping[str, FileResult] | None = None
    popularity: Popularity = Popularity()  # noqa: RUF009 - frozen
    details: Mapping[str, Any] = field(default_factory=dict)
