"""What text encoders give, and what an encoder is."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class TextFeatures(NamedTuple):
    """Features of a batch of texts.

    Attributes:
        features: "b l d" float; exactly 0 where `mask` is False. l is the longest text of the batch, at least 1.
        mask: "b l" bool, True at the tokens of the text.
    """

    features: Tensor
    mask: Tensor


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to features.

    A frozen encoder also has `identity`, a string that changes whenever its features do, and `to(device)`.
    """

    @property
    def width(self) -> int:
        """Width of a feature."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest text; the rest is cut off."""
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether the features never change, so that they may be cached and hold no parameters of the model."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, those beyond `max_tokens` too."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain `kind` and constructor arguments, enough to build the encoder again."""
        ...

    def __call__(self, texts: Sequence[str]) -> TextFeatures:
        """Encodes a batch of texts."""
        ...


def pad_features(rows: Sequence[Tensor]) -> TextFeatures:
    """Batches features "l d" of different lengths, zeros behind the shorter ones."""
    lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
    features = pad_sequence(list(rows), batch_first=True)
    mask = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
    return TextFeatures(features, mask)
