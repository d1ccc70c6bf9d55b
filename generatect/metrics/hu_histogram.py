"""How far the Hounsfield units of two sets of volumes lie apart: the Wasserstein distance of their histograms."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Shaped

from generatect.metrics.bootstrap import Indices, TwoSample

LOWEST_HU, HIGHEST_HU = -1000, 1000
"""What the models see; values beyond are counted at the ends."""

BINS_HU = np.arange(LOWEST_HU, HIGHEST_HU + 1)
"""One bin for each whole HU."""


def hu_histogram(voxels_hu: Shaped[np.ndarray, "z y x"]) -> Float64[np.ndarray, "2001"]:
    """Share of the voxels at each whole HU from -1000 to 1000, the sum 1."""
    whole = np.rint(voxels_hu).clip(LOWEST_HU, HIGHEST_HU).astype(np.int64) - LOWEST_HU
    return np.bincount(whole.ravel(), minlength=len(BINS_HU)) / whole.size


def wasserstein_hu(first: Float64[np.ndarray, "b"], second: Float64[np.ndarray, "b"]) -> float:
    """Wasserstein-1 distance in HU of two histograms over bins of 1 HU: the area between their cumulated shares.

    It is the least mean change in HU per voxel that turns one histogram into the other.
    """
    return float(np.abs(np.cumsum(first - second)).sum())


def hu_distance_between(
    first: Sequence[Float64[np.ndarray, "b"]], second: Sequence[Float64[np.ndarray, "b"]]
) -> TwoSample:
    """The distance of the mean histograms, each volume counting alike, as a function of which volumes are taken."""
    a, b = np.stack(list(first)), np.stack(list(second))

    def of_means(i: Indices, j: Indices) -> float:
        return wasserstein_hu(a[i].mean(0), b[j].mean(0))

    return of_means
