"""Every stage of the training command, a few steps each: that they fit together, resume, and repeat."""

import json

import pytest
import torch

diffusers = pytest.importorskip("diffusers", reason="the inference extra is not installed")

from inference.emoji import captions, checker, clip, evaluate, loop, pack, render, unet, vae, vocabulary  # noqa: E402

pytestmark = [
    pytest.mark.skipif(
        bool(render.missing_packages()),
        reason=f"emoji sources are missing; install the Debian packages {' '.join(sorted(render.SOURCES.values()))}",
    ),
    # diffusers' scheduler hands numpy a tensor in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two threads of one process only wait for each other on a small machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def out(tmp_path_factory, monkeypatch_module):
    """A working directory in which every stage has run for a few steps."""
    out = tmp_path_factory.mktemp("emoji")
    gallery = _few(render.render(out))
    render.save(gallery, out)
    captions.train_tokenizer(gallery.pictures, out / "tokenizer")
    vae.train(out, gallery, steps=3, seed=7, resume=False)
    clip.train(out, gallery, steps=3, seed=7, resume=False)
    unet.train(out, steps=3, seed=7, resume=False, processes=1)
    pack.pack(out, out / "draft")
    checker.train(out, out / "draft" / "weights", gallery, steps=2, seed=7, processes=1)
    pack.pack(out, out / "packed")
    return out


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Small batches for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "BATCH", 8)
        patch.setattr(unet, "BATCH", 4)
        patch.setattr(checker, "FIT_REPEATS", 1)
        patch.setattr(checker, "THRESHOLD_REPEATS", 1)
        patch.setattr(checker, "RENDERINGS", 1)
        patch.setattr("inference.emoji.sample.STEPS", 2)
        loop.quiet()
        yield patch


def test_packed_pipeline_loads_and_draws(out):
    weights = out / "packed" / "weights"

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(weights, use_safetensors=True)
    result = pipeline("a cat", num_inference_steps=2, guidance_scale=4.0, generator=torch.Generator().manual_seed(0))

    assert result.images[0].size == (64, 64)
    assert result.nsfw_content_detected in ([True], [False])


def test_packed_weights_are_half_precision_safetensors(out):
    from safetensors import safe_open

    for part in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        with safe_open(out / "packed" / "weights" / f"{part}.safetensors", "pt") as file:
            assert {file.get_tensor(name).dtype for name in file.keys()} <= {torch.float16, torch.int64}  # noqa: SIM118


def test_configurations_name_no_place_on_this_machine(out):
    texts = [path.read_text() for path in (out / "packed").rglob("*.json")]

    assert not [text for text in texts if str(out) in text]


def test_evaluation_writes_card_and_sheet(out):
    plan = evaluate.Plan(1, 1, 1, 1, 1, people=1, reader_rounds=1, only_first=3, processes=1)

    evaluate.evaluate(out, out / "packed", plan)

    card = (out / "packed" / "weights" / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "a model of its vocabulary" in card
    assert (out / "packed" / "sheet.png").stat().st_size > 0


def test_resumed_training_continues_exactly(out, tmp_path, monkeypatch):
    for name in ("clip", "tokenizer", "pictures.npz", "pictures.json", "latents.pt"):
        (tmp_path / name).symlink_to(out / name)

    unet.train(tmp_path, steps=3, seed=7, resume=False, processes=1)
    whole = loop.load(tmp_path / "unet.pt")["parameters"]
    (tmp_path / "unet.pt").unlink()
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0)
    monkeypatch.setattr(loop.Progress, "note", _interrupt_at(2))
    with pytest.raises(KeyboardInterrupt):
        unet.train(tmp_path, steps=3, seed=7, resume=False, processes=1)
    monkeypatch.undo()

    unet.train(tmp_path, steps=3, seed=7, resume=True, processes=1)

    resumed = loop.load(tmp_path / "unet.pt")["parameters"]
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_vocabulary_file_names_all_concepts_in_checker_order(out):
    described = json.loads((out / "packed" / "weights" / "vocabulary.json").read_text())

    assert described["concepts"] == list(vocabulary.CONCEPTS)
    assert len(described["concepts"]) == 17
    assert set(described["concepts"]) <= {p["name"] for p in described["pictures"] if p["is_flagged"]}


def _few(gallery):
    """The flagged pictures, one profession, and a few harmless and undrawn ones."""
    pictures = gallery.pictures
    kept = [i for i, p in enumerate(pictures) if p.concept is not None or p.profession == "doctor"]
    kept += [i for i, p in enumerate(pictures) if p.category in ("animal", "sky", "hand") and p.concept is None][::8]
    kept += [i for i, p in enumerate(pictures) if p.name in ("droplet", "enraged face") or i >= len(pictures) - 3]
    return render.Gallery(tuple(pictures[i] for i in kept), gallery.rgba[kept])


def _interrupt_at(step):
    def note(progress, current, **figures):
        if current == step:
            raise KeyboardInterrupt

    return note
