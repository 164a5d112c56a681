"""The safety checkers this server trusts, loaded at start and attached to models by the digest of their weights."""

import hashlib
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from inference.contract import ModelManifest
from inference.emoji import weights_dir
from inference.plainfiles import UnsafeFile, read_json, tensor_count
from inference.safety.checker import ConceptChecker, concept_names
from inference.safety.verdict import CheckerError, GuardedChecker

log = logging.getLogger(__name__)

PREFIX = "safety_checker/"
MODELS = "models.json"


class TrustedCheckers:
    """Checkers by digest.

    made_for  of checkers that were made for certain models: the digests of those models' weights, by the checker's own
    default   digest of the checker for models that name none made for them; None: they get none, and make nothing
    """

    def __init__(
        self,
        checkers: dict[str, GuardedChecker],
        *,
        made_for: Mapping[str, frozenset[str]],
        default: str | None = None,
    ) -> None:
        if default is not None and default not in checkers:
            raise CheckerError("INFERENCE_DEFAULT_CHECKER names a checker that is not among INFERENCE_CHECKERS")
        self._checkers = checkers
        self._made_for = made_for
        self._default = default

    @property
    def sha256(self) -> str:
        """Of all of them, and of which is the default."""
        return hashlib.sha256(" ".join([*sorted(self._checkers), self._default or ""]).encode()).hexdigest()

    def attach(self, manifest: ModelManifest, weights: Collection[str]) -> GuardedChecker | None:
        """The server's own copy of the checker whose weights the manifest names, else the default.

        Only the digest is taken from the manifest; its files are not read, and its configuration does not count.

        weights  digests of every weight file that the model is built from
        """
        named = [file.sha256 for file in manifest.files if file.path.startswith(PREFIX)]
        # INVARIANT: a repository does not choose its check: one that was made for other models is none for this one.
        fitting = [digest for digest in named if digest in self._checkers and self._serves(digest, weights)]
        digest = fitting[0] if len(fitting) == 1 else self._default
        return self._checkers[digest] if digest is not None else None

    def _serves(self, digest: str, weights: Collection[str]) -> bool:
        return digest not in self._made_for or self._made_for[digest].issuperset(weights)


def trusted_checkers(
    directories: tuple[Path, ...] | None, *, default: str | None, timeout_seconds: float, device: str = "cpu"
) -> TrustedCheckers:
    """Load the checkers of these directories; None: the bundled model's, if its weights are installed.

    Raises CheckerError for a directory that holds no sound checker: a server must not start with less than it was told.
    """
    if directories is None:
        bundled = weights_dir() / "safety_checker"
        directories = (bundled,) if bundled.is_dir() else ()
    loaded = [read_checker(directory, device) for directory in directories]
    checkers = {checker.sha256: GuardedChecker(checker, timeout_seconds=timeout_seconds) for checker in loaded}
    made_for = {
        checker.sha256: models_of(directory)
        for checker, directory in zip(loaded, directories, strict=True)
        if (directory / MODELS).is_file()
    }
    return TrustedCheckers(checkers, made_for=made_for, default=default)


def read_checker(directory: Path, device: str = "cpu") -> ConceptChecker:
    """A checker from a directory in diffusers' layout, with `concepts.json` beside it if its concepts have names.

    It is float32 on every device: nobody has shown that another format gives the same verdicts.
    """
    try:
        weights = weight_file(directory)
        tensor_count(weights, name=weights.name)
        loaded: Any = StableDiffusionSafetyChecker.from_pretrained(
            str(directory),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
            variant="fp16" if ".fp16." in weights.name else None,
        )
        module, info = loaded
        if missing := [key for key in info["missing_keys"] if not key.endswith("position_ids")]:
            raise CheckerError(f"the checker in {directory.name} lacks weights: {', '.join(sorted(missing)[:3])}")
        module.eval().requires_grad_(False).to(device)
        processor = _processor(directory, module.config.vision_config.image_size)
        names = concept_names(directory, module.concept_embeds.shape[0])
    except (OSError, ValueError, RuntimeError, UnsafeFile) as error:
        raise CheckerError(f"the checker in {directory.name} cannot be loaded: {error}") from error
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    return ConceptChecker(module, processor, sha256=sha256, concepts=names)


def models_of(directory: Path) -> frozenset[str]:
    """Digests of the weights of the models that a checker was made for, as the file beside it lists them.

    Raises CheckerError for a file of another form: it must not be taken for one that allows every model.
    """
    try:
        listed = read_json(directory / MODELS, name=MODELS)
        digests = listed["weights_sha256"]
        if digests and all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests):
            return frozenset(digests)
    except (OSError, UnsafeFile, TypeError, KeyError) as error:
        raise CheckerError(f"{MODELS} of the checker in {directory.name} cannot be read: {error}") from error
    raise CheckerError(f"{MODELS} of the checker in {directory.name} must list SHA-256 digests as weights_sha256")


def weight_file(directory: Path) -> Path:
    """The checker's weights. Raises CheckerError when there are none as safetensors."""
    for name in ("model.safetensors", "model.fp16.safetensors"):
        if (directory / name).is_file():
            return directory / name
    raise CheckerError(f"{directory.name} has no safetensors weights")


def _processor(directory: Path, image_size: int) -> Any:
    """CLIP's preprocessing with the checker's configuration: beside it, in the pipeline it lies in, or by its size."""
    for file in (
        directory / "preprocessor_config.json",
        directory.parent / "feature_extractor" / "preprocessor_config.json",
    ):
        if file.is_file():
            return CLIPImageProcessorPil.from_dict(read_json(file, name=file.name))
    side = {"height": image_size, "width": image_size}
    return CLIPImageProcessorPil(size={"shortest_edge": image_size}, crop_size=side)
