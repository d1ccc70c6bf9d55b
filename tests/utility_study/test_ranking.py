"""Weighted rankings against plain ones of repeated volumes."""

import numpy as np
import pytest

from generatect.metrics.auroc import auroc
from generatect.metrics.average_precision import average_precision
from generatect.utility_study.ranking import weighted_auroc, weighted_average_precision


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with many ties, who is positive, and weights of whole numbers, zeros among them."""
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 12, size=60).astype(np.float32)
    return scores, generator.random(60) < 0.4, generator.integers(0, 4, size=(20, 60))


def test_a_weight_counts_as_so_many_equal_volumes(case):
    scores, positive, weights = case
    areas, precisions = weighted_auroc(*case), weighted_average_precision(*case)
    for row, area, precision in zip(weights, areas, precisions, strict=True):
        again, has = np.repeat(scores, row), np.repeat(positive, row)
        assert area == pytest.approx(auroc(again[has], again[~has]).value, abs=1e-12)
        assert precision == pytest.approx(average_precision(again, has), abs=1e-12)


def test_only_relative_weights_count(case):
    scores, positive, weights = case
    for measure in (weighted_auroc, weighted_average_precision):
        assert measure(scores, positive, weights * 3) == pytest.approx(measure(scores, positive, weights), abs=1e-12)


def test_a_row_that_tells_nothing_is_no_number():
    scores, positive = np.array([0.1, 0.4, 0.3]), np.array([True, True, False])
    without_negative, without_positive, all_there = np.array([[1, 2, 0], [0, 0, 5], [1, 1, 1]])
    weights = np.stack([without_negative, without_positive, all_there])
    assert np.isnan(weighted_auroc(scores, positive, weights)).tolist() == [True, True, False]
    assert np.isnan(weighted_average_precision(scores, positive, weights)).tolist() == [False, True, False]


def test_known_values():
    scores, positive = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    ones = np.ones((1, 4))
    assert weighted_auroc(scores, positive, ones) == pytest.approx([3 / 4])
    assert weighted_average_precision(scores, positive, ones) == pytest.approx([(1 + 2 / 3) / 2])
