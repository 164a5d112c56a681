"""Pipelines that the step engine does not know: a tiny SDXL behind the same contract and the same way out."""

from collections.abc import Callable
from pathlib import Path

import diffusers
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from inference.building import ModelBuilder
from inference.contract import ErrorCode, Event, Failed, Image, ImageOrder, ModelManifest, Progress, SldLevel
from inference.fleet import LoadWatch, Model
from inference.pipelines import PipelineLane
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.safety.trusted import read_checker, trusted_checkers
from inference.ticket import Ticket

MakeTicket = Callable[..., tuple[Ticket, list[Event]]]


@pytest.fixture(scope="module")
def sdxl(
    tiny_dir: Path,
    manifest_of: Callable[[Path], ModelManifest],
    tmp_path_factory: pytest.TempPathFactory,
) -> Model:
    directory = tmp_path_factory.mktemp("sdxl") / "pipeline"
    write_tiny_sdxl(directory, tiny_dir / "tokenizer")
    sha256 = read_checker(tiny_dir / "safety_checker").sha256
    checkers = trusted_checkers((tiny_dir / "safety_checker",), default=sha256, timeout_seconds=20)
    builder = ModelBuilder(checkers, store=None, device="cpu", dtype="auto")
    return builder(manifest_of(directory), tmp_path_factory.mktemp("work"), LoadWatch())


@pytest.fixture
def carry_out(make_ticket: MakeTicket, sdxl: Model) -> Callable[[ImageOrder], list[Event]]:
    def run(order: ImageOrder) -> list[Event]:
        release = Release(Runtime("t", "d", "cpu"))
        lane = PipelineLane(FairQueue(waiting_orders=9, waiting_per_person=9), release)
        ticket, events = make_ticket(order, sdxl)
        lane.queue.put(ticket)
        lane.start()
        while not ticket.is_over:
            pass
        lane.close()
        release.close()
        return events

    return run


def test_sdxl_is_made_checked_and_receipted(
    carry_out: Callable[[ImageOrder], list[Event]], make_order: Callable[..., ImageOrder], sdxl: Model
) -> None:
    events = carry_out(make_order(steps=2, images=2, sld=SldLevel.MAX, negative_prompt="a dog"))

    first, second = [event for event in events if isinstance(event, Image)]
    assert sdxl.state.engine == "diffusers"
    assert first.receipt.bucket is None
    assert len(first.receipt.scores) == 17
    assert (first.receipt.seed, second.receipt.seed) == (0, 1)
    assert first.png_base64 != second.png_base64
    assert events[-1].type == "done"
    assert max(event.step for event in events if isinstance(event, Progress)) == 2


def test_the_receipt_admits_that_sld_did_not_act(
    carry_out: Callable[[ImageOrder], list[Event]], make_order: Callable[..., ImageOrder]
) -> None:
    events = carry_out(make_order(steps=1, sld=SldLevel.MAX))

    [image] = [event for event in events if isinstance(event, Image)]
    assert image.receipt.sld.acted is False


def test_the_same_order_gives_the_same_image(
    carry_out: Callable[[ImageOrder], list[Event]], make_order: Callable[..., ImageOrder]
) -> None:
    made = [
        next(event.png_base64 for event in carry_out(make_order(steps=2, seed=4)) if isinstance(event, Image))
        for _ in range(2)
    ]

    assert made[0] == made[1]


def test_a_cancelled_pipeline_stops_at_its_next_step(
    make_order: Callable[..., ImageOrder], make_ticket: MakeTicket, sdxl: Model
) -> None:
    from inference.pipelines import OrderOver, run_pipeline

    ticket, _ = make_ticket(make_order(steps=50), sdxl)
    ticket.fail(ErrorCode.CANCELLED, "")

    with pytest.raises(OrderOver):
        run_pipeline(ticket, 0)


def test_a_pipeline_that_raises_fails_its_order_only(
    carry_out: Callable[[ImageOrder], list[Event]],
    make_order: Callable[..., ImageOrder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("inference.pipelines.run_pipeline", lambda ticket, index: 1 / 0)
        broken = carry_out(make_order(steps=1))

    assert isinstance(broken[-1], Failed)
    assert broken[-1].code is ErrorCode.INTERNAL
    assert carry_out(make_order(steps=1))[-1].type == "done"


def write_tiny_sdxl(directory: Path, tokenizer_dir: Path) -> None:
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_dir))
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        projection_dim=16,
    )
    diffusers.StableDiffusionXLPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(8, 8, 16),
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
        ),
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
            norm_num_groups=4,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
            transformer_layers_per_block=1,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear"),
    ).save_pretrained(str(directory))
