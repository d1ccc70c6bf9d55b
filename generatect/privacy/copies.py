"""Which generated volumes are nearer to a training volume than fresh volumes of real patients are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from generatect.privacy.space import distances, nearest

SMALLEST = 1e-9
"""Stands for no distance at all in a denominator."""


@dataclass(frozen=True)
class Nearness:
    """How near volumes are to the training set, compared with how near they are to other real volumes.

    Attributes:
        nearest: index of the nearest training volume.
        distance: to it.
        score: that distance over the distance to the nearest held-out volume of another patient: about 1 for a fresh
            volume, near 0 for a copy. A volume without details is near to everything, and its score is 1 all the same.
    """

    nearest: Int64[np.ndarray, "n"]
    distance: Float64[np.ndarray, "n"]
    score: Float64[np.ndarray, "n"]


def nearness(
    volumes: Float64[np.ndarray, "n k"],
    train: Float64[np.ndarray, "t k"],
    heldout: Float64[np.ndarray, "h k"],
    allowed: Bool[np.ndarray, "n h"] | None = None,
) -> Nearness:
    """Measures it.

    Args:
        volumes: places of the volumes asked about.
        train: places of the training volumes.
        heldout: places of the held-out volumes.
        allowed: which held-out volumes each may be compared with; None: all.
    """
    indices, to_train = nearest(distances(volumes, train))
    _, to_heldout = nearest(distances(volumes, heldout), allowed)
    return Nearness(indices, to_train, to_train / np.maximum(to_heldout, SMALLEST))


def of_other_patients(patients: Sequence[str]) -> Bool[np.ndarray, "n n"]:
    """Which pairs are not of one patient; a volume is not compared with itself either."""
    names = np.array(patients)
    return names[:, None] != names[None]


def p_values(scores: Float64[np.ndarray, "n"], heldout: Float64[np.ndarray, "h"]) -> Float64[np.ndarray, "n"]:
    """Share of fresh volumes that score as low, the volume itself counted among them.

    The conformal p-value (Vovk, Gammerman & Shafer 2005, eq. 2.20): if a volume is as fresh as a held-out one, its
    p-value is at most `rate` with a probability of at most `rate`, whatever the distribution and however few there are.

    Args:
        scores: of the volumes asked about; low is near.
        heldout: scores of the held-out volumes.
    """
    as_low = np.searchsorted(np.sort(heldout), scores, side="right")
    return (1 + as_low) / (len(heldout) + 1)


def threshold(heldout: Float64[np.ndarray, "h"], rate: float) -> float:
    """The score below which the p-value is at most `rate`; there are at least 1 / rate - 1 held-out scores."""
    num_allowed = math.floor(rate * (len(heldout) + 1) + 1e-9)
    return float(np.sort(heldout)[num_allowed - 1])


def chance_of(num_flagged: int, num_generated: int, num_heldout: int, rate: float) -> float:
    """Probability that so many or more fresh volumes would be flagged, were they like the held-out ones.

    The threshold is the k-th smallest held-out score, so the share that lies below it is itself drawn, Beta(k, n + 1 -
    k), and the number flagged is beta-binomial: a few held-out volumes make an uncertain threshold, and this knows it.

    Args:
        num_flagged: generated volumes that are flagged.
        num_generated: of all.
        num_heldout: scores that set the threshold.
        rate: false-positive rate.
    """
    k = math.floor(rate * (num_heldout + 1) + 1e-9)
    rest = num_heldout + 1 - k
    terms = (
        math.exp(
            _log_beta(k + count, rest + num_generated - count)
            - _log_beta(k, rest)
            - _log_beta(count + 1, num_generated - count + 1)
            - math.log(num_generated + 1)
        )
        for count in range(num_flagged, num_generated + 1)
    )
    return min(1.0, math.fsum(terms))


def _log_beta(a: int, b: int) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
