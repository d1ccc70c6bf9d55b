"""Intervals against the spread of repeated experiments, floors against what splitting means."""

import numpy as np
import pytest

from generatect.metrics.bootstrap import bootstrap, bootstrap_pairs, interval_around, split_halves
from generatect.metrics.two_sample import frechet_between


def difference(a: np.ndarray, b: np.ndarray):
    return lambda i, j: float(b[j].mean() - a[i].mean())


def test_the_spread_of_resamples_is_that_of_repeated_experiments():
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal(400) * 2, generator.standard_normal(100)
    replicates = bootstrap(difference(a, b), 400, 100, 2000, generator)
    assert replicates.std() == pytest.approx((4 / 400 + 1 / 100) ** 0.5, rel=0.15)


def test_the_interval_covers_the_mean_of_a_frechet_distance():
    generator, values, intervals = np.random.default_rng(0), [], []
    for _ in range(40):
        sets = [[row[None] for row in generator.standard_normal((80, 3)) + shift] for shift in (0, 0.7)]
        distance = frechet_between(*sets)
        values.append(distance(np.arange(80), np.arange(80)))
        intervals.append(interval_around(values[-1], bootstrap(distance, 80, 80, 60, generator), lowest=0.0))
    covered = np.mean([low <= np.mean(values) <= high for low, high in intervals])
    assert covered == pytest.approx(0.95, abs=0.06)


def test_the_interval_lies_around_the_value_and_not_below_the_lowest():
    replicates = np.random.default_rng(0).standard_normal(10_000) + 50
    assert interval_around(3.0, replicates) == pytest.approx((3 - 1.96, 3 + 1.96), abs=0.06)
    assert interval_around(1.0, replicates, lowest=0.0) == pytest.approx((0, 2.96), abs=0.06)


def test_means_of_pairs():
    values = np.random.default_rng(0).standard_normal(300)
    replicates = bootstrap_pairs(values, 5000, np.random.default_rng(1))
    assert replicates.mean() == pytest.approx(values.mean(), abs=0.005)
    assert replicates.std() == pytest.approx(values.std() / 300**0.5, rel=0.05)


def test_halves_share_no_volume_and_have_equal_size():
    seen = []

    def keep(i, j):
        seen.append((i.tolist(), j.tolist()))
        return 0.0

    split_halves(keep, 7, 20, np.random.default_rng(0))
    assert all(len(i) == len(j) == 3 and not set(i) & set(j) for i, j in seen)
    assert len({tuple(sorted(i)) for i, _ in seen}) > 5


def test_the_floor_of_halves_is_the_distance_of_two_sets_of_that_size():
    """96 features, 100 items on each side: 48 (see test_frechet)."""
    rows = [row[None] for row in np.random.default_rng(0).standard_normal((200, 96))]
    values = split_halves(frechet_between(rows, rows), 200, 10, np.random.default_rng(1))
    assert values.mean() == pytest.approx(48.2, abs=1.5)


def test_the_same_seed_gives_the_same_numbers():
    a, b = np.arange(9.0), np.arange(7.0)
    first, second = (bootstrap(difference(a, b), 9, 7, 5, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
