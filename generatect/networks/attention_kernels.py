"""How attention with a position bias is computed: the same numbers in three ways, and the choice between them.

Flash kernels take no bias on a GPU, and on a CPU none that learns, so no single kernel serves. `benchmarks/speed.py`
measures the ways against each other; docs/performance.md has the figures behind the choice.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from generatect.networks.position_bias import RelativeBias

MAX_LEARNING_DENSE_BYTES = 32 * 2**20  # on a CPU, where a bias that learns costs several such matrices in each layer


def attend(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    bias: RelativeBias | None,
    *,
    scale: float,
) -> Float[Tensor, "b h n d"]:
    """softmax(scale · q kᵀ + bias) v by the fastest way that fits.

    Args:
        q: queries.
        k: keys.
        v: values.
        bias: of every pair, the same for all items of the batch; None: no bias.
        scale: of the products.
    """
    if bias is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    if torch.is_autocast_enabled(q.device.type):  # as torch would do itself
        dtype = torch.get_autocast_dtype(q.device.type)
        q, k, v, bias = q.to(dtype), k.to(dtype), v.to(dtype), bias.to(dtype)
    learns = torch.is_grad_enabled() and bias.blocks.requires_grad
    if learns and q.device.type == "cpu" and bias.dense_bytes > MAX_LEARNING_DENSE_BYTES:
        return attend_recomputing(q, k, v, bias, scale)
    if bias.dense_bytes <= bias.max_dense_bytes:
        return attend_densely(q, k, v, bias, scale)
    return attend_recomputing(q, k, v, bias, scale) if learns else attend_by_slices(q, k, v, bias, scale)


def attend_densely(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    bias: RelativeBias,
    scale: float,
) -> Float[Tensor, "b h n d"]:
    """One fused kernel over the bias of every pair: the fastest, if that matrix fits and does not learn on a CPU."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.dense[None], scale=scale)


def attend_by_slices(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    bias: RelativeBias,
    scale: float,
) -> Float[Tensor, "b h n d"]:
    """A fused kernel per slice of queries, whose bias is a view: no matrix of every pair, and the same numbers."""
    slices = q.chunk(bias.num_slices, dim=2)
    parts = [
        F.scaled_dot_product_attention(queries, k, v, attn_mask=bias.of_slice(index)[None], scale=scale)
        for index, queries in enumerate(slices)
    ]
    return torch.cat(parts, dim=2)


def attend_recomputing(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    bias: RelativeBias,
    scale: float,
) -> Float[Tensor, "b h n d"]:
    """`attend_by_slices` with gradients: the backward pass computes the weights of each slice again, and keeps none.

    Differentiable once.
    """
    return _Recomputing.apply(q, k, v, bias.blocks, scale)  # type: ignore[return-value]


class _Recomputing(torch.autograd.Function):
    """Backward pass of Dao et al. 2022 ("FlashAttention"), appendix B.2, with the gradient of the bias added."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, blocks: Tensor, scale: float) -> Tensor:
        out = attend_by_slices(q, k, v, RelativeBias(blocks), scale)
        ctx.save_for_backward(q, k, v, blocks, out)
        ctx.scale = scale
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        q, k, v, blocks, out = ctx.saved_tensors
        bias = RelativeBias(blocks)
        last = bias.num_slices - 1
        grad_q = torch.empty_like(q)
        sums = torch.promote_types(q.dtype, torch.float32)
        grad_k, grad_v, grad_blocks = (torch.zeros_like(x, dtype=sums) for x in (k, v, blocks))
        chunks = zip(*(x.chunk(bias.num_slices, dim=2) for x in (q, out, grad_out, grad_q)), strict=True)
        for index, (queries, result, grad, grad_queries) in enumerate(chunks):
            logits = torch.matmul(queries * ctx.scale, k.mT).add_(bias.of_slice(index))
            weights = logits.softmax(dim=-1)
            grad_v += weights.mT @ grad
            # through the softmax: dS = P ∘ (dP - rowsum(dO ∘ O))
            grad_logits = (grad @ v.mT).sub_((grad * result).sum(-1, keepdim=True)).mul_(weights)
            grad_queries.copy_(grad_logits @ k).mul_(ctx.scale)
            grad_k += (grad_logits.mT @ queries).mul_(ctx.scale)
            window = grad_blocks[:, :, last - index : 2 * last + 1 - index]
            window += grad_logits.sum(0).unflatten(2, (bias.num_slices, -1))
        return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), grad_blocks.to(blocks.dtype), None
