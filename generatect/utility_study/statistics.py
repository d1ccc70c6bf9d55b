"""What the scores of the classifiers say, and how sure: intervals over test patients, spread over seeds, differences.

Patients are what is resampled, with all of their volumes: two scans of one patient are no independent items. One draw
of patients serves all classifiers, so that a difference between two of them is paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from generatect.metrics.bootstrap import COVERAGE
from generatect.utility_study.ranking import weighted_auroc, weighted_average_precision
from generatect.utility_study.sets import REAL

METRICS = {"auroc": weighted_auroc, "average_precision": weighted_average_precision}
MEAN = "mean"
"""Stands where a finding would: the mean over the findings that can be judged."""
LEAST = 2
"""So many test volumes must have a finding, and so many lack it, or it is not judged."""


@dataclass(frozen=True)
class Estimate:
    """A number and how sure it is.

    Attributes:
        value: mean over the seeds.
        low: lower end of the 95 % interval over test patients.
        high: its upper end.
        by_seed: the number of each seed.
    """

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def seeds_sd(self) -> float | None:
        """Standard deviation over the seeds; None of a single one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval, and every seed, lies above or below 0; else 0."""
        for sign in (1, -1):
            if min(sign * self.low, sign * self.high, *(sign * value for value in self.by_seed)) > 0:
                return sign
        return 0


@dataclass(frozen=True)
class Score:
    """One number of the table.

    Attributes:
        training_set: what was trained on.
        finding: which finding, or `MEAN`.
        metric: one of `METRICS`.
        score: of this set; None where the finding cannot be judged.
        difference: from the real volumes alone, paired by patient and seed; None for those themselves.
    """

    training_set: str
    finding: str
    metric: str
    score: Estimate | None
    difference: Estimate | None


def patient_weights(patients: Sequence[str], resamples: int, generator: np.random.Generator) -> Int[np.ndarray, "r n"]:
    """How often each volume counts: once in the first row; then as often as its patient is drawn, with replacement.

    Args:
        patients: whose each volume is.
        resamples: draws, each of as many patients as there are.
        generator: of the draws.
    """
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    num_patients = int(owner.max()) + 1
    weights = np.ones((resamples + 1, len(owner)), dtype=np.int64)
    for row in weights[1:]:
        row[:] = np.bincount(generator.integers(num_patients, size=num_patients), minlength=num_patients)[owner]
    return weights


def judge(
    scores: Mapping[str, Float[np.ndarray, "seeds n k"]],
    labels: Bool[np.ndarray, "n k"],
    findings: Sequence[str],
    patients: Sequence[str],
    resamples: int,
    generator: np.random.Generator,
) -> list[Score]:
    """Every metric of every set, of each finding and of their mean.

    An interval is that of the quantiles of the resamples (Efron 1979), each the mean over the seeds; a resample in
    which nobody has a finding, or everybody, tells nothing of it and is left out there.

    Args:
        scores: training set → what its classifiers, one for each seed, give each test volume; "real" among them.
        labels: which test volume has which finding.
        findings: their names.
        patients: whose each test volume is.
        resamples: draws of patients.
        generator: of the draws.
    """
    weights = patient_weights(patients, resamples, generator)
    result = []
    for metric, measure in METRICS.items():
        measured = {name: _measured(measure, values, labels, weights) for name, values in scores.items()}
        for name, values in measured.items():
            for column, finding in enumerate((MEAN, *findings)):
                difference = None
                if name != REAL:
                    difference = _estimate(values[:, column] - measured[REAL][:, column])
                result.append(Score(name, finding, metric, _estimate(values[:, column]), difference))
    return result


def judged(labels: Bool[np.ndarray, "n k"]) -> Bool[np.ndarray, "k"]:
    """Which findings enough of the test volumes have and lack."""
    positive = labels.sum(axis=0)
    return (positive >= LEAST) & (len(labels) - positive >= LEAST)


def _measured(
    measure: Callable[..., np.ndarray],
    scores: Float[np.ndarray, "seeds n k"],
    labels: Bool[np.ndarray, "n k"],
    weights: Int[np.ndarray, "r n"],
) -> Float[np.ndarray, "seeds k+1 r"]:
    """The mean over the findings, and each finding, in every row of weights; NaN where it cannot be judged."""
    values = np.full((len(scores), labels.shape[1], len(weights)), np.nan)
    for column in np.flatnonzero(judged(labels)):
        for seed, own in enumerate(scores):
            values[seed, column] = measure(own[:, column], labels[:, column], weights)
    has_any = np.isfinite(values).any(axis=1, keepdims=True)
    total = np.nansum(values, axis=1, keepdims=True)
    mean = np.where(has_any, total / np.maximum(np.isfinite(values).sum(axis=1, keepdims=True), 1), np.nan)
    return np.concatenate([mean, values], axis=1)


def _estimate(values: Float[np.ndarray, "seeds rows"]) -> Estimate | None:
    """From the values of each seed: of all volumes, then of each resample."""
    if not np.isfinite(values[:, 0]).all():
        return None
    replicates = values[:, 1:].mean(axis=0)
    low, high = np.nanquantile(replicates, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(values[:, 0].mean()), float(low), float(high), tuple(values[:, 0].tolist()))
