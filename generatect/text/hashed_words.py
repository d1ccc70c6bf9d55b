"""Trainable word embeddings without a vocabulary file: a word's row is a hash of the word."""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from generatect.errors import InputError
from generatect.text.features import TextFeatures
from generatect.text.prompt import require_texts

PADDING = 0
INITIAL_STD = 0.02  # a word that training never met says next to nothing
_TOKEN = re.compile(r"\w+|[.,]")


class HashedWordEncoder(nn.Module):
    """One trainable vector per word; order and context are the adapter's business.

    Lower-case words, full stops and commas are tokens. Nothing has to be fitted or shipped, and a word has the same row
    on every machine; two words may share a row, with probability 1 / num_buckets for each pair.

    Args:
        width: width of a feature.
        num_buckets: rows of the table.
        max_tokens: longer texts are cut off here.
        word_dropout_prob: probability of blanking a word in training, so that no sentence is learned by heart.

    Raises:
        InputError: a number below 1.
    """

    is_frozen = False

    def __init__(
        self, *, width: int, num_buckets: int = 8192, max_tokens: int = 256, word_dropout_prob: float = 0.0
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("num_buckets", num_buckets), ("max_tokens", max_tokens)):
            if value < 1:
                raise InputError(f"text_encoder.encoder.{name}={value}: expected at least 1")
        if not 0 <= word_dropout_prob < 1:
            raise InputError(f"text_encoder.encoder.word_dropout_prob={word_dropout_prob}: expected 0 to below 1")
        self.width = width
        self.num_buckets = num_buckets
        self.max_tokens = max_tokens
        self.word_dropout_prob = word_dropout_prob
        self.embedding = nn.Embedding(num_buckets + 1, width, padding_idx=PADDING)
        with torch.no_grad():
            self.embedding.weight.mul_(INITIAL_STD)

    def describe(self) -> dict[str, Any]:
        """Plain description from which `build_conditioner` rebuilds the encoder."""
        return {
            "kind": "hashed_words",
            "width": self.width,
            "num_buckets": self.num_buckets,
            "max_tokens": self.max_tokens,
            "word_dropout_prob": self.word_dropout_prob,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, those beyond `max_tokens` too."""
        return [len(_TOKEN.findall(text.lower())) for text in texts]

    def rows(self, text: str) -> list[int]:
        """Row of each token, 1..num_buckets."""
        tokens = _TOKEN.findall(text.lower())[: self.max_tokens]
        return [zlib.crc32(token.encode()) % self.num_buckets + 1 for token in tokens]

    def forward(self, texts: Sequence[str], generators: Sequence[torch.Generator] | None = None) -> TextFeatures:
        """Features "b l width"; a text without words is all padding.

        Args:
            texts: of the batch.
            generators: one for each text, on the CPU, to draw the words that training blanks; None: torch's own.
        """
        require_texts(texts, "texts")
        rows = [self.rows(text) for text in texts]
        longest = max(1, *map(len, rows))
        padded = [row + [PADDING] * (longest - len(row)) for row in rows]
        index = torch.tensor(padded, device=self.embedding.weight.device)
        features = self.embedding(index)
        if self.training and self.word_dropout_prob > 0:
            drawn = torch.ones(index.shape)
            for i, row in enumerate(rows):
                drawn[i, : len(row)] = torch.rand(len(row), generator=None if generators is None else generators[i])
            features = features * (drawn >= self.word_dropout_prob).to(index.device)[..., None]
        return TextFeatures(features, index != PADDING)
