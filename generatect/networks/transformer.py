"""The transformer of CT-ViT and MaskGIT: tokens stay on their grid, and attention runs along some of its axes."""

from typing import Literal

import torch.nn.functional as F
from einops import parse_shape, rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from generatect.networks.attention import CrossAttention, SelfAttention
from generatect.networks.compat import Compat, is_released

Axes = Literal["h w", "t", "t h w"]
SEQUENCES: dict[str, str] = {"h w": "(b t) (h w) d", "t": "(b h w) t d", "t h w": "b (t h w) d"}


class PositionConvolution(nn.Module):
    """Position encoding generator: a depthwise 3×3×3 convolution over the token grid (CPVT, arXiv:2102.10882).

    Args:
        dim: width of the tokens.
        causal: a slice sees itself and the two before it (CT-ViT) instead of one on either side (MaskGIT).
        scrambled: read the memory of `(b h w) t d` as if it were `b t h w d` (quirk 1 of the released CT-ViT).
    """

    def __init__(self, *, dim: int, causal: bool, scrambled: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.scrambled = scrambled
        self.conv = nn.Conv3d(dim, dim, 3, groups=dim, padding=(2 if causal else 1, 1, 1))

    def forward(self, tokens: Float[Tensor, "b t h w d"]) -> Float[Tensor, "b t h w d"]:
        """Convolve the grid, zeros around it."""
        if not self.scrambled:
            return self._convolve(tokens)
        columns = rearrange(tokens, "b t h w d -> b h w t d")
        mixed = self._convolve(columns.reshape(tokens.shape)).reshape(columns.shape)
        return rearrange(mixed, "b h w t d -> b t h w d")

    def _convolve(self, grid: Tensor) -> Tensor:
        # The width stays last in memory: this is torch's channels_last_3d, five times as fast as its default on a CPU.
        mixed = self.conv(grid.movedim(-1, 1)).movedim(1, -1)
        return mixed[:, : grid.shape[1]] if self.causal else mixed


class FeedForward(nn.Module):
    """Gated feed-forward with its pre-norm: value · GELU(gate) (GEGLU, arXiv:2002.05202), inner width ⌊8/3·dim⌋."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        inner = 8 * dim // 3
        self.norm = nn.LayerNorm(dim)
        self.to_hidden = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, tokens: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Transform every token by itself."""
        value, gate = self.to_hidden(self.norm(tokens)).chunk(2, dim=-1)
        return self.to_out(value * F.gelu(gate))


class TransformerLayer(nn.Module):
    """Position convolution, self-attention, cross-attention (with a context), feed-forward; a residual around each.

    Args are those of `Transformer`.
    """

    def __init__(
        self,
        *,
        dim: int,
        heads: int,
        dim_head: int,
        axes: Axes,
        causal: bool,
        context_width: int | None,
        compat: Compat,
    ) -> None:
        super().__init__()
        self.sequences = SEQUENCES[axes]
        self.position = PositionConvolution(dim=dim, causal=causal, scrambled=axes == "t" and is_released(compat))
        self.attention = SelfAttention(dim=dim, heads=heads, dim_head=dim_head, compat=compat)
        self.cross_attention = (
            None
            if context_width is None
            else CrossAttention(dim=dim, context_width=context_width, heads=heads, dim_head=dim_head)
        )
        self.feedforward = FeedForward(dim=dim)

    def forward(
        self,
        tokens: Float[Tensor, "b t h w d"],
        bias: Float[Tensor, "heads n n"] | None = None,
        context: Float[Tensor, "b l c"] | None = None,
        context_mask: Bool[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "b t h w d"]:
        """One layer."""
        sizes = parse_shape(tokens, "b t h w _")
        tokens = tokens + self.position(tokens)
        attended = self.attention(rearrange(tokens, f"b t h w d -> {self.sequences}"), bias)
        tokens = tokens + rearrange(attended, f"{self.sequences} -> b t h w d", **sizes)
        if self.cross_attention is not None:
            attended = self.cross_attention(rearrange(tokens, "b t h w d -> b (t h w) d"), context, context_mask)
            tokens = tokens + attended.reshape(tokens.shape)
        return tokens + self.feedforward(tokens)


class Transformer(nn.Module):
    """A stack of layers and a final norm.

    Args:
        dim: width of the tokens.
        depth: number of layers.
        heads: number of attention heads.
        dim_head: width of a head.
        axes: grid axes that one self-attention spans: a slice ("h w"), a column ("t") or the volume ("t h w").
        causal: whether the position convolution looks back along t instead of both ways. Attention is never causal.
        context_width: width of the context for cross-attention; None: no cross-attention. Only with axes "t h w".
        compat: see `generatect.networks.compat`.
    """

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        heads: int,
        dim_head: int,
        axes: Axes,
        causal: bool,
        context_width: int | None = None,
        compat: Compat = "mended",
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(
                dim=dim,
                heads=heads,
                dim_head=dim_head,
                axes=axes,
                causal=causal,
                context_width=context_width,
                compat=compat,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, bias=False)

    def forward(
        self,
        tokens: Float[Tensor, "b t h w d"],
        bias: Float[Tensor, "heads n n"] | None = None,
        context: Float[Tensor, "b l c"] | None = None,
        context_mask: Bool[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "b t h w d"]:
        """Run the layers.

        Args:
            tokens: the grid.
            bias: added to the logits of self-attention in every layer; n is the length of one attended sequence.
            context: what cross-attention reads, where the transformer has one.
            context_mask: true where the context holds something.
        """
        for layer in self.layers:
            tokens = layer(tokens, bias, context, context_mask)
        return self.norm(tokens)
