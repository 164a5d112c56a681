"""What a commit may do to a tree, one value for each kind."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddFile:
    """Place these bytes at `path`, kept in Git itself."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class AddLfs:
    """Place at `path` a file whose bytes the repository already has in the store. `size` in bytes, if it was said."""

    path: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class DeletePath:
    """Remove the file or folder at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class DeleteFolder:
    """Remove the folder at `path` and all below it."""

    path: str


@dataclass(frozen=True, slots=True)
class CopyFile:
    """Place at `path` what lies at `source` in the commit `revision` of the same repository (the parent if None)."""

    path: str
    source: str
    revision: str | None = None


Operation = AddFile | AddLfs | DeletePath | DeleteFolder | CopyFile
