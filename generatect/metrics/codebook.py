"""How much of a codebook is in use."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class CodebookUse(NamedTuple):
    """Use of a codebook over some volumes.

    Attributes:
        used: share of the codes that occur at all.
        perplexity: exp of the entropy of the codes' frequencies: the number of codes in even use, 1..num_codes.
    """

    used: float
    perplexity: float


def codebook_use(counts: Float[Tensor, " k"] | Int[Tensor, " k"]) -> CodebookUse:
    """Use of a codebook whose code i occurred `counts[i]` times."""
    share = counts.double() / counts.sum()
    entropy = torch.special.entr(share).sum()
    return CodebookUse((counts > 0).double().mean().item(), entropy.exp().item())
