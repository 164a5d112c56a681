"""Building a model from a manifest: only named files, each compared with its digest, only classes on the list.

The parts that the index names (see `indexes`) are constructed from a private directory that holds nothing but verified
safetensors, JSON and tokenizer text. The repository's own safety checker is never built: the server attaches its own.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import diffusers
import torch
import transformers

from inference.contract import ManifestFile, ModelManifest
from inference.fleet import ModelRefused, NotAtHand
from inference.indexes import INDEX, read_index, require_plain_config
from inference.plainfiles import UnsafeFile, read_json, tensor_count
from inference.watch import LoadWatch

MAX_INLINE_BYTES = 30_000_000
MAX_TRAIN_STEPS = 10_000

_TOKENIZER_FILES = frozenset(
    {
        "vocab.json",
        "merges.txt",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    }
)
_WEIGHTS = ("diffusion_pytorch_model", "model")


@dataclass(frozen=True)
class Parts:
    """A model's parts in memory.

    pipeline          class name of the pipeline
    components        by place: modules in eval mode, tokenizers; no scheduler, for each image gets its own
    scheduler_config  the repository's own
    weights           sha256 by path of each weight file read
    zeros_for_empty   zeros, and not the encoding of "", stand for a negative prompt that is not given
    """

    pipeline: str
    components: dict[str, Any]
    scheduler_config: dict[str, Any]
    weights: dict[str, str]
    zeros_for_empty: bool = False


def load_parts(
    manifest: ModelManifest,
    *,
    store: Path | None,
    directory: Path,
    watch: LoadWatch,
    most_bytes: Callable[[str, dict[str, int]], int],
) -> Parts:
    """Verify, assemble and build. `directory` is private, empty, and removed by the caller.

    most_bytes  what a pipeline of this class will take at its fullest, with so many values in the files of each part
    Raises ModelRefused for anything against the rules, NotAtHand and NoRoom.
    """
    files = {file.path: file for file in manifest.files}
    if INDEX not in files:
        raise ModelRefused(f"{INDEX} is missing: this is not a diffusers pipeline")
    try:
        place(files[INDEX], store=store, target=directory / INDEX, watch=LoadWatch())
        index = read_json(directory / INDEX, name=INDEX)
        pipeline, places = read_index(index)
        wanted = {
            target: file
            for name, (_, kind) in places.items()
            for target, file in wanted_files(files, name, kind).items()
        }
        watch.expect(sum(file.size_bytes for file in wanted.values()))
        for target, file in wanted.items():
            place(file, store=store, target=directory / target, watch=watch)
            if target.endswith(".json"):
                require_plain_config(read_json(directory / target, name=file.path), file.path)
        values = {name: _values(directory / name) for name in places}
        watch.hold(most_bytes(pipeline, values))
        watch.building()
        return Parts(
            pipeline=pipeline,
            components={
                name: _build(directory / name, library, kind, values[name])
                for name, (library, kind) in places.items()
                if name != "scheduler"
            },
            scheduler_config=_scheduler_config(directory, places["scheduler"][1]),
            weights={file.path: file.sha256 for file in wanted.values() if file.path.endswith(".safetensors")},
            zeros_for_empty=bool(index.get("force_zeros_for_empty_prompt", "XL" in pipeline)),
        )
    except UnsafeFile as error:
        raise ModelRefused(str(error)) from error


def wanted_files(files: dict[str, ManifestFile], name: str, kind: str) -> dict[str, ManifestFile]:
    """The files one part is built from, by the path they get in the private directory. Everything else is left alone.

    Half-precision weights (`*.fp16.safetensors`) stand in where there are no others.
    """
    inside = {PurePosixPath(path).name: file for path, file in files.items() if str(PurePosixPath(path).parent) == name}
    if "Tokenizer" in kind:
        chosen = {base: file for base, file in inside.items() if base in _TOKENIZER_FILES}
        if not chosen:
            raise ModelRefused(f"{name}/ has no tokenizer files")
        return {f"{name}/{base}": file for base, file in chosen.items()}
    config = "scheduler_config.json" if name == "scheduler" else "config.json"
    if config not in inside:
        raise ModelRefused(f"{name}/{config} is missing")
    chosen = {config: inside[config]}
    if name != "scheduler":
        chosen |= _weight_files(inside, name)
    return {f"{name}/{base}": file for base, file in chosen.items()}


def place(file: ManifestFile, *, store: Path | None, target: Path, watch: LoadWatch) -> None:
    """Put one file's verified content at `target`: inline bytes, a hard link into the store, or else a copy."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.inline is not None:
        if len(file.inline) > MAX_INLINE_BYTES:
            raise ModelRefused(f"{file.path} is too large to travel inside the manifest")
        try:
            target.write_bytes(file.content() or b"")
        except ValueError as error:
            raise ModelRefused(f"{file.path} is not base64") from error
    else:
        _link_or_copy(_stored(file, store), target)
    if target.stat().st_size != file.size_bytes or _sha256(target, watch) != file.sha256:
        raise ModelRefused(f"{file.path} is not the file the manifest names: size or digest differ")


def _stored(file: ManifestFile, store: Path | None) -> Path:
    if store is None:
        raise ModelRefused(f"{file.path} is not in the manifest and this worker has no store (INFERENCE_STORE_DIR)")
    path = store / "sha256" / file.sha256[:2] / file.sha256[2:4] / file.sha256
    if path.is_symlink() or not path.is_file():
        raise NotAtHand(f"{file.path} is not in the store now")
    return path


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or a system that protects hard links
        shutil.copyfile(source, target, follow_symlinks=False)


def _sha256(path: Path, watch: LoadWatch) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
            watch.verified(len(chunk))
    return digest.hexdigest()


def _weight_files(inside: dict[str, ManifestFile], name: str) -> dict[str, ManifestFile]:
    for stem in _WEIGHTS:
        for base in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
            if base in inside:
                return {f"{stem}.safetensors": inside[base]}
        shards = {
            base: file for base, file in inside.items() if base.startswith(f"{stem}-") and base.endswith(".safetensors")
        }
        if shards and f"{stem}.safetensors.index.json" in inside:
            return shards | {f"{stem}.safetensors.index.json": inside[f"{stem}.safetensors.index.json"]}
    raise ModelRefused(f"{name}/ has no safetensors weights; pickled weights are never loaded")


def _scheduler_config(directory: Path, kind: str) -> dict[str, Any]:
    config = read_json(directory / "scheduler" / "scheduler_config.json", name="scheduler/scheduler_config.json")
    steps = config.get("num_train_timesteps", 1000) if isinstance(config, dict) else None
    if type(steps) is not int or not 1 <= steps <= MAX_TRAIN_STEPS:
        raise ModelRefused(f"scheduler/scheduler_config.json names {steps!r:.40} training steps")
    return {**config, "_class_name": kind}


def _values(directory: Path) -> int:
    """How many values one part's weight files hold. Raises UnsafeFile."""
    return sum(tensor_count(path, name=f"{directory.name}/{path.name}") for path in directory.glob("*.safetensors"))


def _build(directory: Path, library: str, kind: str, values: int) -> Any:
    """One part from its verified directory. Missing or surplus weights are refused, for they would be random."""
    if "Tokenizer" in kind:
        tokenizer: Any = transformers.CLIPTokenizer if kind.startswith("CLIP") else transformers.T5Tokenizer
        return _tokenizer(tokenizer, directory)
    cls = getattr(diffusers if library == "diffusers" else transformers, kind)
    try:
        _require_modest(cls, directory, library, values)
        module, info = cls.from_pretrained(
            str(directory),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            torch_dtype=torch.float32,
        )
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise ModelRefused(f"{directory.name} cannot be built: {type(error).__name__}: {str(error)[:200]}") from error
    if missing := [key for key in info["missing_keys"] if not key.endswith("position_ids")]:
        raise ModelRefused(f"{directory.name} lacks weights: {', '.join(sorted(missing)[:3])}")
    if info.get("mismatched_keys"):
        raise ModelRefused(f"{directory.name} has weights of other shapes than its configuration")
    module.eval().requires_grad_(False)
    return module


def _tokenizer(cls: Any, directory: Path) -> Any:
    try:
        return cls.from_pretrained(str(directory), local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for what it cannot read
        raise ModelRefused(f"{directory.name} cannot be read: {type(error).__name__}") from error


def _require_modest(cls: Any, directory: Path, library: str, values: int) -> None:
    """Refuse a configuration that describes a larger model than its weight files hold: it would only eat memory."""
    config = read_json(directory / "config.json", name=f"{directory.name}/config.json")
    with torch.device("meta"):
        empty = cls.from_config(config) if library == "diffusers" else cls(cls.config_class.from_dict(config))
    described = sum(parameter.numel() for parameter in empty.parameters())
    if described > values:
        raise ModelRefused(f"{directory.name}/config.json describes {described} weights, its files hold {values}")
