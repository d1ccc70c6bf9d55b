"""FID-2.5D: the mean of three FIDs, over axial, coronal and sagittal slices (Guo et al. 2024, MAISI)."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from generatect.metrics.bootstrap import Indices, TwoSample
from generatect.metrics.two_sample import frechet_between

PLANES = ("axial", "coronal", "sagittal")
"""Slices across axis z, y and x of a canonical volume."""

PlaneFeatures = Mapping[str, Sequence[Shaped[np.ndarray, "_ d"]]]
"""Plane → features of each volume's slices in it."""


def fid_2p5d_between(first: PlaneFeatures, second: PlaneFeatures, ddof: int = 0) -> TwoSample:
    """The mean of the planes' Fréchet distances as a function of which volumes are taken."""
    planes = [frechet_between(first[plane], second[plane], ddof) for plane in PLANES]

    def mean_of_planes(i: Indices, j: Indices) -> float:
        return float(np.mean([distance(i, j) for distance in planes]))

    return mean_of_planes
