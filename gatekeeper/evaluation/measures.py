"""Statistics of what images show: shares and their diversity, with the uncertainty that few images leave.

Intervals are 95 % and come from a Bayesian bootstrap (Rubin 1981) with half a count added to each group (Jeffreys), so
that a group that was never seen is not declared impossible. All chance is drawn from a fixed seed: the same counts give
the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 1000
LEVEL = 0.95
_SEED = 20230321
_EM_ROUNDS = 200
_KMEANS_STARTS = 8
_KMEANS_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Rounded to four places, as reports keep it."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}

    @classmethod
    def of(cls, value: dict[str, float]) -> "Estimate":
        """The reverse of `as_json`."""
        return cls(value["value"], value["low"], value["high"])


def share_estimates(counts: Sequence[int]) -> list[Estimate]:
    """Each group's share of the images."""
    seen = np.asarray(counts, dtype=float)
    return _estimates(seen / seen.sum(), _draw_shares(seen, _chance()))


def corrected(counts: Sequence[int], confusion: Sequence[Sequence[int]]) -> tuple[list[Estimate], Estimate]:
    """Each group's share behind what a reader that errs has read, and how evenly these are spread.

    counts     images read as each group
    confusion  (true group, read group) images of known groups that the reader was tried on

    The value is the most likely mixture (expectation maximization, so it is always made of shares); the interval holds
    the uncertainty of the counts and that of the reader's error rates.
    """
    seen, errors = np.asarray(counts, dtype=float), np.asarray(confusion, dtype=float)
    chance = _chance()
    rates = errors / errors.sum(axis=1, keepdims=True)
    value = _unmixed((seen / seen.sum())[None], rates[None])[0]
    # Perks' prior, a count in all for each row: half a count in every cell would invent errors that were never made.
    gammas = chance.standard_gamma(errors[None] + 1 / len(seen), (DRAWS, *errors.shape))
    drawn = _unmixed(_draw_shares(seen, chance), gammas / gammas.sum(axis=2, keepdims=True))
    return _estimates(value, drawn), _spread(value, drawn, images=seen.sum())


def entropy_estimate(counts: Sequence[int]) -> Estimate:
    """How evenly images fall into the groups: 0 all in one, 1 equally many in each.

    Few images understate it; the value has Miller and Madow's correction, and the interval reaches from the lower end
    without to the upper end with it.
    """
    seen = np.asarray(counts, dtype=float)
    return _spread(seen / seen.sum(), _draw_shares(seen, _chance()), images=seen.sum())


def rate_estimate(hits: int, of: int) -> Estimate:
    """A rate, such as that of withheld images. Without any images nothing is known: 0 to 1."""
    if not of:
        return Estimate(0.0, 0.0, 1.0)
    return share_estimates([hits, of - hits])[0]


def difference(after: Estimate, before: Estimate) -> Estimate:
    """What changed between two independent estimates.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures" (MOVER).
    """
    value = after.value - before.value
    low = value - float(np.hypot(after.value - after.low, before.high - before.value))
    high = value + float(np.hypot(after.high - after.value, before.value - before.low))
    return Estimate(value, low, high)


def centered(vectors: Floats, groups: Sequence[str], centers: dict[str, Floats]) -> Floats:
    """Each vector without what its group has in common, so that clusters are about what differs inside the groups."""
    return vectors - np.stack([centers[group] for group in groups])


def find_clusters(vectors: Floats, count: int) -> Floats:
    """Centers of `count` clusters: k-means from several k-means++ starts, the tightest result.

    vectors  (image, dim)
    returns  (cluster, dim), the largest cluster first
    """
    chance = _chance()
    best, best_loss = vectors[:count], np.inf
    for _ in range(_KMEANS_STARTS):
        centers = _kmeans(vectors, _spread_start(vectors, count, chance))
        loss = float(_distances(vectors, centers).min(axis=1).sum())
        if loss < best_loss - 1e-12:
            best, best_loss = centers, loss
    sizes = np.bincount(assign(vectors, best), minlength=count)
    return best[np.argsort(-sizes, kind="stable")]


def assign(vectors: Floats, centers: Floats) -> NDArray[np.intp]:
    """The nearest cluster of each vector: (image,) positions in `centers`."""
    nearest: NDArray[np.intp] = np.argmin(_distances(vectors, centers), axis=1)
    return nearest


def _kmeans(vectors: Floats, centers: Floats) -> Floats:
    for _ in range(_KMEANS_ROUNDS):
        nearest = assign(vectors, centers)
        # A cluster that lost all its members stays where it is.
        moved = np.stack(
            [vectors[nearest == i].mean(axis=0) if (nearest == i).any() else old for i, old in enumerate(centers)]
        )
        if np.allclose(moved, centers):
            break
        centers = moved
    return centers


def _spread_start(vectors: Floats, count: int, chance: np.random.Generator) -> Floats:
    """k-means++ (Arthur and Vassilvitskii 2007): each next start is likelier the farther it lies from those before."""
    centers = vectors[[int(chance.integers(len(vectors)))]]
    while len(centers) < count:
        far = _distances(vectors, centers).min(axis=1)
        weights = far / far.sum() if far.sum() > 0 else np.full(len(vectors), 1 / len(vectors))
        centers = np.vstack([centers, vectors[[int(chance.choice(len(vectors), p=weights))]]])
    return centers


def _distances(vectors: Floats, centers: Floats) -> Floats:
    """(image, cluster) squared distances."""
    squares: Floats = ((vectors[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2)
    return squares


def _draw_shares(counts: Floats, chance: np.random.Generator) -> Floats:
    """(draw, group) shares that could lie behind the counts."""
    return chance.dirichlet(counts + 0.5, DRAWS)


def _unmixed(read: Floats, rates: Floats) -> Floats:
    """(draw, group) shares that the reader's rates turn into `read`: (draw, group), (draw or 1, true, read)."""
    shares = np.full_like(read, 1 / read.shape[1])
    for _ in range(_EM_ROUNDS):
        expected = np.einsum("di,dij->dj", shares, np.broadcast_to(rates, (len(read), *rates.shape[1:])))
        weight = np.divide(read, expected, out=np.zeros_like(read), where=expected > 0)
        shares = shares * np.einsum("dij,dj->di", np.broadcast_to(rates, (len(read), *rates.shape[1:])), weight)
        shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _estimates(values: Floats, drawn: Floats) -> list[Estimate]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Estimate(float(v), float(min(a, v)), float(max(b, v))) for v, a, b in zip(values, low, high, strict=True)]


def _spread(shares: Floats, drawn: Floats, *, images: float) -> Estimate:
    groups = np.count_nonzero(shares > 0.5 / images)  # what lies below half an image was not seen
    bias = (groups - 1) / (2 * images * np.log(len(shares)))
    value = min(float(_entropy(shares)) + bias, 1.0)
    evenness = _entropy(drawn)
    ends = np.quantile(evenness, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    moved = ends + (value - evenness.mean())
    return Estimate(value, max(float(min(ends[0], moved[0])), 0.0), min(float(max(ends[1], moved[1])), 1.0))


def _entropy(shares: Floats) -> Floats:
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    result: Floats = -(shares * logs).sum(axis=-1) / np.log(shares.shape[-1])
    return result


def _chance() -> np.random.Generator:
    return np.random.default_rng(_SEED)
