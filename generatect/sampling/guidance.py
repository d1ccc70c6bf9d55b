"""Classifier-free guidance (Ho & Salimans 2022)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class PreparesItself(Protocol):
    """A token network that reads text and grid once for all steps of a generation."""

    def prepare(
        self, token_grid: Sequence[int], text_features: Tensor, text_mask: Tensor, *, guided: bool
    ) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Two functions: of ids to features, and the affine one of features to scores.

        Under guidance, features with text stand before those without: "b t h w" → "2b t h w d".
        """
        ...


class GuidedNetwork(NamedTuple):
    """A token network under guidance, ready for the steps of a generation.

    Attributes:
        features: ids "b t h w" → guided features "b t h w d".
        to_scores: features "… d" → one score (token critic) or v logits (MaskGIT) for each; affine, so it is the same
            before and after guidance, and is called where scores are needed alone.
    """

    features: Callable[[Tensor], Tensor]
    to_scores: Callable[[Tensor], Tensor]


def guided(
    conditional: Float[Tensor, "*shape"], unconditional: Float[Tensor, "*shape"], scale: float
) -> Float[Tensor, "*shape"]:
    """Guided score u + scale · (c - u): 0 ignores the text, 1 follows it, above 1 exaggerates it."""
    return torch.lerp(unconditional, conditional, scale)


def prepare_guided(
    network: Callable[..., Tensor],
    token_grid: Sequence[int],
    text_features: Float[Tensor, "b l d"],
    text_mask: Bool[Tensor, "b l"],
    scale: float,
) -> GuidedNetwork:
    """A network, its text and its guidance as one function of the ids.

    With and without text make one batch of twice the size; what does not depend on the text is computed once, if the
    network knows how (`PreparesItself`).

    Args:
        network: (ids, text_features, text_mask, drop_text) → scores "b t h w *v".
        token_grid: (t, h, w) of the ids.
        text_features: text, zero where `text_mask` is False.
        text_mask: True at real text tokens.
        scale: guidance; at 1 the unconditional half is not evaluated at all.
    """
    is_guided = scale != 1
    if isinstance(network, PreparesItself):
        features, to_scores = network.prepare(token_grid, text_features, text_mask, guided=is_guided)
    else:
        features, to_scores = _plain(network, text_features, text_mask, is_guided), _same
    if not is_guided:
        return GuidedNetwork(features, to_scores)

    def guided_features(ids: Tensor) -> Tensor:
        conditional, unconditional = features(ids).chunk(2)
        return guided(conditional, unconditional, scale)

    return GuidedNetwork(guided_features, to_scores)


def _plain(
    network: Callable[..., Tensor], text_features: Tensor, text_mask: Tensor, is_guided: bool
) -> Callable[[Tensor], Tensor]:
    if not is_guided:
        return lambda ids: network(ids, text_features, text_mask, None)
    num = len(text_features)
    drop_text = torch.arange(2 * num, device=text_features.device) >= num
    texts = [repeat(tensor, "b ... -> (two b) ...", two=2) for tensor in (text_features, text_mask)]
    return lambda ids: network(repeat(ids, "b ... -> (two b) ...", two=2), *texts, drop_text)


def _same(scores: Tensor) -> Tensor:
    return scores
