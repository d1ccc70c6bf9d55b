"""The transformer of CT-ViT and MaskGIT: tokens stay on their grid, and attention runs along some of its axes."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import parse_shape, rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from generatect.networks.attention import Context, CrossAttention, SelfAttention
from generatect.networks.compat import Compat, is_released
from generatect.networks.position_bias import RelativeBias

_ALIGNED = 16  # numbers of fp32 in a cache line; tensor cores want a multiple of 8
_TOKENS_PER_CHUNK = 1024  # on a CPU, whose caches then keep the hidden layer

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
    """Gated feed-forward with its pre-norm: value · GELU(gate) (GEGLU, arXiv:2002.05202), inner width ⌊8/3·dim⌋.

    That width is odd at published size (1,365), which products of matrices dislike: zeros fill it up for computing.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        inner = 8 * dim // 3
        self.padding = -inner % _ALIGNED
        self.norm = nn.LayerNorm(dim)
        self.to_hidden = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, tokens: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Transform every token by itself."""
        to_value_and_gate = F.pad(self.to_hidden.weight.unflatten(0, (2, -1)), (0, 0, 0, self.padding)).flatten(0, 1)
        to_out = F.pad(self.to_out.weight, (0, self.padding))
        normed = self.norm(tokens).flatten(0, -2)
        is_whole = normed.requires_grad or normed.device.type != "cpu"
        results = []
        for chunk in normed.split(len(normed) if is_whole else _TOKENS_PER_CHUNK):
            value, gate = F.linear(chunk, to_value_and_gate).chunk(2, dim=-1)
            results.append(F.linear(value * F.gelu(gate), to_out))
        return torch.cat(results).view(tokens.shape)


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
        bias: RelativeBias | None = None,
        context: Context | None = None,
    ) -> Float[Tensor, "b2 t h w d"]:
        """One layer; see `Transformer.forward`."""
        sizes = parse_shape(tokens, "b t h w _")
        tokens = tokens + self.position(tokens)
        attended = self.attention(rearrange(tokens, f"b t h w d -> {self.sequences}"), bias)
        tokens = tokens + rearrange(attended, f"{self.sequences} -> b t h w d", **sizes)
        if self.cross_attention is not None:
            assert context is not None, "cross-attention without a context"
            if len(context.keys) > len(tokens):  # until here nothing depends on the context
                tokens = repeat(tokens, "b ... -> (times b) ...", times=len(context.keys) // len(tokens))
            attended = self.cross_attention(rearrange(tokens, "b t h w d -> b (t h w) d"), context)
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

    def read(self, context: Float[Tensor, "b l c"], mask: Bool[Tensor, "b l"]) -> list[Context]:
        """The context as each layer's cross-attention takes it; `mask` is true where it holds something."""
        return [layer.cross_attention.read(context, mask) for layer in self.layers]  # type: ignore[union-attr,operator]

    def forward(
        self,
        tokens: Float[Tensor, "b t h w d"],
        bias: RelativeBias | None = None,
        contexts: Sequence[Context] | None = None,
    ) -> Float[Tensor, "b2 t h w d"]:
        """Run the layers.

        Args:
            tokens: the grid.
            bias: added to the logits of self-attention in every layer, between the tokens of one attended sequence.
            contexts: what `read` gave, where the transformer has cross-attention. For a multiple of the items, each
                item meets the first context of every round, and so on (guidance: all with text, then all without);
                what comes before the first cross-attention is computed once for them all.
        """
        for layer, context in zip(self.layers, contexts or [None] * len(self.layers), strict=True):
            tokens = layer(tokens, bias, context)
        return self.norm(tokens)
