"""How much of a report the text encoder reads."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from generatect.text.hashed_words import HashedWordEncoder
from generatect.text.reading import MOST_TOKENS, TextRead, read_up_to
from generatect.text.t5 import count_t5_tokens

TOKENS_PER_WORD = 1.3
"""What T5 makes of English prose; medical words are cut into more."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of texts.

    Attributes:
        max_tokens: the encoder cuts a text off there.
        count: texts → number of tokens of each.
        how: what counted, for the reader of a report.
    """

    max_tokens: int
    count: Callable[[Sequence[str]], list[int]]
    how: str

    def reads(self, texts: Sequence[str]) -> list[TextRead]:
        """How much of each text is read."""
        return read_up_to(self.max_tokens, self.count(texts))


def token_counter(encoder: Mapping[str, Any]) -> TokenCounter:
    """Counts as the encoder does: exactly where nothing has to be fetched for it, otherwise by the number of words.

    Args:
        encoder: `encoder` of a text_encoder configuration.
    """
    if encoder.get("kind") == "hashed_words":
        length = {key: value for key, value in encoder.items() if key == "max_tokens"}
        words = HashedWordEncoder(width=1, num_buckets=1, **length)
        return TokenCounter(words.max_tokens, words.count_tokens, "words and full stops, exactly")
    max_tokens = int(encoder.get("max_tokens", MOST_TOKENS))
    tokenizer = _local_tokenizer(os.path.expanduser(str(encoder.get("name_or_path", ""))))
    if tokenizer is not None:
        return TokenCounter(max_tokens, partial(count_t5_tokens, tokenizer), "its own tokenizer")
    how = f"an estimate of {TOKENS_PER_WORD} tokens a word, as its tokenizer is not on this machine"
    return TokenCounter(max_tokens, _estimate, how)


def _estimate(texts: Sequence[str]) -> list[int]:
    return [math.ceil(TOKENS_PER_WORD * len(_WORD.findall(text))) for text in texts]


def _local_tokenizer(name_or_path: str) -> Any:
    """The tokenizer, if this machine has it."""
    from transformers import AutoTokenizer  # takes seconds to import

    try:
        return AutoTokenizer.from_pretrained(name_or_path, local_files_only=True)
    except (OSError, ValueError, ImportError):
        return None
