"""Whether the generated volumes give away which real volumes trained the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from generatect.metrics.auroc import auroc
from generatect.metrics.bootstrap import Indices, TwoSample, bootstrap, interval_around, split_halves

RESAMPLES = 1000
SPLITS = 1000
SEED = 0


@dataclass(frozen=True)
class Membership:
    """A test of who was in the training set, and the same test where there is nothing to find.

    Attributes:
        auroc: how often a training volume is nearer to the generated ones than a held-out volume is.
        interval: 95 %, by drawing patients.
        control: mean of the same between random halves of the held-out patients; 0.5 but for chance.
        control_interval: 95 % of the halvings: what chance alone gives.
    """

    auroc: float
    interval: tuple[float, float]
    control: float
    control_interval: tuple[float, float]

    @property
    def is_given_away(self) -> bool:
        """Whether more is seen than chance gives."""
        return self.interval[0] > 0.5 and self.auroc > self.control_interval[1]


def membership(
    train: Float64[np.ndarray, "t"],
    heldout: Float64[np.ndarray, "h"],
    train_patients: Sequence[str],
    heldout_patients: Sequence[str],
) -> Membership:
    """Runs the test and its control.

    Args:
        train: distance of each training volume to the nearest generated one.
        heldout: distance of each held-out volume to the nearest generated one.
        train_patients: whose each training volume is.
        heldout_patients: whose each held-out volume is.
    """
    draws = np.random.default_rng(SEED)
    groups = _by_patient(-train, train_patients), _by_patient(-heldout, heldout_patients)
    value = auroc(-train, -heldout).value
    replicates = bootstrap(_between(*groups), len(groups[0]), len(groups[1]), RESAMPLES, draws)
    low, high = interval_around(value, replicates, lowest=0.0)
    halves = split_halves(_between(groups[1], groups[1]), len(groups[1]), SPLITS, draws)
    chance_low, chance_high = np.quantile(halves, [0.025, 0.975])
    return Membership(value, (low, min(1.0, high)), float(halves.mean()), (float(chance_low), float(chance_high)))


def _by_patient(scores: Float64[np.ndarray, "n"], patients: Sequence[str]) -> list[np.ndarray]:
    """Scores of each patient: scans of one patient are drawn together."""
    places: dict[str, list[int]] = {}
    for index, patient in enumerate(patients):
        places.setdefault(patient, []).append(index)
    return [scores[indices] for indices in places.values()]


def _between(first: list[np.ndarray], second: list[np.ndarray]) -> TwoSample:
    def of_patients(i: Indices, j: Indices) -> float:
        chosen = (np.concatenate([group[index] for index in k]) for group, k in ((first, i), (second, j)))
        return auroc(*chosen).value

    return of_patients
