"""Perceiver resampler: a text of any length to a fixed, small number of tokens.

Alayrac et al. 2022 ("Flamingo"), §3.1, with the mean-pooled latents of the released model (spec §3).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from generatect.networks.gain_norm import GainNorm

NUM_POSITIONS = 512
_NUM_POOLED = 4


class PerceiverResampler(nn.Module):
    """Reads a sequence into `num_latents` learned latents and four that start as its mean.

    Args:
        width: of sequence and latents.
        num_latents: learned latents; the output has four more.
        depth: layers.
        heads: attention heads.
        dim_head: width of each.
    """

    def __init__(self, *, width: int, num_latents: int, depth: int = 2, heads: int = 8, dim_head: int = 64) -> None:
        super().__init__()
        self.positions = nn.Embedding(NUM_POSITIONS, width)
        self.latents = nn.Parameter(torch.randn(num_latents, width))
        self.pooled_latents = nn.Sequential(GainNorm(width), nn.Linear(width, _NUM_POOLED * width))
        self.layers = nn.ModuleList(PerceiverLayer(width=width, heads=heads, dim_head=dim_head) for _ in range(depth))

    def forward(self, sequence: Float[Tensor, "b l d"]) -> Float[Tensor, "b n d"]:
        """Latents after reading `sequence`, the pooled ones first; l ≤ 512. Every position counts: there is no mask."""
        pooled = rearrange(self.pooled_latents(sequence.mean(dim=1)), "b (n d) -> b n d", n=_NUM_POOLED)
        latents = torch.cat([pooled, self.latents.expand(len(sequence), -1, -1)], dim=1)
        sequence = sequence + self.positions.weight[: sequence.shape[1]]
        for layer in self.layers:
            latents = layer(latents, sequence)
        return latents


class PerceiverLayer(nn.Module):
    """Attention, then a feed-forward network, residual around each.

    Args:
        width: of sequence and latents.
        heads: attention heads.
        dim_head: width of each.
    """

    def __init__(self, *, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.attention = LatentAttention(width=width, heads=heads, dim_head=dim_head)
        self.feed_forward = nn.Sequential(
            GainNorm(width),
            nn.Linear(width, 4 * width, bias=False),
            nn.GELU(),
            GainNorm(4 * width),
            nn.Linear(4 * width, width, bias=False),
        )

    def forward(self, latents: Float[Tensor, "b n d"], sequence: Float[Tensor, "b l d"]) -> Float[Tensor, "b n d"]:
        """Latents that have read more of the sequence."""
        latents = latents + self.attention(latents, sequence)
        return latents + self.feed_forward(latents)


class LatentAttention(nn.Module):
    """Attention of latents over the sequence and themselves.

    Args:
        width: of sequence and latents.
        heads: attention heads.
        dim_head: width of each.
    """

    def __init__(self, *, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.latent_norm = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, heads * dim_head, bias=False)
        self.to_key_value = nn.Linear(width, 2 * heads * dim_head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, width, bias=False), nn.LayerNorm(width))

    def forward(self, latents: Float[Tensor, "b n d"], sequence: Float[Tensor, "b l d"]) -> Float[Tensor, "b n d"]:
        """Update of the latents, without the residual."""
        latents = self.latent_norm(latents)
        context = torch.cat([self.norm(sequence), latents], dim=1)
        query = rearrange(self.to_query(latents), "b n (h d) -> b h n d", h=self.heads)
        key, value = rearrange(self.to_key_value(context), "b n (two h d) -> two b h n d", two=2, h=self.heads)
        read = F.scaled_dot_product_attention(query, key, value)
        return self.to_out(rearrange(read, "b h n d -> b n (h d)"))
