"""Classifier-free guidance (Ho & Salimans 2022)."""

from collections.abc import Callable

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor


def guided(
    conditional: Float[Tensor, "*shape"], unconditional: Float[Tensor, "*shape"], scale: float
) -> Float[Tensor, "*shape"]:
    """Guided score u + scale · (c - u): 0 ignores the text, 1 follows it, above 1 exaggerates it."""
    return torch.lerp(unconditional, conditional, scale)


def guided_scores(
    network: Callable[..., Tensor],
    ids: Int[Tensor, "b t h w"],
    text_features: Float[Tensor, "b l d"],
    text_mask: Bool[Tensor, "b l"],
    scale: float,
) -> Float[Tensor, "b t h w *v"]:
    """Output of a token network under guidance, with and without text in one batch of twice the size.

    Args:
        network: (ids, text_features, text_mask, drop_text) → one score (token critic) or v logits (MaskGIT) per token.
        ids: tokens, some of them masked.
        text_features: text, zero where `text_mask` is False.
        text_mask: True at real text tokens.
        scale: guidance; at 1 the unconditional half is not evaluated at all.
    """
    if scale == 1:
        return network(ids, text_features, text_mask, None)
    drop_text = torch.arange(2 * len(ids), device=ids.device) >= len(ids)
    doubled = (repeat(tensor, "b ... -> (two b) ...", two=2) for tensor in (ids, text_features, text_mask))
    conditional, unconditional = network(*doubled, drop_text).chunk(2)
    return guided(conditional, unconditional, scale)
