"""Distances of two sets of volumes that can be asked again and again for other draws of the volumes."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from generatect.metrics.bootstrap import Indices, TwoSample
from generatect.metrics.frechet import FeatureStatistics, frechet_distance
from generatect.metrics.kid import mmd_squared, polynomial_kernel

Features = Sequence[Shaped[np.ndarray, "_ d"]]
"""Features of each volume: k clips or slices, of one width for all."""


def frechet_between(first: Features, second: Features, ddof: int = 0) -> TwoSample:
    """The Fréchet distance as a function of which volumes are taken.

    Where vectors are fewer than they are wide, scalar products say it all and cost less: with centred and scaled rows A
    and B, Tr √(Σ₁ Σ₂) is the sum of the singular values of A Bᵀ.
    """
    rows = [_Rows(volumes) for volumes in (first, second)]
    width = rows[0].features.shape[1]
    if max(len(part.features) for part in rows) >= width:

        def of_statistics(i: Indices, j: Indices) -> float:
            chosen = (FeatureStatistics.of(part.features[part.of(k)]) for part, k in zip(rows, (i, j), strict=True))
            return frechet_distance(*chosen, ddof=ddof)

        return of_statistics
    shift = torch.cat([part.features for part in rows]).mean(0)
    a, b = (part.features - shift for part in rows)
    own_a, own_b, across = a @ a.T, b @ b.T, a @ b.T

    def of_products(i: Indices, j: Indices) -> float:
        r, s = rows[0].of(i), rows[1].of(j)
        cross = across[r][:, s]
        means = [own_a[r][:, r].mean(), own_b[s][:, s].mean(), cross.mean()]
        traces = (own_a.diagonal()[r].mean() - means[0]) * len(r) / (len(r) - ddof)
        traces = traces + (own_b.diagonal()[s].mean() - means[1]) * len(s) / (len(s) - ddof)
        centred = cross - cross.mean(0) - cross.mean(1, keepdim=True) + means[2]
        overlap = torch.linalg.svdvals(centred).sum() / ((len(r) - ddof) * (len(s) - ddof)) ** 0.5
        return max(0.0, (means[0] + means[1] - 2 * means[2] + traces - 2 * overlap).item())

    return of_products


def kid_between(first: Features, second: Features) -> TwoSample:
    """The kernel distance (KID) as a function of which volumes are taken."""
    rows = [_Rows(volumes) for volumes in (first, second)]
    a, b = (part.features for part in rows)
    own_a, own_b, across = polynomial_kernel(a, a), polynomial_kernel(b, b), polynomial_kernel(a, b)

    def of_kernels(i: Indices, j: Indices) -> float:
        r, s = rows[0].of(i), rows[1].of(j)
        return mmd_squared(own_a[r][:, r], own_b[s][:, s], across[r][:, s])

    return of_kernels


class _Rows:
    """The features of all volumes below each other, and which rows are a volume's."""

    def __init__(self, volumes: Features) -> None:
        self.features: Float64[Tensor, "n d"] = torch.from_numpy(np.concatenate(list(volumes))).double()
        ends = np.cumsum([len(volume) for volume in volumes])
        self.rows = np.split(np.arange(ends[-1]), ends[:-1])

    def of(self, volumes: Indices) -> Int64[Tensor, "m"]:
        """Rows of the chosen volumes, a volume drawn twice twice."""
        return torch.from_numpy(np.concatenate([self.rows[index] for index in volumes]))
