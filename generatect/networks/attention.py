"""Cosine attention (spec §1): L2-normalised queries and keys, a learned gain per channel, logits times 8."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from generatect.networks.attention_kernels import attend
from generatect.networks.compat import Compat, is_released
from generatect.networks.position_bias import RelativeBias

LOGIT_SCALE = 8.0
NUM_NULL = 2


class SelfAttention(nn.Module):
    """Multi-head cosine self-attention with its pre-norm and without the residual.

    Args:
        dim: width of the tokens.
        heads: number of heads.
        dim_head: width of a head.
        compat: "released" takes keys and values from the un-normed input (quirk 2).
    """

    def __init__(self, *, dim: int, heads: int, dim_head: int, compat: Compat = "mended") -> None:
        super().__init__()
        self.heads = heads
        self.norms_key_values = not is_released(compat)
        self.norm = nn.LayerNorm(dim, bias=False)
        self.to_q = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_kv = nn.Linear(dim, 2 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)
        self.q_scale = nn.Parameter(torch.ones(dim_head))
        self.k_scale = nn.Parameter(torch.ones(dim_head))

    def forward(self, tokens: Float[Tensor, "b n d"], bias: RelativeBias | None = None) -> Float[Tensor, "b n d"]:
        """Attend within each sequence; `bias` is added to the logits of every item."""
        normed = self.norm(tokens)
        q = rearrange(self.to_q(normed), "b n (h d) -> b h n d", h=self.heads)
        kv = self.to_kv(normed if self.norms_key_values else tokens)
        k, v = rearrange(kv, "b n (two h d) -> two b h n d", two=2, h=self.heads)
        q, k = F.normalize(q, dim=-1) * self.q_scale, F.normalize(k, dim=-1) * self.k_scale
        out = attend(q, k, v, bias, scale=LOGIT_SCALE)
        return self.to_out(rearrange(out, "b h n d -> b n (h d)"))


class Context(NamedTuple):
    """A context as one cross-attention reads it, which does not depend on the tokens: it serves all steps.

    Attributes:
        keys: null keys first.
        values: likewise.
        attended: true where a key may be looked at.
    """

    keys: Float[Tensor, "b h m d"]
    values: Float[Tensor, "b h m d"]
    attended: Bool[Tensor, "b 1 1 m"]


class CrossAttention(nn.Module):
    """Multi-head cosine attention from tokens to a context, with its pre-norms and without the residual.

    Two learned null pairs stand before the context and are never masked: an item whose context is empty or wholly
    masked attends to them alone, which is what "unconditional" means here.

    Args:
        dim: width of the tokens.
        context_width: width of the context.
        heads: number of heads.
        dim_head: width of a head.
    """

    def __init__(self, *, dim: int, context_width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim, bias=False)
        self.context_norm = nn.LayerNorm(context_width, bias=False)
        self.to_q = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_kv = nn.Linear(context_width, 2 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)
        self.q_scale = nn.Parameter(torch.ones(dim_head))
        self.k_scale = nn.Parameter(torch.ones(dim_head))
        self.null_kv = nn.Parameter(torch.randn(heads, 2 * NUM_NULL, dim_head))  # key 0, value 0, key 1, value 1

    def read(self, context: Float[Tensor, "b l c"], mask: Bool[Tensor, "b l"]) -> Context:
        """What the tokens will attend to: the context positions where `mask` is true, and the null pairs."""
        kv = rearrange(self.to_kv(self.context_norm(context)), "b l (two h d) -> two b h l d", two=2, h=self.heads)
        null = repeat(self.null_kv, "h (m two) d -> two b h m d", two=2, b=len(context))
        k, v = torch.cat((null.to(kv), kv), dim=-2)
        attended = F.pad(mask, (NUM_NULL, 0), value=True)[:, None, None, :]
        return Context(F.normalize(k, dim=-1) * self.k_scale, v, attended)

    def forward(self, tokens: Float[Tensor, "b n d"], context: Context) -> Float[Tensor, "b n d"]:
        """Attend to what `read` gave for the same items."""
        q = rearrange(self.to_q(self.norm(tokens)), "b n (h d) -> b h n d", h=self.heads)
        q = F.normalize(q, dim=-1) * self.q_scale
        out = F.scaled_dot_product_attention(
            q, context.keys, context.values, attn_mask=context.attended, scale=LOGIT_SCALE
        )
        return self.to_out(rearrange(out, "b h n d -> b n (h d)"))
