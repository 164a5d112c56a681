"""Statistics of what images show: shares and their diversity, with the uncertainty that few images leave.

Intervals are 95 %. That of a share is Jeffreys' of this group against all others: half a count is added on each side,
so that a group that was never seen is not declared impossible, and however many groups there are, they do not weigh
more than the images. Evenness, and shares behind a reader that errs, come from a Bayesian bootstrap (Rubin 1981). All
chance is drawn from a fixed seed: the same counts give the same numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 1000
_ENDS = (0.025, 0.975)
_SEED = 20230321
_EM_ROUNDS = 200
_KMEANS_STARTS = 8
_KMEANS_ROUNDS = 50
_ANGLES = np.linspace(0, np.pi / 2, 16_385)  # as fine as tens of thousands of images need it


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
    return [rate_estimate(count, sum(counts)) for count in counts]


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
    drawn_rates = gammas / gammas.sum(axis=2, keepdims=True)
    shares = []
    for group, share in enumerate(value):
        prior = np.where(np.arange(len(seen)) == group, 0.5, 0.5 / (len(seen) - 1))
        drawn = _unmixed(chance.dirichlet(seen + prior, DRAWS), drawn_rates)[:, group]
        low, high = np.quantile(drawn, _ENDS)
        shares.append(_around(float(share), float(low), float(high)))
    return shares, _spread(value, _unmixed(_draw_shares(seen, chance), drawn_rates), images=seen.sum())


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
    return _around(hits / of, *_jeffreys(hits / of, of))


def grouped_rate(groups: Iterable[tuple[int, int]]) -> Estimate:
    """A rate over images of which those of one group, such as of one prompt, partly tell the same: (hits, images).

    Jeffreys' interval with as many independent images as leave the uncertainty that the differences between groups show
    (Kish 1965), at least one and at most all of each group. One more group, whose images all agree, is assumed, so that
    few groups are not declared alike. With one image in each it is `rate_estimate`.
    """
    hits, images = np.array([group for group in groups if group[1]], dtype=float).reshape(-1, 2).T
    count, every = len(images), images.sum()
    if not count:
        return rate_estimate(0, 0)
    share = hits.sum() / every
    alone = share * (1 - share)
    between = ((hits - share * images) ** 2).sum() + alone * (every / count) ** 2
    independent = alone * every**2 * (1 + 1 / count) / between if alone else count
    return _around(float(share), *_jeffreys(float(share), float(np.clip(independent, count, every))))


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


@lru_cache(maxsize=4096)
def _jeffreys(share: float, images: float) -> tuple[float, float]:
    """The ends of the 95 % interval of Beta(hits + 1/2, misses + 1/2)."""
    # In t with share = sin² t its density is sin^2hits t cos^2misses t, which has no poles: summed, it is exact enough.
    middles = (_ANGLES[1:] + _ANGLES[:-1]) / 2
    logs = 2 * images * (share * np.log(np.sin(middles)) + (1 - share) * np.log(np.cos(middles)))
    mass = np.concatenate([[0.0], np.cumsum(np.exp(logs - logs.max()))])
    low, high = np.sin(np.interp(_ENDS, mass / mass[-1], _ANGLES)) ** 2
    return float(low), float(high)


def _around(value: float, low: float, high: float) -> Estimate:
    """An estimate whose interval holds its value: all or none of the images leave that end open."""
    return Estimate(value, min(low, value), max(high, value))


def _draw_shares(counts: Floats, chance: np.random.Generator) -> Floats:
    """(draw, group) shares that could lie behind the counts."""
    return chance.dirichlet(counts + 0.5, DRAWS)


def _unmixed(read: Floats, rates: Floats) -> Floats:
    """(draw, group) shares that the reader's rates turn into `read`: (draw, group), (draw or 1, true, read)."""
    shares = np.full_like(read, 1 / read.shape[1])
    for _ in range(_EM_ROUNDS):
        expected = (shares[:, None, :] @ rates)[:, 0, :]
        weight = np.divide(read, expected, out=np.zeros_like(read), where=expected > 0)
        shares = shares * (rates @ weight[:, :, None])[:, :, 0]
        shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _spread(shares: Floats, drawn: Floats, *, images: float) -> Estimate:
    groups = np.count_nonzero(shares > 0.5 / images)  # what lies below half an image was not seen
    bias = (groups - 1) / (2 * images * np.log(len(shares)))
    value = min(float(_entropy(shares)) + bias, 1.0)
    evenness = _entropy(drawn)
    ends = np.quantile(evenness, _ENDS)
    moved = ends + (value - evenness.mean())
    return Estimate(value, max(float(min(ends[0], moved[0])), 0.0), min(float(max(ends[1], moved[1])), 1.0))


def _entropy(shares: Floats) -> Floats:
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    result: Floats = -(shares * logs).sum(axis=-1) / np.log(shares.shape[-1])
    return result


def _chance() -> np.random.Generator:
    return np.random.default_rng(_SEED)
