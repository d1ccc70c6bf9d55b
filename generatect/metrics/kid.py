"""Kernel Inception Distance: the squared maximum mean discrepancy of features, unbiased at any number of items.

Bińkowski et al. 2018, "Demystifying MMD GANs": kernel k(x, y) = (xᵀy / d + 1)³. Where items are fewer than features are
wide, a Fréchet distance is mostly its own bias; this one is not, and may come out below zero.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from generatect.errors import InputError

DEGREE = 3


def polynomial_kernel(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float64[Tensor, "n m"]:
    """(xᵀy / d + 1)³ of every pair, in float64."""
    return (x.double() @ y.double().T / x.shape[1] + 1) ** DEGREE


def mmd_squared(
    within_x: Float64[Tensor, "n n"], within_y: Float64[Tensor, "m m"], across: Float64[Tensor, "n m"]
) -> float:
    """Unbiased squared MMD from kernel values (Gretton et al. 2012, eq. 3): no item is paired with itself.

    Raises:
        InputError: fewer than two items in a set.
    """
    n, m = across.shape
    if min(n, m) < 2:
        raise InputError(f"KID of {n} and {m} items: expected at least 2 in each set")
    own = [(kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1)) for kernel in (within_x, within_y)]
    return (own[0] + own[1] - 2 * across.mean()).item()


def kid(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Unbiased squared MMD of two sets of features with the cubic kernel.

    Raises:
        InputError: fewer than two items in a set.
    """
    return mmd_squared(polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y))


def kid_of_subsets(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    subset_size: int,
    num_subsets: int,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """KID as it is published for large sets: mean and standard deviation over random subsets, drawn without repeats.

    Args:
        x: features of one set.
        y: features of the other.
        subset_size: items of each set in a subset; 1,000 in the paper.
        num_subsets: 100 in the paper.
        generator: of the draws.

    Raises:
        InputError: a set with fewer items than a subset takes.
    """
    if not 2 <= subset_size <= min(len(x), len(y)):
        raise InputError(
            f"subset_size={subset_size}: expected 2 to {min(len(x), len(y))}, the items of the smaller set"
        )
    values = []
    for _ in range(num_subsets):
        i, j = (torch.from_numpy(generator.permutation(len(part))[:subset_size]) for part in (x, y))
        values.append(kid(x[i], y[j]))
    return float(np.mean(values)), float(np.std(values))
