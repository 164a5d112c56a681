# mypy: disable-error-code="no-untyped-call"
# torch and transformers leave many functions without annotations.
"""Readers: what an image shows, for evaluations. Plug-ins by digest, loaded at start, used for nothing else.

A reader is a directory in transformers' layout of a CLIP model: `config.json`, `model.safetensors`, and
`preprocessor_config.json` if it has one. It gives each image an embedding. With `labels.json` and a tokenizer beside
these it also reads labels: those of the nearest of the captions in that file. The digest is over all of its files, so
a report that names it says exactly what has looked.

`labels.json`:

    {"name": "...", "grouped_by": "profession",
     "attributes": {"gender": ["man", "woman", "person"], ...},
     "captions": [{"text": "a woman doctor ...", "labels": {"profession": "doctor", "gender": "woman"}}, ...],
     "confusion": {"gender": {"doctor": [[true man read as man, ... as woman, ...], ...]}, ...}}

`confusion` counts images of known content, so that what is read can be corrected by how the reader errs.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from inference.contract import ReaderFacts, Reading
from inference.emoji import reader_dir, reading, weights_dir
from inference.looking import ImageReader, ReaderError
from inference.plainfiles import UnsafeFile, read_json, tensor_count

log = logging.getLogger(__name__)

BATCH = 64


class ClipReader:
    """A CLIP model as a reader. Safe to use from any thread, one at a time.

    captions  texts with their labels; the nearest one's labels are what an image is read as
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        facts: ReaderFacts,
        tokenizer: Any = None,
        captions: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.facts = facts
        self._model = model
        self._processor = processor
        self.captions = tuple(str(caption["text"]) for caption in captions)
        self._labels = [dict(caption["labels"]) for caption in captions]
        self._lock = threading.Lock()
        self._texts = self._embedded(self.captions, tokenizer) if captions else None

    @torch.inference_mode()
    def read(self, images: Sequence[PIL.Image.Image]) -> list[Reading]:
        """Normalized embeddings, and the nearest caption's labels."""
        found: list[Reading] = []
        for start in range(0, len(images), BATCH):
            vectors = self._seen(images[start : start + BATCH])
            nearest = (vectors @ self._texts.T).argmax(dim=1).tolist() if self._texts is not None else None
            for row, vector in enumerate(vectors.tolist()):
                labels = self._labels[nearest[row]] if nearest is not None else {}
                found.append(Reading(embedding=tuple(round(x, 5) for x in vector), labels=labels))
        return found

    @torch.inference_mode()
    def nearness(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        """(image, caption) cosine similarities, in the order of `captions`; for readers that have some."""
        assert self._texts is not None
        return self._seen(images) @ self._texts.T

    def _seen(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        pixels = self._processor(list(images), return_tensors="pt").pixel_values
        with self._lock:
            pooled = self._model.vision_model(pixel_values=pixels.float()).pooler_output
            return functional.normalize(self._model.visual_projection(pooled).float(), dim=-1)

    @torch.inference_mode()
    def _embedded(self, texts: Sequence[str], tokenizer: Any) -> Tensor:
        length = self._model.config.text_config.max_position_embeddings
        ids = tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids
        pooled = self._model.text_model(input_ids=ids).pooler_output
        return functional.normalize(self._model.text_projection(pooled).float(), dim=-1)


def load_readers(directories: tuple[Path, ...] | None) -> dict[str, ImageReader]:
    """The readers of these directories by digest; None: the bundled model's, if it is installed. Raises ReaderError.

    One whose labels cannot be counted with is left out: evaluations ask for readers by digest and find none.
    """
    if directories is None:
        readers = [bundled_reader()] if (reader_dir() / "labels.json").is_file() else []
    else:
        readers = [read_directory(directory) for directory in directories]
    for reader in readers:
        if reader.facts.fault:
            log.warning("the reader %s is left out: %s", reader.facts.name, reader.facts.fault)
    return {reader.facts.sha256: reader for reader in readers if not reader.facts.fault}


def read_directory(directory: Path) -> ClipReader:
    """The reader in a directory. Raises ReaderError."""
    try:
        weights = directory / "model.safetensors"
        tensor_count(weights, name=weights.name)
        model = CLIPModel.from_pretrained(str(directory), use_safetensors=True, local_files_only=True)
        labels = directory / "labels.json"
        tokenizer = CLIPTokenizer.from_pretrained(str(directory), local_files_only=True) if labels.is_file() else None
        files = sorted(path for path in directory.iterdir() if path.is_file())
        return _reader(model, _processor(directory, model), tokenizer, labels, files=files, name=directory.name)
    except (OSError, ValueError, KeyError, RuntimeError, UnsafeFile) as error:
        raise ReaderError(f"the reader in {directory.name} cannot be loaded: {error}") from error


def bundled_reader(own: Path | None = None, weights: Path | None = None) -> ClipReader:
    """The bundled model's own reader, put together from the files that it shares with the pipeline."""
    own, weights = own or reader_dir(), weights or weights_dir()
    tower, words, look = weights / "safety_checker", weights / "tokenizer", weights / "feature_extractor"
    files = [own / "config.json", own / "labels.json", own / "model.safetensors", tower / "model.safetensors"]
    files += [words / "merges.txt", words / "vocab.json", look / "preprocessor_config.json"]
    tokenizer = CLIPTokenizer.from_pretrained(str(words), local_files_only=True)
    model = reading.load(weights, own)
    return _reader(model, _processor(look, model), tokenizer, own / "labels.json", files=files, name="emoji reader")


def _reader(
    model: Any, processor: Any, tokenizer: Any, labels: Path, *, files: Sequence[Path], name: str
) -> ClipReader:
    model.eval().requires_grad_(False)
    said = read_json(labels, name=labels.name) if labels.is_file() else {}
    facts = ReaderFacts(
        sha256=digest_of_files(files),
        name=str(said.get("name", name)),
        dimensions=model.config.projection_dim,
        grouped_by=str(said.get("grouped_by", "")),
        attributes=said.get("attributes", {}),
        confusion=said.get("confusion", {}),
    )
    return ClipReader(model, processor, facts=facts, tokenizer=tokenizer, captions=said.get("captions", ()))


def digest_of_files(files: Sequence[Path]) -> str:
    """SHA-256 over the digests of the files in their order, each under its folder's and its own name."""
    rows = [[path.parent.name, path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def _processor(directory: Path, model: Any) -> Any:
    file = directory / "preprocessor_config.json"
    if file.is_file():
        return CLIPImageProcessorPil.from_dict(read_json(file, name=file.name))
    side = model.config.vision_config.image_size
    return CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
