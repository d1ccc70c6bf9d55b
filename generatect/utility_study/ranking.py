"""AUROC and average precision of volumes that count more than once, or not at all: for many resamples together."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

Weights = Shaped[np.ndarray, "r n"]
"""How often each of n volumes counts, for r resamples."""


def weighted_auroc(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Weights
) -> Float[np.ndarray, "r"]:
    """Probability that a random positive scores above a random negative, ties counting half.

    A volume of weight w counts as w equal ones, so that whole numbers give what `auroc` gives of repeated volumes.

    Args:
        scores: the higher, the likelier.
        positive: which volumes have the property.
        weights: row by row; see `Weights`.

    Returns:
        One area for each row; NaN where it has no positive or no negative.
    """
    order, first, last = _ties(scores)
    ranked, hits = np.asarray(weights, np.float64)[:, order], positive[order]
    below = np.pad((ranked * ~hits).cumsum(axis=1), ((0, 0), (1, 0)))  # weight of the negatives before each place
    wins = ranked * hits * (below[:, first] + below[:, last + 1]) / 2
    pairs = (ranked * hits).sum(axis=1) * below[:, -1]
    return np.divide(wins.sum(axis=1), pairs, out=np.full(len(ranked), np.nan), where=pairs > 0)


def weighted_average_precision(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Weights
) -> Float[np.ndarray, "r"]:
    """Precision averaged over the steps of recall, ties as one step; see `average_precision` and `weighted_auroc`.

    Returns:
        One value for each row; NaN where it has no positive.
    """
    order, _, last = _ties(-scores)
    ranked, hits = np.asarray(weights, np.float64)[:, order], positive[order]
    found, seen = (ranked * hits).cumsum(axis=1)[:, last], ranked.cumsum(axis=1)[:, last]
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    total = found[:, -1]
    gained = (ranked * hits * precision).sum(axis=1)
    return np.divide(gained, total, out=np.full(len(ranked), np.nan), where=total > 0)


def _ties(values: Float[np.ndarray, "n"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ascending order of the values, and for each place in it the first and the last of its equals."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    return order, np.searchsorted(ranked, ranked, "left"), np.searchsorted(ranked, ranked, "right") - 1
