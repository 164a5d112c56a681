"""Loading: what a repository can try, and that nothing of it works."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.building import ModelBuilder
from inference.contract import ManifestFile, ModelManifest
from inference.fleet import Model, ModelRefused, NotAtHand
from inference.safety.trusted import TrustedCheckers
from inference.watch import LoadWatch

Files = dict[str, bytes]
UNET = "unet/diffusion_pytorch_model.safetensors"


class Evil:
    """A pickle that leaves a trace when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.fixture
def files(tiny_dir: Path) -> Files:
    """The tiny pipeline's files, to be spoiled."""
    return {str(p.relative_to(tiny_dir)): p.read_bytes() for p in tiny_dir.rglob("*") if p.is_file()}


@pytest.fixture
def load(checkers: TrustedCheckers, tmp_path: Path) -> Callable[..., Model]:
    def build(manifest: ModelManifest, *, store: Path | None = None) -> Model:
        directory = tmp_path / "private"
        directory.mkdir(mode=0o700)
        builder = ModelBuilder(checkers, store=store, device="cpu", dtype="float32")
        return builder(manifest, directory, LoadWatch())

    return build


def index_with(files: Files, **changes: Any) -> Files:
    return files | {"model_index.json": json.dumps(json.loads(files["model_index.json"]) | changes).encode()}


def config_with(files: Files, path: str, **changes: Any) -> Files:
    return files | {path: json.dumps(json.loads(files[path]) | changes).encode()}


def header_of(file: bytes) -> dict[str, Any]:
    length = struct.unpack("<Q", file[:8])[0]
    header: dict[str, Any] = json.loads(file[8 : 8 + length])
    return header


def with_header(file: bytes, header: str) -> bytes:
    length = struct.unpack("<Q", file[:8])[0]
    return struct.pack("<Q", len(header)) + header.encode() + file[8 + length :]


INDEX_ATTACKS: dict[str, dict[str, Any]] = {
    "os.system as the denoiser": {"unet": ["os", "system"]},
    "os.system as one part more": {"helper": ["os", "system"]},
    "os.system as the checker": {"safety_checker": ["os", "system"]},
    "a module of the repository": {"unet": ["my_unet", "MyUNet"]},
    "a class in the wrong place": {"unet": ["transformers", "CLIPTextModel"]},
    "another class of a good library": {"unet": ["diffusers", "DiffusionPipeline"]},
    "a pipeline with code": {"_class_name": ["pipeline", "MyPipeline"]},
    "a pipeline that is not on the list": {"_class_name": "StableDiffusionPipelineSafe"},
    "a private name": {"_class_name": "__class__"},
    "a part with three names": {"unet": ["diffusers", "UNet2DConditionModel", "x"]},
    "a part that is missing": {"unet": [None, None]},
    "a part that is text": {"extra": "os.system"},
    "quantization": {"quantization_config": {"quant_method": "x"}},
}


@pytest.mark.parametrize("changes", INDEX_ATTACKS.values(), ids=INDEX_ATTACKS.keys())
def test_an_index_off_the_list_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], changes: dict[str, Any]
) -> None:
    with pytest.raises(ModelRefused, match="model_index"):
        load(make_manifest(index_with(files, **changes)))


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("unet/config.json", {"auto_map": {"AutoModel": "evil.Evil"}}),
        ("text_encoder/config.json", {"auto_map": {"AutoModel": "evil.Evil"}}),
        ("text_encoder/config.json", {"text_config": {"quantization_config": {"quant_method": "x"}}}),
        ("text_encoder/config.json", {"attn_implementation": "somebody/kernel"}),
        ("tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}),
        ("unet/config.json", {"in_channels": 9}),
        ("unet/config.json", {"block_out_channels": [4096, 8192]}),
    ],
)
def test_a_configuration_that_reaches_too_far_is_refused(
    load: Callable[..., Model],
    files: Files,
    make_manifest: Callable[..., ModelManifest],
    path: str,
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ModelRefused):
        load(make_manifest(config_with(files, path, **changes)))


def test_code_in_the_repository_is_not_even_read(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w')".encode()

    model = load(make_manifest(files | {"pipeline.py": code, "unet/unet.py": code, "unet/__init__.py": code}))

    assert model.state.pipeline == "StableDiffusionPipeline"
    assert not trace.exists()


def test_pickles_are_never_loaded(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    evil = pickle.dumps(Evil(tmp_path / "trace"))
    files = {path: content for path, content in files.items() if path != UNET}

    with pytest.raises(ModelRefused, match="pickled"):
        load(make_manifest(files | {"unet/diffusion_pytorch_model.bin": evil}))
    assert not (tmp_path / "trace").exists()


def test_a_pickle_that_calls_itself_safetensors_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    with pytest.raises(ModelRefused, match="header"):
        load(make_manifest(files | {UNET: pickle.dumps(Evil(tmp_path / "trace"))}))
    assert not (tmp_path / "trace").exists()


def test_a_pickle_beside_safetensors_is_left_alone(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    evil = pickle.dumps(Evil(tmp_path / "trace"))

    load(make_manifest(files | {"unet/diffusion_pytorch_model.bin": evil, "model.ckpt": evil}))

    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"safety_checker": [None, None]},
        {"requires_safety_checker": False},
    ],
)
def test_a_dropped_checker_changes_nothing(
    load: Callable[..., Model],
    files: Files,
    make_manifest: Callable[..., ModelManifest],
    checkers: TrustedCheckers,
    tiny_model: Model,
    change: dict[str, Any],
) -> None:
    model = load(make_manifest(index_with(files, **change)))

    assert model.checker is tiny_model.checker


def test_a_checker_with_thresholds_of_nine_is_not_the_one_that_is_used(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest]
) -> None:
    path = "safety_checker/model.safetensors"
    weights, spec = bytearray(files[path]), header_of(files[path])["concept_embeds_weights"]
    start = 8 + struct.unpack("<Q", weights[:8])[0] + spec["data_offsets"][0]
    weights[start : start + 68] = struct.pack("<17f", *[9.0] * 17)

    model = load(make_manifest(files | {path: bytes(weights)}))

    assert model.checker is None


def test_a_wrong_digest_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest]
) -> None:
    manifest = make_manifest(files)
    spoiled = [f.model_copy(update={"sha256": "0" * 64}) if f.path == "unet/config.json" else f for f in manifest.files]

    with pytest.raises(ModelRefused, match="is not the file"):
        load(manifest.model_copy(update={"files": tuple(spoiled)}))


def test_a_changed_byte_in_the_store_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    manifest = in_store(make_manifest(files), files, tmp_path / "store")
    place = next(p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.read_bytes() == files[UNET])
    place.write_bytes(files[UNET][:-1] + bytes([files[UNET][-1] ^ 1]))

    with pytest.raises(ModelRefused, match="digest"):
        load(manifest, store=tmp_path / "store")


def test_weights_are_read_from_the_store_and_named_in_the_model(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    manifest = in_store(make_manifest(files), files, tmp_path / "store")

    model = load(manifest, store=tmp_path / "store")

    assert model.weights == {
        f.path: f.sha256 for f in manifest.files if f.path.endswith(".safetensors") and "checker" not in f.path
    }


def test_a_symbolic_link_in_the_store_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], tmp_path: Path
) -> None:
    manifest = in_store(make_manifest(files), files, tmp_path / "store")
    place = next(p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.read_bytes() == files[UNET])
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NotAtHand, match="not in the store"):
        load(manifest, store=tmp_path / "store")


def test_half_precision_weights_stand_in_for_missing_ones(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest]
) -> None:
    renamed = {path.replace("model.safetensors", "model.fp16.safetensors"): data for path, data in files.items()}

    model = load(make_manifest(renamed))

    assert "unet/diffusion_pytorch_model.fp16.safetensors" in model.weights


def test_a_missing_tensor_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest]
) -> None:
    header = json.dumps(header_of(files[UNET])).replace('"conv_in.weight"', '"conv_in.weighs"')

    with pytest.raises(ModelRefused, match="lacks weights"):
        load(make_manifest(files | {UNET: with_header(files[UNET], header)}))


def _huge(file: bytes) -> bytes:
    return struct.pack("<Q", 2**63) + file[8:]


def _duplicate(file: bytes) -> bytes:
    header = json.dumps(header_of(file))
    first = json.dumps("conv_in.bias") + ": " + json.dumps(header_of(file)["conv_in.bias"])
    return with_header(file, header[:-1] + ", " + first + "}")


def _overlap(file: bytes) -> bytes:
    header = header_of(file)
    header["conv_in.bias"]["data_offsets"] = header["conv_out.bias"]["data_offsets"]
    header["conv_in.bias"]["shape"] = header["conv_out.bias"]["shape"]
    return with_header(file, json.dumps(header))


def _other(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def spoil(file: bytes) -> bytes:
        header = header_of(file)
        change(header)
        return with_header(file, json.dumps(header))

    return spoil


HEADER_ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda file: b"",
    "seven bytes": lambda file: file[:7],
    "truncated": lambda file: file[:-10],
    "surplus bytes": lambda file: file + b"x",
    "huge header length": _huge,
    "header of zero": lambda file: struct.pack("<Q", 0) + file[8:],
    "duplicate keys": _duplicate,
    "overlapping tensors": _overlap,
    "deep nesting": lambda file: with_header(file, '{"a":' * 100_000 + "1" + "}" * 100_000),
    "not JSON": lambda file: with_header(file, "{]"),
    "a list": lambda file: with_header(file, "[1]"),
    "metadata of numbers": _other(lambda header: header.update(__metadata__={"a": 1})),
    "unknown dtype": _other(lambda header: header["conv_in.bias"].update(dtype="PYOBJ")),
    "negative size": _other(lambda header: header["conv_in.bias"].update(shape=[-8])),
    "a size that is true": _other(lambda header: header["conv_in.bias"].update(shape=[True, 8])),
    "an offset of infinity": _other(lambda header: header["conv_in.bias"].update(data_offsets=[0, float("inf")])),
    "one field more": _other(lambda header: header["conv_in.bias"].update(code="x")),
    "a tensor that is text": _other(lambda header: header.update(evil="x")),
}


@pytest.mark.parametrize("spoil", HEADER_ATTACKS.values(), ids=HEADER_ATTACKS.keys())
def test_a_broken_safetensors_header_is_refused(
    load: Callable[..., Model],
    files: Files,
    make_manifest: Callable[..., ModelManifest],
    spoil: Callable[[bytes], bytes],
) -> None:
    with pytest.raises(ModelRefused, match="diffusion_pytorch_model"):
        load(make_manifest(files | {UNET: spoil(files[UNET])}))


@pytest.mark.parametrize("content", [b"{", b'{"a": 1, "a": 2}', b"\xff\xfe", b"[" * 200_000])
def test_a_configuration_that_is_not_plain_json_is_refused(
    load: Callable[..., Model], files: Files, make_manifest: Callable[..., ModelManifest], content: bytes
) -> None:
    with pytest.raises(ModelRefused, match="not plain JSON"):
        load(make_manifest(files | {"unet/config.json": content}))


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", "a\\b", "a\0b", "c:x", ""])
def test_a_manifest_has_no_path_that_leads_elsewhere(path: str) -> None:
    with pytest.raises(ValueError):
        ManifestFile(path=path, size_bytes=0, sha256="0" * 64)


def test_a_manifest_names_no_path_twice() -> None:
    file = ManifestFile(path="A", size_bytes=0, sha256="0" * 64)

    with pytest.raises(ValueError):
        ModelManifest(repository="a/b", commit="0" * 40, files=(file, file.model_copy(update={"path": "a"})))


def in_store(manifest: ModelManifest, files: Files, store: Path) -> ModelManifest:
    """The same manifest without inline content: it lies in a content-addressed store."""
    for file in manifest.files:
        place = store / "sha256" / file.sha256[:2] / file.sha256[2:4] / file.sha256
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(files[file.path])
    bare = tuple(file.model_copy(update={"inline": None}) for file in manifest.files)
    return manifest.model_copy(update={"files": bare})
