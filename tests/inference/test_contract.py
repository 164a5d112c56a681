"""The contract: what is signed verifies, what is changed does not, and limits name each problem."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inference.contract import (
    CancelOrder,
    Done,
    Envelope,
    EnvelopeError,
    ErrorCode,
    Health,
    ImageOrder,
    Limits,
    ModelManifest,
    Purpose,
    parse_event,
    sign,
    verify,
)

KEY = b"k" * 32
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), st.binary(min_size=32, max_size=64))
def test_what_is_signed_verifies_after_the_journey(order_id: str, key: bytes) -> None:
    envelope = sign(CancelOrder(id=order_id), key, now=NOW)

    arrived = Envelope.model_validate_json(envelope.model_dump_json())

    body = verify(arrived, key, purpose=Purpose.CANCEL, now=NOW)
    assert CancelOrder.model_validate_json(body).id == order_id


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_does_not_verify(position: int, flip: int) -> None:
    envelope = sign(CancelOrder(id="order"), KEY, now=NOW)
    body = bytearray(envelope.body.encode())
    body[position % len(body)] ^= flip

    changed = envelope.model_copy(update={"body": body.decode("latin-1")})

    with pytest.raises(EnvelopeError):
        verify(changed, KEY, purpose=Purpose.CANCEL, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "x" * 32},
        {"expires_at": NOW + timedelta(days=1)},
        {"purpose": Purpose.ORDER},
        {"signature": "0" * 64},
    ],
)
def test_nothing_of_an_envelope_can_be_exchanged(change: dict[str, object]) -> None:
    envelope = sign(CancelOrder(id="order"), KEY, now=NOW).model_copy(update=change)

    for purpose in Purpose:
        with pytest.raises(EnvelopeError) as caught:
            verify(envelope, KEY, purpose=purpose, now=NOW)
        assert caught.value.code is ErrorCode.BAD_SIGNATURE


def test_one_kind_of_order_is_not_taken_for_another() -> None:
    envelope = sign(CancelOrder(id="order"), KEY, now=NOW)

    with pytest.raises(EnvelopeError):
        verify(envelope, KEY, purpose=Purpose.ORDER, now=NOW)


def test_a_signature_ends() -> None:
    envelope = sign(CancelOrder(id="order"), KEY, now=NOW, ttl_seconds=60)

    with pytest.raises(EnvelopeError) as caught:
        verify(envelope, KEY, purpose=Purpose.CANCEL, now=NOW + timedelta(seconds=60))

    assert caught.value.code is ErrorCode.SIGNATURE_EXPIRED


def test_a_short_key_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        sign(CancelOrder(id="order"), b"short", now=NOW)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": " "}, "empty"),
        ({"prompt": "x" * 10_000}, "10,000 characters; at most 2,000"),
        ({"prompt": "㌖" * 2_000}, "12,000 characters when signs like ㎉ are written out"),
        ({"negative_prompt": "㎉" * 700}, "The negative prompt has 2,800 characters"),
        ({"negative_prompt": "x" * 2_001}, "negative prompt"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 10_000}, "steps is 10000"),
        ({"steps": -1}, "steps is -1"),
        ({"images": 0}, "images is 0"),
        ({"images": 5}, "from 1 to 4"),
        ({"width": 33}, "width is 33; it must be a multiple of 8"),
        ({"height": 100_000}, "height is 100000"),
        ({"guidance_scale": 1e308}, "guidance_scale"),
        ({"guidance_scale": -1.0}, "guidance_scale"),
        ({"bucket": 5}, "bucket is 5"),
    ],
)
def test_each_broken_limit_is_a_sentence(
    make_order: Callable[..., ImageOrder], changes: dict[str, object], words: str
) -> None:
    [problem] = [p for p in Limits().problems(make_order(**changes)) if words in p]

    assert problem.endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": True},
        {"steps": "20"},
        {"steps": 20.5},
        {"guidance_scale": float("nan")},
        {"guidance_scale": float("inf")},
        {"seed": -1},
        {"seed": 2**63},
        {"id": "../x"},
        {"scheduler": "magic"},
        {"output_type": "latent"},
        {"callback": "os.system"},
        {"deadline_at": datetime(2026, 1, 1)},  # a naive instant is what is refused
    ],
)
def test_odd_values_and_unknown_fields_are_refused(
    make_order: Callable[..., ImageOrder], changes: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        make_order(**changes)


def test_answers_of_a_newer_worker_can_be_read() -> None:
    event = parse_event('{"type":"done","delivered":1,"withheld":0,"compute_seconds":0.5,"energy_joules":3}')

    assert event == Done(delivered=1, withheld=0, compute_seconds=0.5)


def test_the_manifests_digest_never_changes_its_form() -> None:
    manifest = ModelManifest.model_validate(
        {
            "repository": "demo/emoji",
            "commit": "a" * 40,
            "files": [
                {"path": "b", "size_bytes": 2, "sha256": "1" * 64},
                {"path": "a", "size_bytes": 1, "sha256": "2" * 64, "inline": "eA=="},
            ],
        }
    )

    assert manifest.digest == "aa4ffeb6f5c3d9b9a3bcd5d647cfdb2dcae54aa293502dcbef2af5900b540456"


def test_the_contract_imports_pydantic_and_the_standard_library_only() -> None:
    heavy = {"torch", "diffusers", "transformers", "numpy", "starlette"}
    code = f"import sys, inference.contract; print(sorted({{m.split('.')[0] for m in sys.modules}} & {heavy}))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_health_carries_the_limits() -> None:
    assert Health.model_fields["limits"].annotation is Limits
