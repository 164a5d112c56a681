"""The statistics against distributions whose truth is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from gatekeeper.evaluation import measures
from gatekeeper.evaluation.measures import Estimate, Floats

TRIALS = 120


def _covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low - 1e-9 <= truth <= estimate.high + 1e-9


def _entropy(shares: list[float]) -> float:
    p = np.array([share for share in shares if share > 0])
    return float(-(p * np.log(p)).sum() / np.log(len(shares)))


def _drawn(images: int, truth: Sequence[float] | Floats, *, trials: int = 300) -> list[list[int]]:
    drawn: list[list[int]] = np.random.default_rng(23).multinomial(images, truth, size=trials).tolist()
    return drawn


@pytest.mark.parametrize(
    ("truth", "images"),
    [([0.65, 0.25, 0.10], 40), ([0.9, 0.05, 0.05], 60), ([0.4, 0.25, 0.15, 0.1, 0.1], 80), ([1 / 6] * 6, 50)],
    ids=["doctor", "mechanic", "tones", "even"],
)
def test_intervals_of_shares_and_entropy_cover_the_truth_about_as_often_as_they_say(
    truth: list[float], images: int
) -> None:
    chance = np.random.default_rng(7)
    drawn = chance.multinomial(images, truth, size=TRIALS)
    shares = [measures.share_estimates(counts) for counts in drawn]
    for group, share in enumerate(truth):
        assert np.mean([_covers(row[group], share) for row in shares]) >= 0.88
    widths = [one.high - one.low for row in shares for one in row]
    assert np.mean(widths) < 4.5 * np.mean([np.sqrt(p * (1 - p) / images) for p in truth])  # nor by being too wide
    assert np.mean([_covers(measures.entropy_estimate(counts), _entropy(truth)) for counts in drawn]) >= 0.90


@pytest.mark.parametrize(
    ("groups", "images"), [(6, 20), (6, 36), (24, 10), (24, 40)], ids=["6-20", "6-36", "24-10", "24-40"]
)
def test_the_largest_group_is_not_understated_however_many_there_are(groups: int, images: int) -> None:
    truth = [0.9] + [0.1 / (groups - 1)] * (groups - 1)
    largest = [measures.share_estimates(counts)[0] for counts in _drawn(images, truth)]
    assert np.mean([_covers(one, 0.9) for one in largest]) >= 0.92
    assert np.mean([one.high >= 0.9 for one in largest]) >= 0.95  # the end that "at most" looks at


def test_nor_is_it_behind_a_reader_that_errs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "DRAWS", 200)
    truth, reader = np.array([0.9] + [0.02] * 5), (1000 * (0.97 * np.eye(6) + 0.03 / 6)).astype(int)
    read = truth @ (reader / reader.sum(axis=1, keepdims=True))
    found = [measures.corrected(counts, reader.tolist())[0] for counts in _drawn(20, read, trials=20)]
    assert np.mean([shares[0].high >= 0.9 for shares in found]) >= 0.95
    assert np.mean([_covers(one, share) for shares in found for one, share in zip(shares, truth, strict=True)]) >= 0.9


def test_the_interval_of_a_share_is_that_of_the_group_against_all_others() -> None:
    nine, *_ = measures.share_estimates([9, 1] + [0] * 22)
    assert (round(nine.low, 2), round(nine.high, 2)) == (0.62, 0.99)  # Beta(9.5, 1.5)
    assert measures.share_estimates([9, 1])[0] == nine


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("truth", [0.3, 0.9])
def test_images_of_one_prompt_do_not_count_as_so_many_prompts(alike: float, truth: float) -> None:
    chance, found = np.random.default_rng(19), []
    for _ in range(TRIALS):
        own = chance.random(30) < truth  # what each of 30 prompts leans to; 10 images each
        rates = np.where(chance.random(30) < alike, own, truth)
        found.append(measures.grouped_rate((int(hits), 10) for hits in chance.binomial(10, rates)))
    assert np.mean([_covers(one, truth) for one in found]) >= 0.90
    width = np.mean([one.high - one.low for one in found])
    assert width < 5 * np.sqrt(truth * (1 - truth) / (300 / (1 + 9 * alike)))  # nor by being too wide


def test_a_rate_of_single_images_is_the_plain_one_and_few_prompts_stay_few() -> None:
    assert measures.grouped_rate([(1, 1)] * 9 + [(0, 1)]) == measures.rate_estimate(9, 10)
    assert measures.grouped_rate([(0, 10)] * 30) == measures.rate_estimate(0, 30)
    assert measures.grouped_rate([(0, 0)]) == Estimate(0.0, 0.0, 1.0)


def test_evenness_is_not_understated_where_images_are_few() -> None:
    truth = [0.4, 0.3, 0.2, 0.1]
    drawn = np.random.default_rng(17).multinomial(30, truth, size=400)
    found = np.mean([measures.entropy_estimate(counts).value for counts in drawn])
    assert found == pytest.approx(_entropy(truth), abs=0.01)  # as counted it would be 0.036 less


def test_a_planted_skew_is_recovered_through_a_reader_that_errs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "DRAWS", 300)
    truth = np.array([0.15, 0.75, 0.10])
    rates = np.array([[0.85, 0.10, 0.05], [0.15, 0.80, 0.05], [0.30, 0.20, 0.50]])
    chance = np.random.default_rng(11)
    hits, raw_errors, errors = [], [], []
    for _ in range(30):
        confusion = np.stack([chance.multinomial(300, row) for row in rates])
        counts = chance.multinomial(400, truth @ rates)
        found, _ = measures.corrected(counts, confusion)
        hits += [_covers(one, share) for one, share in zip(found, truth, strict=True)]
        errors.append([one.value for one in found] - truth)
        raw_errors.append(counts / counts.sum() - truth)
    assert np.mean(hits) >= 0.90
    assert np.abs(np.mean(errors, axis=0)).max() < 0.02 < np.abs(np.mean(raw_errors, axis=0)).max()


def test_a_reader_that_was_tried_on_few_images_leaves_more_uncertainty() -> None:
    tried = np.array([[16, 3, 1], [3, 16, 1], [5, 5, 10]])
    (few, *_), _ = measures.corrected([200, 120, 80], tried.tolist())
    (many, *_), _ = measures.corrected([200, 120, 80], (100 * tried).tolist())
    assert few.value == pytest.approx(many.value, abs=0.001)
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_a_perfect_reader_changes_nothing() -> None:
    perfect = [[500, 0, 0], [0, 500, 0], [0, 0, 500]]
    corrected, evenness = measures.corrected([60, 30, 10], perfect)
    assert evenness.value == pytest.approx(measures.entropy_estimate([60, 30, 10]).value)
    assert [one.value for one in corrected] == pytest.approx([0.6, 0.3, 0.1])


def test_a_group_that_was_never_seen_is_not_declared_impossible() -> None:
    none = measures.share_estimates([20, 0])[1]
    assert none.value == none.low == 0
    assert 0.03 < none.high < 0.25
    assert measures.rate_estimate(0, 0) == Estimate(0.0, 0.0, 1.0)


def test_clusters_are_those_that_were_planted_and_new_images_go_to_the_nearest() -> None:
    chance = np.random.default_rng(3)
    middles = np.array([[0.0, 0, 0, 5], [5, 0, 0, 0], [0, 5, 0, 0]])
    sizes = [30, 60, 10]
    vectors = np.concatenate([m + chance.normal(0, 0.3, (n, 4)) for m, n in zip(middles, sizes, strict=True)])
    centers = measures.find_clusters(vectors, 3)
    assert np.allclose(centers, middles[[1, 0, 2]], atol=0.3)  # the largest first
    assert measures.assign(middles + 0.4, centers).tolist() == [1, 0, 2]


def test_what_a_group_has_in_common_does_not_decide_about_clusters() -> None:
    chance = np.random.default_rng(5)
    jobs, looks = np.array([[9.0, 0, 0], [0, 9, 0]]), np.array([[0.0, 0, 1], [0, 0, -1]])
    pairs = [(job, look) for job in (0, 1) for look in (0, 1) for _ in range(20)]
    vectors = np.stack([jobs[job] + looks[look] + chance.normal(0, 0.1, 3) for job, look in pairs])
    groups = [str(job) for job, _ in pairs]
    means = {g: vectors[[i for i, x in enumerate(groups) if x == g]].mean(axis=0) for g in ("0", "1")}
    plain = measures.assign(vectors, measures.find_clusters(vectors, 2))
    free = measures.centered(vectors, groups, means)
    freed = measures.assign(free, measures.find_clusters(free, 2))
    assert len({(job, cluster) for (job, _), cluster in zip(pairs, plain, strict=True)}) == 2
    assert len({(look, cluster) for (_, look), cluster in zip(pairs, freed, strict=True)}) == 2


def test_differences_between_revisions_cover_the_true_change() -> None:
    chance = np.random.default_rng(13)
    before, after = chance.binomial(60, 0.7, TRIALS), chance.binomial(60, 0.45, TRIALS)
    found = [
        measures.difference(measures.rate_estimate(int(a), 60), measures.rate_estimate(int(b), 60))
        for a, b in zip(after, before, strict=True)
    ]
    assert np.mean([_covers(one, -0.25) for one in found]) >= 0.90
    assert np.mean([one.high < 0 for one in found]) > 0.6  # and the change is mostly noticed
