"""A token network made ready for one generation."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Prepared(NamedTuple):
    """A network in two parts, what it reads of the text and of the grid computed once.

    Attributes:
        features: ids "b t h w" → features "b t h w d"; under guidance of twice the batch, with text and then without.
        to_scores: features "… d" → scores "…" or "… v". An affine map: guided features give guided scores, and it is
            needed only where scores are.
    """

    features: Callable[[Tensor], Tensor]
    to_scores: Callable[[Tensor], Tensor]


def twice(
    text_features: Float[Tensor, "b l c"], text_mask: Bool[Tensor, "b l"], *, guided: bool
) -> tuple[Float[Tensor, "b2 l c"], Bool[Tensor, "b2 l"]]:
    """Texts and masks, under guidance followed by the same texts with nothing to be seen."""
    if not guided:
        return text_features, text_mask
    return torch.cat([text_features] * 2), torch.cat([text_mask, torch.zeros_like(text_mask)])
