"""Average precision against its definition, and where it is known."""

import numpy as np
import pytest

from generatect.errors import InputError
from generatect.metrics.average_precision import average_precision


def by_definition(scores, positive):
    """Mean over the positives of the precision among all that score at least as high."""
    return np.mean([positive[scores >= score].mean() for score in scores[positive]])


def test_it_is_the_mean_precision_at_each_positive():
    random = np.random.default_rng(0)
    for _ in range(50):
        scores = random.integers(0, 12, 30).astype(float)  # with ties
        positive = random.random(30) < 0.3
        positive[0] = True
        assert average_precision(scores, positive) == pytest.approx(by_definition(scores, positive))


def test_perfect_worst_and_blind():
    positive = np.array([True, True, False, False])
    assert average_precision(np.array([4.0, 3, 2, 1]), positive) == 1
    assert average_precision(np.array([1.0, 2, 3, 4]), positive) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(np.zeros(4), positive) == 0.5


def test_no_positive_is_refused():
    with pytest.raises(InputError, match="0 positives"):
        average_precision(np.zeros(3), np.zeros(3, bool))
