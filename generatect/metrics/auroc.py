"""Area under the ROC curve: how often a positive scores above a negative."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from generatect.errors import InputError

Z_95 = 1.959963984540054


class Auroc(NamedTuple):
    """An area under the ROC curve with its 95 % confidence interval (DeLong), and how many scores it rests on."""

    value: float
    low: float
    high: float
    num_positive: int
    num_negative: int


def auroc(positive: Float[np.ndarray, "p"], negative: Float[np.ndarray, "n"]) -> Auroc:
    """Probability that a random positive scores above a random negative, ties counting half.

    The variance is DeLong's (DeLong, DeLong & Clarke-Pearson, Biometrics 1988, eq. 2-5): that of the mean placement of
    each group's scores among the other's. The interval is symmetric, cut to [0, 1]; at perfect separation it is a
    point.

    Args:
        positive: scores of cases that have the property.
        negative: scores of cases that lack it.

    Raises:
        InputError: fewer than two scores on a side, or a score that is not finite.
    """
    num_positive, num_negative = len(positive), len(negative)
    if min(num_positive, num_negative) < 2:
        raise InputError(f"AUROC of {num_positive} positive, {num_negative} negative scores: expected at least 2 each")
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise InputError("AUROC of scores that are not finite: expected finite scores")
    above_negative = _placements(positive, negative)
    above_positive = _placements(negative, positive)
    value = float(above_negative.mean())
    variance = above_negative.var(ddof=1) / num_positive + above_positive.var(ddof=1) / num_negative
    reach = Z_95 * float(np.sqrt(variance))
    return Auroc(value, max(0.0, value - reach), min(1.0, value + reach), num_positive, num_negative)


def _placements(scores: Float[np.ndarray, "a"], others: Float[np.ndarray, "b"]) -> Float[np.ndarray, "a"]:
    """Share of `others` below each score, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    up_to = np.searchsorted(ordered, scores, side="right")
    return (below + up_to) / (2 * len(others))
