"""Blocks of the super-resolution U-Net (Saharia et al. 2022, "Imagen", appendix B.1: the Efficient U-Net; spec §3)."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from generatect.networks.gain_norm import GainNorm

_NUM_GROUPS = 8
_PIXELS_AT_ONCE = 8192  # that attend on a CPU: their logits stay in its cache; a GPU takes all


class MultiScaleConvolution(nn.Module):
    """Parallel convolutions of kernel 3, 7 and 15 that give half, a quarter and a quarter of the channels."""

    def __init__(self, *, width_in: int, width: int) -> None:
        super().__init__()
        widths = (width - 2 * (width // 4), width // 4, width // 4)
        self.branches = nn.ModuleList(
            nn.Conv2d(width_in, part, kernel, padding=kernel // 2)
            for part, kernel in zip(widths, (3, 7, 15), strict=True)
        )

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y x"]:
        """Features at three scales."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class CrossAttention(nn.Module):
    """Attention of pixels over condition tokens and one learned null token, which stands for "none of these".

    There are few tokens and many pixels, so the maps of queries and results are multiplied into keys and values first:
    q·k = x·(Wq k) and Wo·Σ p v = Σ p·(Wo v). With 41 tokens and heads of 64 that is less than half of the work.

    Args:
        width: of the pixels.
        token_width: of the condition tokens.
        heads: attention heads.
        dim_head: width of each.
    """

    def __init__(self, *, width: int, token_width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = GainNorm(width)
        self.null_key_value = nn.Parameter(torch.randn(2, dim_head))
        self.to_query = nn.Linear(width, heads * dim_head, bias=False)
        self.to_key_value = nn.Linear(token_width, 2 * heads * dim_head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, width, bias=False), GainNorm(width))

    def forward(self, pixels: Float[Tensor, "b n d"], tokens: Float[Tensor, "b k w"]) -> Float[Tensor, "b n d"]:
        """Update of the pixels, without the residual."""
        key_value = rearrange(self.to_key_value(tokens), "b k (two h d) -> two b h k d", two=2, h=self.heads)
        null = repeat(self.null_key_value.to(key_value.dtype), "two d -> two b h 1 d", b=len(pixels), h=self.heads)
        key, value = torch.cat([null, key_value], dim=3)
        out, out_norm = self.to_out
        query_weight = rearrange(self.to_query.weight, "(h d) w -> h d w", h=self.heads) * key.shape[-1] ** -0.5
        out_weight = rearrange(out.weight, "w (h d) -> h d w", h=self.heads)  # type: ignore[arg-type]
        to_logits = rearrange(torch.einsum("bhkd,hdw->bwhk", key, query_weight), "b w h k -> b w (h k)")
        to_result = rearrange(torch.einsum("bhkd,hdw->bhkw", value, out_weight), "b h k w -> b (h k) w")
        at_once = max(1, _PIXELS_AT_ONCE // len(pixels)) if pixels.device.type == "cpu" else pixels.shape[1]
        results = []
        for part in pixels.split(at_once, dim=1):
            logits = torch.bmm(self.norm(part), to_logits).unflatten(-1, (self.heads, -1))
            results.append(out_norm(torch.bmm(logits.softmax(dim=-1).flatten(-2).to(to_result.dtype), to_result)))
        return torch.cat(results, dim=1)


class GlobalContext(nn.Module):
    """A gate per channel from features pooled over the slice by learned weights (Cao et al. 2019, "GCNet")."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        hidden = max(3, width // 2)
        self.to_weights = nn.Conv2d(width, 1, 1)
        self.to_gate = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, width, 1), nn.Sigmoid())

    def forward(self, x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b d 1 1"]:
        """Gate in (0, 1)."""
        pixels = rearrange(x, "b d y x -> b (y x) d")
        logits = F.linear(pixels, self.to_weights.weight.flatten(1), self.to_weights.bias)  # a 1×1 convolution
        pooled = torch.bmm(pixels.mT, logits.softmax(dim=1).to(pixels.dtype))
        return self.to_gate(pooled[..., None])


def _overwritten(x: Tensor) -> Tensor | None:
    """Where the result goes that replaces `x`: its own memory, unless a gradient needs it (new memory costs a pass).

    A compiled network decides for itself, and cannot take in what is written into channels that lie last.
    """
    return None if torch.is_grad_enabled() or torch.compiler.is_compiling() else x


class NormedConvolution(nn.Module):
    """GroupNorm, optional modulation, SiLU, 3×3 convolution."""

    def __init__(self, *, width_in: int, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_NUM_GROUPS, width_in)
        self.convolution = nn.Conv2d(width_in, width, 3, padding=1)

    def forward(
        self,
        x: Float[Tensor, "b c y x"],
        scale: Float[Tensor, "b c 1 1"] | None = None,
        shift: Float[Tensor, "b c 1 1"] | None = None,
    ) -> Float[Tensor, "b d y x"]:
        """Convolved features, modulated by x·(scale + 1) + shift after the norm."""
        x = self.norm(x)
        if scale is not None and shift is not None:
            x = torch.addcmul(shift, x, scale + 1, out=_overwritten(x))
        return self.convolution(F.silu(x, inplace=not torch.is_grad_enabled()))


class ResidualBlock(nn.Module):
    """Two normed convolutions; the condition vector modulates the second.

    Args:
        width_in: channels that come in.
        width: channels that go out.
        vector_width: of the condition vector.
        attention: cross-attention between the convolutions, or None.
        gated: whether a global-context gate multiplies the result.
    """

    def __init__(
        self,
        *,
        width_in: int,
        width: int,
        vector_width: int,
        attention: CrossAttention | None = None,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.first = NormedConvolution(width_in=width_in, width=width)
        self.attention = attention
        self.to_modulation = nn.Linear(vector_width, 2 * width)
        self.second = NormedConvolution(width_in=width, width=width)
        self.gate = GlobalContext(width=width) if gated else None
        self.shortcut = nn.Conv2d(width_in, width, 1) if width_in != width else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c y x"], vector: Float[Tensor, "b w"], tokens: Float[Tensor, "b k e"]
    ) -> Float[Tensor, "b d y x"]:
        """Features under the condition; `tokens` count only where the block has attention."""
        h = self.first(x)
        if self.attention is not None:
            pixels = rearrange(h, "b d y x -> b (y x) d")
            h = h + rearrange(self.attention(pixels, tokens), "b (y x) d -> b d y x", y=h.shape[2])
        scale, shift = rearrange(self.to_modulation(F.silu(vector)), "b (two d) -> two b d 1 1", two=2)
        h = self.second(h, scale, shift)
        if self.gate is not None:
            return torch.addcmul(self.shortcut(x), h, self.gate(h), out=_overwritten(h))
        return h.add_(self.shortcut(x))


class PixelShuffleUpsample(nn.Module):
    """1×1 convolution, SiLU, pixel shuffle: twice the size.

    The four sub-pixels of a channel start equal, so that an untrained network shows no checkerboard (Aitken et al.
    2017).
    """

    def __init__(self, *, width_in: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width_in, 4 * width, 1)
        with torch.no_grad():
            first = nn.init.kaiming_uniform_(torch.empty(width, width_in, 1, 1))
            self.convolution.weight.copy_(repeat(first, "d ... -> (d four) ...", four=4))
            self.convolution.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y2 x2"]:
        """Features at twice the size."""
        return F.pixel_shuffle(F.silu(self.convolution(x)), 2)
