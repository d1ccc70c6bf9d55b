"""Continuous relative position bias: attention logits that depend on the offset between two tokens alone (spec §1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

MAX_DENSE_BYTES = 1536 * 2**20  # 6,464 tokens × 8 heads in fp32 just fit


@dataclass(frozen=True)
class RelativeBias:
    """Bias of every pair of tokens of a grid, kept once per pair of places within slices and offset between slices.

    A query at place i of slice s and a key at place j of slice t meet `blocks[:, i, t - s + num_slices - 1, j]`. At
    released size that is 26 MB in fp32, where a number for each pair of tokens takes 1.34 GB. The first axis of the
    grid is that of the slices, whatever it stands for.

    Attributes:
        blocks: bias by head, query's place, offset of the key's slice (from -(num_slices - 1) up) and key's place.
        max_dense_bytes: attention makes no larger matrix of every pair than this, see `attend`.
    """

    blocks: Float[Tensor, "h i u j"]
    max_dense_bytes: int = MAX_DENSE_BYTES

    @property
    def num_slices(self) -> int:
        """Slices of the grid."""
        return (self.blocks.shape[2] + 1) // 2

    @property
    def dense_bytes(self) -> int:
        """Size of `dense`."""
        heads, places = self.blocks.shape[:2]
        return heads * (places * self.num_slices) ** 2 * self.blocks.element_size()

    def of_slice(self, index: int) -> Float[Tensor, "h i n"]:
        """Bias of the queries of one slice and all keys: a view, which costs nothing."""
        last = self.num_slices - 1
        return self.blocks[:, :, last - index : 2 * last + 1 - index].flatten(2)

    @cached_property
    def dense(self) -> Float[Tensor, "h n n"]:
        """Bias of every query and key; made at its first use, in the time of copying it once."""
        return torch.cat([self.of_slice(index) for index in range(self.num_slices)], dim=1)

    def to(self, dtype: torch.dtype) -> "RelativeBias":
        """The same in another precision."""
        return self if self.blocks.dtype == dtype else RelativeBias(self.blocks.to(dtype), self.max_dense_bytes)


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

    def forward(self, grid: Sequence[int], max_dense_bytes: int = MAX_DENSE_BYTES) -> RelativeBias:
        """Bias between the tokens of a grid in row-major order; `max_dense_bytes` is that of `RelativeBias`.

        There are ∏(2·size - 1) distinct offsets for (∏ size)² pairs (45,225 for 41.8 million at released size), so the
        MLP sees each offset once. The rest is copying: from the last axis to the second, a table of blocks becomes a
        Toeplitz matrix of those blocks. The first axis stays a table, see `RelativeBias`.
        """
        with torch.autocast(next(self.parameters()).device.type, enabled=False):  # few offsets, each of many pairs
            blocks = self.offset_table(grid)[..., None, None]
        for size in reversed(grid[1:]):
            windows = blocks.unfold(-3, size, 1)  # offsets fall along a window's keys, and from window to window
            rows = rearrange(windows, "... query rows columns key -> ... query rows key columns").flip(-4)
            blocks = rows.flatten(-2).flatten(-3, -2)
        return RelativeBias(rearrange(blocks, "h u i j -> h i u j").contiguous(), max_dense_bytes)
