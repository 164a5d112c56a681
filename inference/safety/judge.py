"""Large judges, asked over HTTP: ShieldGemma, LlavaGuard and others run where they fit, behind one plain interface.

The interface is that of OpenAI's moderation endpoint, which many servers speak: `POST url` with `{"model", "input"}`,
where the input is a text or one image as a data URL, answered by `{"model", "results": [{"category_scores": {...}}]}`.

The weights are elsewhere, so the digest is that of the configuration: address, model and thresholds. An answer of
another model, without one of the categories, or with a status other than 200 is no verdict. Neither prompt nor image is
logged here; what the judge keeps is for its operator to say.
"""

import base64
import hashlib
import io
import json
import os
from typing import Any

import httpx2
import PIL.Image

from inference.contract import ConceptScore
from inference.safety.verdict import Verdict

MAX_ANSWER_BYTES = 1_000_000


class JudgeError(Exception):
    """The judge's answer is none."""


class Judge:
    """Asks one model behind one address. Both an image check and a prompt classifier.

    url         where it is asked
    model       name by which it is asked, and by which it must answer
    thresholds  score from which each category is found; other categories of the answer are ignored
    key_env     name of the environment variable that holds its key; "" for none
    """

    at_once = 8  # a question waits for the network most of its time

    def __init__(
        self,
        *,
        url: str,
        model: str,
        thresholds: dict[str, float],
        key_env: str = "",
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        if not url.startswith(("https://", "http://")) or not model:
            raise ValueError("a judge needs the url it is asked at, and the model's name")
        if not thresholds or not all(type(value) is float and 0 < value < 1 for value in thresholds.values()):
            raise ValueError("a judge needs thresholds, each a number between 0 and 1")
        if key_env and key_env not in os.environ:
            raise ValueError(f"the judge's key is not in the environment variable {key_env}")
        configuration = json.dumps([url, model, thresholds], sort_keys=True, separators=(",", ":"))
        self.sha256 = hashlib.sha256(configuration.encode()).hexdigest()
        self.version = model
        self.concepts = self.categories = tuple(thresholds)
        self._url = url
        self._thresholds = thresholds
        headers = {"Authorization": f"Bearer {os.environ[key_env]}"} if key_env else {}
        # No proxy from the environment: it must never see a prompt. The guard around this sets the time limit.
        self._http = httpx2.Client(headers=headers, timeout=None, trust_env=False, transport=transport)

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """One question an image."""
        verdicts = []
        for image in images:
            file = io.BytesIO()
            image.save(file, "PNG")
            address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
            scores = self._ask([{"type": "image_url", "image_url": {"url": address}}])
            verdicts.append(Verdict(tuple(ConceptScore(concept=c, score=s + margin) for c, s in scores.items())))
        return verdicts

    def classify(self, text: str) -> dict[str, float]:
        """One question a text."""
        return self._ask(text)

    def _ask(self, subject: Any) -> dict[str, float]:
        response = self._http.post(self._url, json={"model": self.version, "input": subject})
        if response.status_code != 200 or len(response.content) > MAX_ANSWER_BYTES:
            raise JudgeError(f"status {response.status_code}, {len(response.content)} bytes")
        answer = response.json()
        if answer["model"] != self.version:
            raise JudgeError("another model answered")
        [result] = answer["results"]
        said = result["category_scores"]
        if not all(type(said[name]) in {int, float} and 0 <= said[name] <= 1 for name in self._thresholds):
            raise JudgeError("a score is no number from 0 to 1")
        return {name: float(said[name]) - threshold for name, threshold in self._thresholds.items()}
