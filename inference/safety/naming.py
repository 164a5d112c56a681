"""A second opinion on the bundled model's images: its reader names the picture, and harmful names are flagged.

Reader and checker share the vision tower, and nothing else: the checker compares with fitted concept vectors and their
thresholds, this with the embedded captions of all pictures. It says nothing of images by other models.
"""

import hashlib

import PIL.Image
import torch

from inference.contract import ConceptScore
from inference.emoji import weights_dir
from inference.plainfiles import read_json
from inference.readers import bundled_reader
from inference.safety.verdict import Verdict

CONCEPT = "harmful picture"


class NamingCheck:
    """Flags an image whose nearest caption is that of a flagged picture of `vocabulary.json`."""

    concepts = (CONCEPT,)
    version = "1"

    def __init__(self) -> None:
        file = weights_dir() / "vocabulary.json"
        harmful = {one["caption"] for one in read_json(file, name=file.name)["pictures"] if one["is_flagged"]}
        self._reader = bundled_reader()
        self._is_harmful = torch.tensor([caption in harmful for caption in self._reader.captions])
        digests = self._reader.facts.sha256 + hashlib.sha256(file.read_bytes()).hexdigest()
        self.sha256 = hashlib.sha256(digests.encode()).hexdigest()

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """How much nearer the nearest flagged picture is than the nearest other one, in cosine similarity."""
        nearness = self._reader.nearness(images)
        ahead = nearness[:, self._is_harmful].amax(dim=1) - nearness[:, ~self._is_harmful].amax(dim=1)
        return [Verdict((ConceptScore(concept=CONCEPT, score=score + margin),)) for score in ahead.tolist()]
