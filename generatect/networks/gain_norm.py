"""Layer norm with a gain and no bias."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class GainNorm(nn.Module):
    """Layer norm over the last axis with a learned gain; ε is 1e-5 in fp32 and 1e-3 in half precision (spec §3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*s d"]) -> Float[Tensor, "*s d"]:
        """Normalised `x`."""
        eps = 1e-3 if torch.finfo(x.dtype).bits < 32 else 1e-5
        return F.layer_norm(x, self.gain.shape, self.gain.to(x.dtype), eps=eps)
