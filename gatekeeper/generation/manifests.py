"""What the worker is told: the data files of a commit by digest, and the order."""

import base64
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.generation.orders import OrderRequest
from gatekeeper.generation.tables import Generation
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash
from gatekeeper.repos import history, lfs
from gatekeeper.repos import manifests as repo_manifests
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.tables import Repo
from inference.contract import ImageOrder, ManifestFile, ModelManifest, SafetyDemand

ORDER_SECONDS = 600
_LOADABLE = (".json", ".txt", ".model", ".safetensors")
_MAX_INLINE_BYTES = 64 * 2**20

_made: "Lru[tuple[str, str], ModelManifest]" = Lru(64 * 2**20)


async def worker_manifest(session: AsyncSession, repo: Repo, commit: str) -> ModelManifest:
    """The commit for the worker: JSON, vocabularies and safetensors only. Nothing else can be loaded, so nothing else
    is offered. Files in the store are named by digest, the others travel with it.

    Raises Invalid for a commit that holds no pipeline, or of which files were deleted for good.
    """
    key = (f"{repo.id} {repo.full_name}", commit)  # a moved repository has another name in its receipts
    made = _made.get(key) or await _make(session, repo, commit)
    await _require_files(session, repo, made)
    size = sum(len(file.inline or "") for file in made.files) + 200 * len(made.files)
    _made.put(key, made, size)
    return made


async def _require_files(session: AsyncSession, repo: Repo, made: ModelManifest) -> None:
    """Asked each time: a manifest never changes, but its large files may be deleted."""
    wanted = {file.sha256 for file in made.files if file.inline is None}
    if wanted - await lfs.possessed(session, repo, wanted):
        raise errors.Invalid(
            f"Files of this revision of {repo.full_name} were deleted.", next_step="Choose another revision."
        )


async def _make(session: AsyncSession, repo: Repo, commit: str) -> ModelManifest:
    manifest = await repo_manifests.manifest(session, repo, commit)
    digests = {path: sha256 for path, _, sha256 in manifest.files}
    entries = [
        entry
        for entry in await history.tree(session, repo, commit, recursive=True)
        if entry.type == "file" and entry.path.lower().endswith(_LOADABLE)
    ]
    if not any(entry.path == "model_index.json" for entry in entries):
        raise errors.Invalid(
            f"{repo.full_name} holds no pipeline: model_index.json is missing at this commit.",
            next_step="Choose a repository that was saved with diffusers' save_pretrained.",
        )
    inline_bytes = sum(entry.size for entry in entries if entry.lfs is None)
    if inline_bytes > _MAX_INLINE_BYTES:
        raise errors.Invalid(
            f"{repo.full_name} keeps {inline_bytes:,} bytes of model files in Git itself; at most "
            f"{_MAX_INLINE_BYTES:,} can be handed to the inference process.",
            next_step="Commit its weights as large files (LFS or Xet), as the public clients do by themselves.",
        )
    files = tuple(
        [
            ManifestFile(
                path=entry.path,
                size_bytes=entry.size,
                sha256=digests[entry.path],
                inline=None
                if entry.lfs is not None
                else base64.b64encode(await history.read_blob(session, repo, entry.oid)).decode(),
            )
            for entry in entries
        ]
    )
    return ModelManifest(repository=repo.full_name, commit=commit, files=files)


def image_order(generation: Generation, manifest: ModelManifest, privacy_key: bytes) -> ImageOrder:
    """The order as the worker gets it: a keyed hash stands for the person.

    An evaluation has a place of its own in the line, behind everybody's.
    """
    request = OrderRequest.of(generation)
    whose = f"evaluation {generation.person_id}" if generation.is_evaluation else generation.person_id or ""
    return ImageOrder(
        id=generation.id,
        model=manifest.digest,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=request.width,
        height=request.height,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        scheduler=request.scheduler,
        seed=request.seed,
        images=request.images,
        safety=SafetyDemand.model_validate(
            generation.settings.get("demand", {})
            | {"sld_level": request.sld_level, "margin": generation.settings["margin"]}
        ),
        bucket=request.bucket,
        deadline_at=now() + timedelta(seconds=ORDER_SECONDS),
        previews=request.previews,
        person_key=keyed_hash(privacy_key, whose),
        is_background=generation.is_evaluation,
        weight=generation.settings.get("weight", 1.0),
    )
