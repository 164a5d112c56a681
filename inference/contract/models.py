"""Models: which files they are, and how far they are loaded."""

import base64
import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from inference.contract.base import Answer, Commit, Order, RepositoryName, Sha256
from inference.contract.codes import ErrorCode, LoadPhase, Scheduler


class ManifestFile(Order):
    """One file of a commit. Large files lie in the content-addressed store under their digest.

    inline    base64 of the content for small files that are not in the store, else None
    """

    path: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    size_bytes: Annotated[int, Field(ge=0, strict=True)]
    sha256: Sha256
    inline: str | None = None

    @model_validator(mode="after")
    def _path_is_plain(self) -> Self:
        parts = self.path.split("/")
        if any(part in {"", ".", ".."} for part in parts) or any(c in self.path for c in "\\\0\r\n:"):
            raise ValueError(f"file path {self.path!r} is not a plain relative path")
        return self

    def content(self) -> bytes | None:
        """The inline bytes, not yet compared with the digest. None: look in the store."""
        return None if self.inline is None else base64.b64decode(self.inline, validate=True)


class ModelManifest(Order):
    """A repository's commit as the loader may read it: these files with these digests, and nothing else."""

    repository: RepositoryName
    commit: Commit
    files: Annotated[tuple[ManifestFile, ...], Field(min_length=1, max_length=10_000)]

    @model_validator(mode="after")
    def _paths_are_unique(self) -> Self:
        if len({file.path.casefold() for file in self.files}) != len(self.files):
            raise ValueError("the manifest names a path twice")
        return self

    @property
    def digest(self) -> str:
        """sha256 that names this manifest: repository, commit, and each file's path, size and digest.

        Inline content is left out, for the file's own digest binds it. Compatibility: the form below never changes.
        """
        files = sorted((file.path, file.size_bytes, file.sha256) for file in self.files)
        text = json.dumps([self.repository, self.commit, files], separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


class LoadOrder(Order):
    """Make this model ready. Loading a model that is ready already answers at once."""

    manifest: ModelManifest


class ModelState(Answer):
    """Where a model is, and once ready what it is.

    digest          of the manifest; `ImageOrder.model` repeats it
    bytes_verified  of `bytes_total`, for a progress bar while `phase` is verifying
    engine          "step": mixed with other orders; "diffusers": runs as it is, one image at a time
    checker_sha256  digest of the attached checker's weights; None until ready, and for a model without a checker, whose
                    orders all fail with `checker_mismatch`
    memory_bytes    what its weights take; is_pinned: never evicted
    last_used_at    when it was last ordered; None: not since it was loaded
    message         what a load is about, or why it failed
    """

    digest: Sha256
    repository: RepositoryName
    commit: Commit
    phase: LoadPhase
    bytes_verified: int = 0
    bytes_total: int = 0
    pipeline: str | None = None
    engine: Literal["step", "diffusers"] | None = None
    default_width: int | None = None
    default_height: int | None = None
    default_scheduler: Scheduler | None = None
    checker_sha256: Sha256 | None = None
    concepts: tuple[str, ...] = ()
    dtype: str | None = None
    error: ErrorCode | None = None
    message: str | None = None
    memory_bytes: int = 0
    is_pinned: bool = False
    last_used_at: AwareDatetime | None = None
