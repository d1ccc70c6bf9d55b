"""Continuous relative position bias: attention logits that depend on the offset between two tokens alone (spec §1)."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class ContinuousPositionBias(nn.Module):
    """A small MLP from the log-spaced signed offset (query - key, per axis) to one bias per head.

    Args:
        num_axes: axes of the token grid.
        heads: number of attention heads.
        hidden: width of the MLP's two hidden layers.
    """

    def __init__(self, *, num_axes: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.num_axes = num_axes
        self.net = nn.Sequential(
            nn.Linear(num_axes, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, heads),
        )

    def offset_table(self, grid: Sequence[int]) -> Float[Tensor, "h *offsets"]:
        """Bias of every distinct offset, each axis running from +(size - 1) down to -(size - 1)."""
        assert len(grid) == self.num_axes
        weight = next(self.parameters())
        axes = [torch.arange(size - 1, -size, -1, device=weight.device, dtype=weight.dtype) for size in grid]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        return self.net(offsets.sign() * offsets.abs().log1p()).movedim(-1, 0)

    def forward(self, grid: Sequence[int]) -> Float[Tensor, "h n n"]:
        """Bias of every query (dim 1) and key (dim 2) of a grid in row-major order.

        There are ∏(2·size - 1) distinct offsets for (∏ size)² pairs (45,225 for 41.8 million at released size), so the
        MLP sees each offset once. The rest is copying: from the last axis to the first, a table of blocks becomes a
        Toeplitz matrix of those blocks, in time close to that of copying the result once.
        """
        blocks = self.offset_table(grid)[..., None, None]
        for size in reversed(grid):
            windows = blocks.unfold(-3, size, 1)  # offsets fall along a window's keys, and from window to window
            rows = rearrange(windows, "... query rows columns key -> ... query rows key columns").flip(-4)
            blocks = rows.flatten(-2).flatten(-3, -2)
        return blocks
