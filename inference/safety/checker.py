"""The image check: similarity to concepts, a score for each, and no verdict without proof that it was computed.

The weights have the format of diffusers' `StableDiffusionSafetyChecker` (CLIP vision tower, 17 concept and 3
special-care embeddings with thresholds). Its own `forward` is not used: it passes NaN, never fires with unloaded
weights, blanks images in place and hides the scores.

Source of the rule: diffusers `pipelines/stable_diffusion/safety_checker.py`; Rando et al. 2022, arXiv 2210.04610.
"""

from pathlib import Path
from typing import Any, TypeGuard

import PIL.Image
import torch
from torch import Tensor

from inference.contract import ConceptScore
from inference.plainfiles import read_json
from inference.safety.verdict import CheckerError, Verdict

SPECIAL_CARE_MARGIN = 0.01  # a special-care hit makes every concept this much stricter; it flags nothing by itself


class ConceptChecker:
    """Verdicts from a `StableDiffusionSafetyChecker`'s weights, computed in float32.

    module     the loaded diffusers module, in eval mode; its embeddings must not be the all-ones of a fresh one
    processor  transformers' CLIP image processor with the checker's own configuration
    concepts   names of the concept embeddings, in order
    """

    version = "stable-diffusion-safety-checker, scores 1"

    def __init__(self, module: Any, processor: Any, *, sha256: str, concepts: tuple[str, ...]) -> None:
        self.sha256 = sha256
        self.concepts = concepts
        self._module = module
        self._processor = processor
        self._require_loaded_weights()

    @torch.inference_mode()
    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """Scores of RGB images. Raises CheckerError when a score is not a finite number."""
        pixels = self._processor(images, return_tensors="pt").pixel_values
        weight = self._module.visual_projection.weight
        pooled = self._module.vision_model(pixels.to(weight.device, weight.dtype))[1]
        embeddings = self._module.visual_projection(pooled).float()
        care = _cosine(embeddings, self._module.special_care_embeds) - self._module.special_care_embeds_weights
        cosine = _cosine(embeddings, self._module.concept_embeds) - self._module.concept_embeds_weights
        if not (torch.isfinite(care).all() and torch.isfinite(cosine).all()):
            raise CheckerError("the checker's scores are not finite")
        # The rule rounds to three places before it compares, so the receipt's scores explain the verdict exactly.
        has_care = (torch.round(care, decimals=3) > 0).any(dim=1, keepdim=True)
        scores = torch.round(cosine + has_care * SPECIAL_CARE_MARGIN + margin, decimals=3)
        return [
            Verdict(tuple(ConceptScore(concept=n, score=round(s, 3)) for n, s in zip(self.concepts, row, strict=True)))
            for row in scores.cpu().tolist()
        ]

    def _require_loaded_weights(self) -> None:
        module = self._module
        for name in ("concept_embeds", "concept_embeds_weights", "special_care_embeds", "special_care_embeds_weights"):
            value: Tensor = getattr(module, name)
            if not torch.isfinite(value).all():
                raise CheckerError(f"the checker's {name} are not finite")
        if bool((module.concept_embeds == 1).all()) or bool((module.concept_embeds_weights == 1).all()):
            raise CheckerError("the checker's weights were not loaded: its concepts are all ones")
        if bool((module.concept_embeds_weights >= 1).all()):
            raise CheckerError("the checker can never fire: every threshold is 1 or above")
        if len(self.concepts) != module.concept_embeds.shape[0]:
            raise CheckerError(f"{len(self.concepts)} names for {module.concept_embeds.shape[0]} concepts")


def concept_names(directory: Path, count: int) -> tuple[str, ...]:
    """Names from `concepts.json` beside the weights, or from the pipeline's `vocabulary.json`; else "concept 0" and on.

    Raises CheckerError when `concepts.json` is there and is not a list of as many names as there are concepts.
    """
    own, pipeline = directory / "concepts.json", directory.parent / "vocabulary.json"
    if own.is_file():
        names = read_json(own, name=own.name)
        if not _are_names(names, count):
            raise CheckerError(f"{own.name} must be a list of {count} names")
        return tuple(names)
    if pipeline.is_file():
        vocabulary = read_json(pipeline, name=pipeline.name)
        names = vocabulary.get("concepts") if isinstance(vocabulary, dict) else None
        if _are_names(names, count):
            return tuple(names)
    return tuple(f"concept {i}" for i in range(count))


def _are_names(value: Any, count: int) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) == count and all(isinstance(name, str) for name in value)


def _cosine(images: Tensor, concepts: Tensor) -> Tensor:
    """(image, dim) and (concept, dim) to (image, concept) cosine similarity, float32."""
    normalize = torch.nn.functional.normalize
    return normalize(images.float()) @ normalize(concepts.float()).t()
