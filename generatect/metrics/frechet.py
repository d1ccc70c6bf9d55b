"""The Fréchet distance of two sets of features: FID with an image network's features, FVD with a video network's.

Heusel et al. 2017 (FID), Unterthiner et al. 2018 (FVD), eq. of Dowson & Landau 1982 for two Gaussians:
‖μ₁ - μ₂‖² + Tr(Σ₁ + Σ₂ - 2 √(Σ₁ Σ₂)). Everything is float64.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float, Float64
from torch import Tensor

from generatect.errors import InputError

MIN_ITEMS = 2
"""A covariance needs two items; a useful one needs many more than the features are wide."""


class FeatureStatistics:
    """Count, mean and scatter of features, gathered in batches; batches may be thrown away after `update`.

    The scatter is kept about the running mean (Chan, Golub & LeVeque 1979), so that features far from zero lose no
    digits. Memory is one square matrix: 32 MB for 2048 features.

    Args:
        width: length of a feature vector.

    Attributes:
        count: vectors so far.
        mean: their mean, float64 [d].
        scatter: sum of (x - mean)(x - mean)ᵀ, float64 [d d].
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self.scatter = torch.zeros(width, width, dtype=torch.float64)

    @classmethod
    def of(cls, features: Float[Tensor, "n d"]) -> "FeatureStatistics":
        """Statistics of one batch."""
        statistics = cls(features.shape[1])
        statistics.update(features)
        return statistics

    @property
    def covariance(self) -> Float64[Tensor, "d d"]:
        """Covariance over N (not N - 1), as StyleGAN-V computes it."""
        return self.scatter / max(self.count, 1)

    def update(self, features: Float[Tensor, "n d"]) -> None:
        """Adds a batch, one vector a row.

        Raises:
            InputError: vectors of another width, or values that are not finite.
        """
        if features.shape[1] != self.width:
            raise InputError(f"features of width {features.shape[1]}: expected {self.width}; use one detector for all")
        if not torch.isfinite(features).all():
            raise InputError("features hold NaN or infinity: expected finite values; look for damaged volumes")
        if len(features):
            batch = features.detach().cpu().double()
            mean = batch.mean(0)
            centred = batch - mean
            self._add(len(batch), mean, centred.T @ centred)

    def merge(self, other: "FeatureStatistics") -> None:
        """Adds what another one has gathered.

        Raises:
            InputError: features of another width.
        """
        if other.width != self.width:
            raise InputError(f"features of width {other.width}: expected {self.width}; use one detector for all")
        if other.count:
            self._add(other.count, other.mean, other.scatter)

    def summed(self, device: torch.device | None = None) -> "FeatureStatistics":
        """Statistics of all processes together, the same in each; in a single process, a copy.

        Two sums: of the means, then of the scatters moved to the common mean.

        Args:
            device: where the processes exchange tensors: the GPU for NCCL; None: the CPU.
        """
        total = FeatureStatistics(self.width)
        if not (dist.is_available() and dist.is_initialized()):
            total.merge(self)
            return total
        head = torch.cat([torch.tensor([float(self.count)], dtype=torch.float64), self.mean * self.count]).to(device)
        dist.all_reduce(head)
        total.count = int(head[0].item())
        total.mean = head[1:].cpu() / max(total.count, 1)
        offset = self.mean - total.mean
        scatter = (self.scatter + self.count * torch.outer(offset, offset)).to(device)
        dist.all_reduce(scatter)
        total.scatter = scatter.cpu()
        return total

    def _add(self, count: int, mean: Float64[Tensor, "d"], scatter: Float64[Tensor, "d d"]) -> None:
        total = self.count + count
        offset = mean - self.mean
        # In place: of a second and a third matrix of this size nobody has use.
        self.scatter.add_(scatter).addr_(offset, offset, alpha=self.count * count / total)
        self.mean = self.mean + offset * (count / total)
        self.count = total


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics, ddof: int = 0) -> float:
    """Fréchet distance of the Gaussians that two sets of features define.

    With symmetric roots Σ = RᵀR the trace of √(Σ₁ Σ₂) is the sum of the singular values of R₁ R₂ᵀ, which needs no root
    of an asymmetric matrix and is as exact where covariances are singular. Eigenvalues that rounding alone makes are
    left out.

    Args:
        a: one set.
        b: the other.
        ddof: 0 for covariances over N, 1 for N - 1.

    Raises:
        InputError: fewer than two vectors in a set, or sets of different width.
    """
    if min(a.count, b.count) < MIN_ITEMS:
        raise InputError(f"Fréchet distance of {a.count} and {b.count} items: expected at least {MIN_ITEMS} in each")
    if a.width != b.width:
        raise InputError(f"features of width {a.width} and {b.width}: expected one detector for both")
    first, second = (item.covariance * (item.count / (item.count - ddof)) for item in (a, b))
    overlap = torch.linalg.svdvals(_root(first) @ _root(second).T).sum()
    distance = (a.mean - b.mean).square().sum() + first.trace() + second.trace() - 2 * overlap
    return max(0.0, distance.item())  # below zero is rounding


def _root(covariance: Float64[Tensor, "d d"]) -> Float64[Tensor, "r d"]:
    """R with RᵀR = covariance; as many rows as the covariance has rank."""
    values, vectors = torch.linalg.eigh(covariance)
    is_real = values > len(values) * torch.finfo(torch.float64).eps * values[-1].clamp(min=0)
    return values[is_real].sqrt()[:, None] * vectors[:, is_real].T
