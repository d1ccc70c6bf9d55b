"""Levels of the super-resolution U-Net, down and up (spec §3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from generatect.networks.unet_blocks import CrossAttention, PixelShuffleUpsample, ResidualBlock

_SKIP_SCALE = 2**-0.5


class DownLevel(nn.Module):
    """Halves the size, then blocks; each gated block leaves a skip, the last one twice."""

    def __init__(
        self, *, width_in: int, width: int, vector_width: int, num_gated: int, attention: CrossAttention | None
    ) -> None:
        super().__init__()
        self.downsample = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * width_in, width, 1))
        self.entry = ResidualBlock(width_in=width, width=width, vector_width=vector_width, attention=attention)
        self.gated = nn.ModuleList(
            ResidualBlock(width_in=width, width=width, vector_width=vector_width, gated=True) for _ in range(num_gated)
        )

    def forward(
        self, x: Float[Tensor, "b c y x"], vector: Float[Tensor, "b w"], tokens: Float[Tensor, "b k e"]
    ) -> tuple[Float[Tensor, "b d y2 x2"], list[Float[Tensor, "b d y2 x2"]]]:
        """Features and skips."""
        x = self.entry(self.downsample(x), vector, tokens)
        skips = []
        for block in self.gated:
            x = block(x, vector, tokens)
            skips.append(x)
        return x, [*skips, x]


class UpLevel(nn.Module):
    """Blocks that each take a skip, last in, first out; then doubles the size."""

    def __init__(
        self, *, width: int, width_out: int, vector_width: int, num_gated: int, attention: CrossAttention | None
    ) -> None:
        super().__init__()
        self.entry = ResidualBlock(width_in=2 * width, width=width, vector_width=vector_width, attention=attention)
        self.gated = nn.ModuleList(
            ResidualBlock(width_in=2 * width, width=width, vector_width=vector_width, gated=True)
            for _ in range(num_gated)
        )
        self.upsample = PixelShuffleUpsample(width_in=width, width=width_out)

    def forward(
        self,
        x: Float[Tensor, "b d y x"],
        skips: list[Float[Tensor, "b d y x"]],
        vector: Float[Tensor, "b w"],
        tokens: Float[Tensor, "b k e"],
    ) -> Float[Tensor, "b c y2 x2"]:
        """Features at twice the size."""
        for block, skip in zip([self.entry, *self.gated], reversed(skips), strict=True):
            x = block(torch.cat([x, skip * _SKIP_SCALE], dim=1), vector, tokens)
        return self.upsample(x)
