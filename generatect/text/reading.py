"""How much of a text an encoder reads, and the words in which every command says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MOST_TOKENS = 512
"""As many as T5 was trained on, and as the upscaler's text resampler takes."""


@dataclass(frozen=True)
class TextRead:
    """One text and one encoder.

    Attributes:
        tokens: of the whole text.
        read: those that are read; the ones behind them do not exist for the model.
    """

    tokens: int
    read: int

    @property
    def is_cut(self) -> bool:
        """Whether the end of the text is lost."""
        return self.read < self.tokens


def read_up_to(max_tokens: int, tokens: Sequence[int]) -> list[TextRead]:
    """How much is read of texts of so many tokens, where the encoder or what follows it stops at `max_tokens`."""
    return [TextRead(number, min(number, max_tokens)) for number in tokens]


def describe_cut(reads: Sequence[TextRead], what: str) -> str | None:
    """One line on the texts whose end is lost; None where all are read whole.

    Args:
        reads: of all texts.
        what: several of them in a word, such as "reports".
    """
    cut = [text for text in reads if text.is_cut]
    if not cut:
        return None
    if len(reads) == 1:
        return f"reads {cut[0].read} of {cut[0].tokens} tokens"
    lengths = [text.tokens for text in reads]
    return (
        f"{len(cut):,} of {len(reads):,} {what} are longer than the {cut[0].read} tokens that the text encoder reads "
        f"(median {median(lengths):.0f}, longest {max(lengths):,})"
    )


def advise(reads: Sequence[TextRead]) -> str:
    """What to set so that more is read, after the share of all tokens that is not."""
    longest, limit = max(text.tokens for text in reads), max(text.read for text in reads)
    lost = 1 - sum(text.read for text in reads) / sum(text.tokens for text in reads)
    wanted = min(MOST_TOKENS, 64 * math.ceil(longest / 64))
    said = f"{lost:.0%} of all tokens are lost"
    if limit >= wanted:
        return f"{said}; train on the impression alone (data.template=impression)"
    still = sum(text.tokens > wanted for text in reads)
    rest = f" ({still:,} are longer than that, too)" if still else ""
    return f"{said}; set text_encoder.encoder.max_tokens={wanted}{rest}"
