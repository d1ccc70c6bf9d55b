"""The space in which volumes lie near each other or far apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

NUM_COMPONENTS = 60
"""Directions kept; the others hold little but noise."""


@dataclass(frozen=True)
class Space:
    """The directions along which volumes differ most.

    Attributes:
        mean: of the features.
        axes: orthonormal, one a column.
    """

    mean: Float64[np.ndarray, "d"]
    axes: Float64[np.ndarray, "d k"]

    @classmethod
    def of(cls, features: Float64[np.ndarray, "n d"], num_components: int = NUM_COMPONENTS) -> "Space":
        """Principal components of all volumes that take part.

        All alike: training volumes alone would lie better in their own components than held-out ones, and be told from
        them by that.
        """
        mean = features.mean(0)
        centred = features - mean
        num = min(num_components, len(features) - 1, features.shape[1])
        if len(features) > features.shape[1]:
            return cls(mean, np.linalg.eigh(centred.T @ centred)[1][:, -num:])
        weights, vectors = np.linalg.eigh(centred @ centred.T)
        kept = weights[-num:] > 1e-12 * weights[-1]  # volumes that are the same span no direction
        axes = centred.T @ vectors[:, -num:][:, kept]
        return cls(mean, axes / np.linalg.norm(axes, axis=0))

    def place(self, features: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n k"]:
        """Where volumes lie."""
        return (features - self.mean) @ self.axes


def distances(first: Float64[np.ndarray, "n k"], second: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, "n m"]:
    """Euclidean distance of every pair."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0))


def nearest(
    apart: Float64[np.ndarray, "n m"], allowed: Bool[np.ndarray, "n m"] | None = None
) -> tuple[Int64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Index and distance of each row's nearest column.

    Args:
        apart: distances.
        allowed: which pairs count; None: all.
    """
    among = apart if allowed is None else np.where(allowed, apart, np.inf)
    indices = among.argmin(1)
    return indices, among[np.arange(len(among)), indices]
