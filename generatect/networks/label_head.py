"""Reads abnormality labels out of text features: what a report says, as a second thing for its encoder to learn."""

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor, nn


class LabelHead(nn.Module):
    """One learned query per label looks for its words; a linear map of what it finds is the label's logit.

    Used in training alone. A token model needs the report only where few tokens are visible, so an encoder that
    learns from it alone may never bind "no" to its finding; labels teach that in a few hundred steps.

    Args:
        num_labels: number of labels.
        text_width: width of the text features.
    """

    def __init__(self, *, num_labels: int, text_width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_labels, text_width) * text_width**-0.5)
        self.to_key = nn.Linear(text_width, text_width, bias=False)
        self.weight = nn.Parameter(torch.randn(num_labels, text_width) * text_width**-0.5)
        self.bias = nn.Parameter(torch.zeros(num_labels))

    def forward(self, features: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b k"]:
        """Logits; positions outside `mask` are not looked at."""
        scores = einsum(self.queries, self.to_key(features), "k d, b l d -> b k l")
        attention = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min).softmax(dim=-1)
        return einsum(attention @ features, self.weight, "b k d, k d -> b k") + self.bias
