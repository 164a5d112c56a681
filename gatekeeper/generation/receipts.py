"""The receipt of an image: what made it and under which rules, signed, without prompt and without a person."""

from datetime import datetime
from typing import Any

from gatekeeper import licensing
from gatekeeper.generation.tables import Generation
from gatekeeper.kit.canonical import digest_of, instant_text
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing.receipt import IMAGE
from gatekeeper.provenance import Certified, number_text
from gatekeeper.repos.tables import Repo
from inference.contract import CheckFacts, Image, ReceiptFacts


def receipt_id(generation: Generation, index: int) -> str:
    """Of one of its images."""
    return f"{generation.id}-{index}"


def statement_of(generation: Generation, image: Image, *, made_at: datetime) -> dict[str, Any]:
    """What the receipt of one image says of its making, before its file is certified and its model named.

    Compatibility: fields are added, never renamed or given a new meaning.
    """
    facts = image.receipt
    return {
        "receipt_id": receipt_id(generation, image.index),
        "commit": generation.commit_id,
        "model_sha256": facts.model,
        "weights": dict(facts.weights),
        "license": {"bundle_sha256": generation.settings["bundle_sha256"], "texts": generation.settings["texts"]},
        "decision": {
            "policies": generation.settings["decision"],
            "policy_sha256": generation.settings["policy_sha256"],
        },
        "safety": _safety(facts),
        "seed": facts.seed,
        "steps": facts.steps,
        "guidance_scale": facts.guidance_scale,
        "scheduler": facts.scheduler,
        "width": facts.width,
        "height": facts.height,
        "bucket": facts.bucket,
        "made_at": instant_text(made_at),
        "software": {
            "torch": facts.torch_version,
            "diffusers": facts.diffusers_version,
            "device": facts.device,
            "dtype": facts.dtype,
            "kernels": facts.kernels,
            "threads": facts.threads,
        },
        "is_fake": facts.is_fake,
    }


def of_model(repo: Repo) -> dict[str, Any]:
    """What the receipt says of the model's repository."""
    return {"repository": repo.full_name, "repository_kind": repo.kind.value, "repository_id": repo.id}


def certified_as(certified: Certified) -> dict[str, Any]:
    """What the receipt says of the file: the digest is that of the bytes which are given out."""
    return {
        "image_sha256": certified.sha256,
        "provenance": {"record": number_text(certified.number), "is_marked": certified.is_marked},
    }


def sign(statement: dict[str, Any], *, event: str, key: SigningKey) -> dict[str, Any]:
    """The complete receipt."""
    return licensing.sign_receipt(IMAGE, statement, event=event, key=key)


def evidence_of(statement: dict[str, Any]) -> dict[str, Any]:
    """What the evidence log holds of an image."""
    return {
        "image_sha256": statement["image_sha256"],
        "statement_sha256": digest_of(statement),
        "seed": statement["seed"],
        "sld_level": statement["safety"]["sld"]["level"],
    }


def _safety(facts: ReceiptFacts) -> dict[str, Any]:
    return {
        "sld": {
            "level": facts.sld.level.value,
            "warmup_steps": facts.sld.warmup_steps,
            "acted": facts.sld.acted,
            "reason": facts.sld.reason,
            "effect": facts.sld.effect,
        },
        "checker_sha256": facts.checker_sha256,
        "margin": facts.margin,
        "scores": {score.concept: score.score for score in facts.scores},
        "checks": [_check(check) for check in facts.checks],
        "prompt_checks": [_check(check) for check in facts.prompt_checks],
        "rules_version": facts.rules_version,
        "rules_sha256": facts.rules_sha256,
        "extra_rules": list(facts.extra_rules),
        "waived_rules": list(facts.waived_rules),
    }


def _check(check: CheckFacts) -> dict[str, Any]:
    scores = {score.concept: score.score for score in check.scores}
    return {"name": check.name, "version": check.version, "sha256": check.sha256, "scores": scores}
