"""How far a number would move with other volumes: resampling; and what it says of real against real: split halves.

A statistic is a function of two lists of indices of volumes. Volumes are what is drawn, never their slices: slices of
one patient are no independent items.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64

Indices = Int64[np.ndarray, "_"]
TwoSample = Callable[[Indices, Indices], float]
"""(indices of volumes of the first set, of the second) → the statistic."""

COVERAGE = 0.95


def bootstrap(
    statistic: TwoSample,
    num_first: int,
    num_second: int,
    resamples: int,
    generator: np.random.Generator,
    on_resample: Callable[[int], None] = lambda done: None,
) -> Float64[np.ndarray, "r"]:
    """Values of the statistic on volumes drawn with replacement, as many as there are (Efron 1979).

    Args:
        statistic: of indices of both sets.
        num_first: volumes in the first set.
        num_second: volumes in the second.
        resamples: how often; 200 or more for an interval.
        generator: of the draws.
        on_resample: called after each with the number done.
    """
    values = np.empty(resamples)
    for index in range(resamples):
        first = generator.integers(num_first, size=num_first)
        second = generator.integers(num_second, size=num_second)
        values[index] = statistic(first, second)
        on_resample(index + 1)
    return values


def bootstrap_pairs(
    values: Float64[np.ndarray, "n"], resamples: int, generator: np.random.Generator
) -> Float64[np.ndarray, "r"]:
    """Means of values drawn with replacement: where each volume has a value of its own."""
    return values[generator.integers(len(values), size=(resamples, len(values)))].mean(1)


def interval_around(value: float, replicates: Float64[np.ndarray, "r"], lowest: float = -np.inf) -> tuple[float, float]:
    """95 % interval: the quantiles of the replicates, moved so that their mean lies on the value.

    Volumes drawn twice make a distance larger than it is; what the resamples are good for is its spread, so their shift
    is taken out. The interval tells how the number of *this many* volumes varies; how far it lies above the distance of
    infinitely many is what the floor shows.

    Args:
        value: the statistic of all volumes.
        replicates: what `bootstrap` returned.
        lowest: least value that the statistic can have; nothing below it is claimed.
    """
    low, high = np.quantile(replicates, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]) - replicates.mean()
    return max(lowest, value + float(low)), max(lowest, value + float(high))


def split_halves(
    statistic: TwoSample, num: int, splits: int, generator: np.random.Generator
) -> Float64[np.ndarray, "r"]:
    """Values of the statistic between random halves of one set: its floor, what no model can be asked to beat.

    Args:
        statistic: of the set against itself.
        num: volumes in the set; the halves have num // 2 each.
        splits: how often the set is split.
        generator: of the splits.
    """
    values = np.empty(splits)
    for index in range(splits):
        order = generator.permutation(num)
        values[index] = statistic(order[: num // 2], order[num // 2 : num // 2 * 2])
    return values
