"""The original's way of computing, on this package's networks and weights: what the speed-ups are measured against.

Within `plain()` the networks compute what they always do, as GenerateCT's code does it: the position bias by an MLP
over every pair of tokens, in every pass; attention as two products with the whole matrix of weights between them; grids
and pixels channels first in memory; the quantiser by one similarity matrix and a one-hot matrix. The functions below do
the same for whole steps: guidance in two passes, logits of every position, one slice at a time with its text read anew.
Written from the papers and from the original's described behaviour; outputs are compared before anything is timed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from generatect.networks import attention, perceiver, quantizer, unet_blocks
from generatect.networks.position_bias import ContinuousPositionBias, RelativeBias
from generatect.networks.quantizer import CosineQuantizer, QuantizerOutput
from generatect.networks.transformer import FeedForward, PositionConvolution
from generatect.networks.unet import SuperResUNet


class PairwiseBias(RelativeBias):
    """A bias that holds the matrix of every pair itself."""

    @property
    def dense(self) -> Tensor:
        """Bias "h n n"."""
        return self.blocks


def pairwise_bias(net: torch.nn.Module, grid: tuple[int, ...]) -> Tensor:
    """The MLP over the offset of every pair of tokens, "h n n"."""
    positions = torch.stack(torch.meshgrid(*map(torch.arange, grid), indexing="ij")).flatten(1).T.float()
    offsets = positions[:, None] - positions[None, :]
    return net(offsets.sign() * (offsets.abs() + 1).log()).permute(2, 0, 1)


def einsum_attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Logits, mask or bias, softmax, product: each a tensor of its own."""
    logits = torch.einsum("bhid,bhjd->bhij", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        logits = logits.masked_fill(~attn_mask, torch.finfo(logits.dtype).min)
    elif attn_mask is not None:
        logits = logits + attn_mask
    return torch.einsum("bhij,bhjd->bhid", logits.softmax(dim=-1), v)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: RelativeBias | None, *, scale: float) -> Tensor:
    return einsum_attention(q, k, v, None if bias is None else bias.dense, scale)


def _bias(self: ContinuousPositionBias, grid: tuple[int, ...], max_dense_bytes: int = 0) -> RelativeBias:
    return PairwiseBias(pairwise_bias(self.net, tuple(grid)))


def _convolve_channels_first(self: PositionConvolution, grid: Tensor) -> Tensor:
    mixed = self.conv(rearrange(grid, "b t h w d -> b d t h w").contiguous())
    mixed = mixed[:, :, : grid.shape[1]] if self.causal else mixed
    return rearrange(mixed, "b d t h w -> b t h w d").contiguous()


def _feed_forward(self: FeedForward, tokens: Tensor) -> Tensor:
    value, gate = self.to_hidden(self.norm(tokens)).chunk(2, dim=-1)
    return self.to_out(value * F.gelu(gate))


def quantize_one_hot(self: CosineQuantizer, tokens: Tensor) -> QuantizerOutput:
    """All similarities at once, a one-hot row per token, and the codebook's averages as a product with those rows."""
    flat = F.normalize(tokens.detach().float(), dim=-1).flatten(0, 1)
    similarity = flat @ F.normalize(self.codebook, dim=-1).T
    ids = similarity.argmax(dim=-1)
    one_hot = F.one_hot(ids, self.num_codes).type(flat.dtype)
    rows = self.codebook[ids].view(tokens.shape)
    counts = one_hot.sum(0)
    if self.training:
        self.update(counts, one_hot.T @ flat, self.codebook)
    commitment = F.mse_loss(tokens.float(), rows)
    perplexity = torch.special.entr(counts / counts.sum()).sum().exp()
    return QuantizerOutput(tokens + (rows - tokens).detach(), ids.view(tokens.shape[:2]), commitment, perplexity)


def _cross_attention(self: unet_blocks.CrossAttention, pixels: Tensor, tokens: Tensor) -> Tensor:
    query = rearrange(self.to_query(self.norm(pixels)), "b n (h d) -> b h n d", h=self.heads)
    key_value = rearrange(self.to_key_value(tokens), "b k (two h d) -> two b h k d", two=2, h=self.heads)
    null = repeat(self.null_key_value, "two d -> two b h 1 d", b=len(pixels), h=self.heads)
    key, value = torch.cat([null, key_value], dim=3)
    return self.to_out(rearrange(einsum_attention(query, key, value), "b h n d -> b n (h d)"))


def _global_context(self: unet_blocks.GlobalContext, x: Tensor) -> Tensor:
    weights = self.to_weights(x).flatten(2).softmax(dim=-1)
    return self.to_gate(torch.einsum("bdn,bkn->bdk", x.flatten(2), weights)[..., None])


def _normed_convolution(
    self: unet_blocks.NormedConvolution, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    x = self.norm(x)
    if scale is not None and shift is not None:
        x = x * (scale + 1) + shift
    return self.convolution(F.silu(x))


def _multi_scale(self: unet_blocks.MultiScaleConvolution, x: Tensor) -> Tensor:
    return torch.cat([branch(x.contiguous()) for branch in self.branches], dim=1)


PATCHES: dict[tuple[Any, str], Callable[..., Any]] = {
    (attention, "attend"): _attend,
    (attention.F, "scaled_dot_product_attention"): einsum_attention,
    (perceiver.F, "scaled_dot_product_attention"): einsum_attention,
    (ContinuousPositionBias, "forward"): _bias,
    (PositionConvolution, "_convolve"): _convolve_channels_first,
    (FeedForward, "forward"): _feed_forward,
    (quantizer.CosineQuantizer, "forward"): quantize_one_hot,
    (unet_blocks.CrossAttention, "forward"): _cross_attention,
    (unet_blocks.GlobalContext, "forward"): _global_context,
    (unet_blocks.NormedConvolution, "forward"): _normed_convolution,
    (unet_blocks.MultiScaleConvolution, "forward"): _multi_scale,
}


@contextmanager
def plain() -> Iterator[None]:
    """Computes the original's way while it lasts."""
    before = {place: getattr(*place) for place in PATCHES}
    try:
        for (owner, name), function in PATCHES.items():
            setattr(owner, name, function)
        yield
    finally:
        for (owner, name), function in before.items():
            setattr(owner, name, function)


def guided_token_step(maskgit: Any, ids: Tensor, features: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Guided logits of every position: one pass with the text, one without, each with its own bias."""
    with plain():
        conditional = maskgit(ids, features, mask)
        unconditional = maskgit(ids, features, torch.zeros_like(mask))
    return unconditional + scale * (conditional - unconditional)


def unet_evaluation(unet: SuperResUNet, noisy: Tensor, lowres: Tensor, log_snr: Tensor, features: Tensor) -> Tensor:
    """Velocities slice by slice, each reading the text again."""
    with plain():
        parts = [
            unet(noisy[i : i + 1], log_snr[i : i + 1], lowres[i : i + 1], log_snr[i : i + 1], features)
            for i in range(len(noisy))
        ]
    return torch.cat(parts)
