"""Average precision: how pure the top of a ranking is."""

import numpy as np
from jaxtyping import Bool, Float

from generatect.errors import InputError


def average_precision(scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"]) -> float:
    """Precision averaged over the steps of recall (no interpolation): sum of (R_k - R_{k-1}) P_k, ties as one step.

    A ranking at random has the share of positives.

    Args:
        scores: the higher, the likelier.
        positive: which have the property.

    Raises:
        InputError: no positive, or a score that is not finite.
    """
    if not positive.any() or not np.isfinite(scores).all():
        raise InputError(f"average precision of {int(positive.sum())} positives: expected some, and finite scores")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    last_of_tie = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    precision = hits[last_of_tie] / (last_of_tie + 1)
    recall = hits[last_of_tie] / hits[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())
