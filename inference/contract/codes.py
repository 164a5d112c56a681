"""The contract's words: samplers, levels, and why something did not happen."""

from enum import StrEnum


class Scheduler(StrEnum):
    """Samplers by the names users know; each maps to one diffusers class and configuration."""

    DDIM = "ddim"
    PNDM = "pndm"
    EULER = "euler"
    EULER_A = "euler_a"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_KARRAS = "dpmpp_2m_karras"
    UNIPC = "unipc"
    LCM = "lcm"


# A consistency model is distilled for the times of a run of this length and knows no others.
LONGEST_RUNS = {Scheduler.LCM: 50}


class SldLevel(StrEnum):
    """Strength of Safe Latent Diffusion, weakest first (Schramowski et al. 2023, arXiv 2211.05105)."""

    OFF = "off"
    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"
    MAX = "max"


class ErrorCode(StrEnum):
    """Why an order was not carried out, when the reason is not its content."""

    MALFORMED = "malformed"  # not readable as the contract
    BAD_SIGNATURE = "bad_signature"
    SIGNATURE_EXPIRED = "signature_expired"
    REPLAYED = "replayed"  # the same envelope was already accepted
    LIMITS_EXCEEDED = "limits_exceeded"  # steps, size, length ...: `Problem.problems` names each
    UNKNOWN_MODEL = "unknown_model"  # never loaded here: send a LoadOrder first
    MODEL_NOT_READY = "model_not_ready"
    MODEL_REFUSED = "model_refused"  # the loader's rules: pickle, custom code, wrong digest ...
    CHECKER_MISMATCH = "checker_mismatch"  # the order pins a checker that is not attached
    DUPLICATE_ORDER = "duplicate_order"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_READER = "unknown_reader"  # no reader of this digest is attached
    QUEUE_FULL = "queue_full"
    SAFETY_CANNOT_ACT = "safety_cannot_act"  # the stage demands steering where there is nothing to steer
    DEADLINE_PASSED = "deadline_passed"
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_FINITE = "not_finite"  # the model produced NaN or Inf for this order
    INTERNAL = "internal"


class RefusalCode(StrEnum):
    """Why an order was refused for its content."""

    PROMPT_SCREENED = "prompt_screened"
    NEGATIVE_PROMPT_SCREENED = "negative_prompt_screened"
    PROMPT_UNSCREENED = "prompt_unscreened"  # a classifier raised, timed out, or gave no usable scores: not their fault


class WithheldCode(StrEnum):
    """Why a finished image was not released."""

    IMAGE_FLAGGED = "image_flagged"
    IMAGE_UNCHECKED = "image_unchecked"  # checker absent, raised, timed out, or gave no usable verdict
    IMAGE_MEASURED = "image_measured"  # clean, of an order that waived rules: only the verdict was asked for


class LoadPhase(StrEnum):
    """How far a model is."""

    VERIFYING = "verifying"  # reading files and comparing digests
    LOADING = "loading"  # building the parts
    READY = "ready"
    FAILED = "failed"
