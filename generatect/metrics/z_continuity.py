"""Whether slices follow each other as those of real scans do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from generatect.errors import InputError
from generatect.metrics.bootstrap import Indices, TwoSample

MIN_SLICES = 4
CLIP_HU = 1000.0


def jerk_hu(voxels_hu: Shaped[np.ndarray, "z y x"]) -> float:
    """Mean size in HU of the third difference along z, v[k+3] - 3 v[k+2] + 3 v[k+1] - v[k], HU clipped to ±1000.

    Anatomy that changes evenly from slice to slice has none; slices that flicker, jump or repeat have much.

    Raises:
        InputError: fewer than four slices.
    """
    if len(voxels_hu) < MIN_SLICES:
        raise InputError(f"{len(voxels_hu)} slices: z-continuity needs at least {MIN_SLICES}")
    clipped = voxels_hu.astype(np.float32).clip(-CLIP_HU, CLIP_HU)
    total = 0.0
    for k in range(len(clipped) - 3):  # slice by slice: no second volume is held
        third = clipped[k + 3] - 3 * clipped[k + 2] + 3 * clipped[k + 1] - clipped[k]
        total += float(np.abs(third).mean(dtype=np.float64))
    return total / (len(clipped) - 3)


def jerk_ratio_between(first: Sequence[float], second: Sequence[float]) -> TwoSample:
    """Mean jerk of the second set over that of the first, as a function of which volumes are taken.

    1: as continuous as the first set, the real one; above 1: its slices flicker; below 1: smoother than real.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)

    def ratio(i: Indices, j: Indices) -> float:
        return float(b[j].mean() / a[i].mean())

    return ratio
