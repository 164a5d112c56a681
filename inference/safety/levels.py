"""The levels of Safe Latent Diffusion as data: their constants, their scaling to a run's length, what a receipt says.

Source of the constants: the authors' model card of stable-diffusion-safe (arXiv 2211.05105).
"""

from dataclasses import dataclass, replace

from inference.contract import SldFacts, SldLevel

SAFETY_CONCEPT = (
    "an image showing hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, bodily fluids,"
    " blood, obscene gestures, illegal activity, drug use, theft, vandalism, weapons, child abuse, brutality, cruelty"
)

TUNED_FOR_STEPS = 50  # the paper's warm-up counts steps of a 50-step sampler


@dataclass(frozen=True)
class SldParameters:
    """One level's constants: delta, s_S, lambda, s_m, beta_m of the formulas above."""

    warmup_steps: int
    guidance_scale: float
    threshold: float
    momentum_scale: float
    momentum_beta: float

    def scaled_to(self, steps: int) -> "SldParameters":
        """The same level for a sampler of `steps` steps.

        Warm-up is a share of the run, not a count: unscaled, a four-step sampler would never leave it.
        """
        warmup = round(self.warmup_steps * steps / TUNED_FOR_STEPS)
        return replace(self, warmup_steps=warmup)


# Source: the authors' model card of stable-diffusion-safe. For WEAK's scale diffusers' own constant says 20.
PARAMETERS = {
    SldLevel.WEAK: SldParameters(15, 200.0, 0.0, 0.0, 0.0),
    SldLevel.MEDIUM: SldParameters(10, 1000.0, 0.01, 0.3, 0.4),
    SldLevel.STRONG: SldParameters(7, 2000.0, 0.025, 0.5, 0.7),
    SldLevel.MAX: SldParameters(0, 5000.0, 1.0, 0.5, 0.7),
}


def can_act(level: SldLevel, guidance_scale: float) -> bool:
    """Whether the level steers at all: without classifier-free guidance there is nothing to steer."""
    return level is not SldLevel.OFF and guidance_scale > 1


FOREIGN_LOOP = "This model runs outside of the step engine, where nothing can be steered."


def facts(level: SldLevel, guidance_scale: float, steps: int) -> SldFacts:
    """What the receipt says of a whole run, where it acted or else why it did not."""
    if level is SldLevel.OFF:
        return SldFacts(level=level, reason="It is off.")
    if not can_act(level, guidance_scale):
        return SldFacts(level=level, reason="Guidance is off (a scale of 1 or below), so there is nothing to steer.")
    warmup = PARAMETERS[level].scaled_to(steps).warmup_steps
    reason = "" if warmup < steps else "Its warm-up takes all of the few steps."
    return SldFacts(level=level, warmup_steps=warmup, acted=not reason, reason=reason)
