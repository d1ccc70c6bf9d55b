"""How much of a report the text encoder reads."""

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generatect.text.hashed_words import HashedWordEncoder

DEFAULT_MAX_TOKENS = 256
TOKENS_PER_WORD = 1.3
"""What T5 makes of English prose; medical words are cut into more."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of a text.

    Attributes:
        max_tokens: the encoder cuts a text off there.
        count: text → number of tokens.
        how: what counted, for the reader of a report.
    """

    max_tokens: int
    count: Callable[[str], int]
    how: str


def token_counter(encoder: Mapping[str, Any]) -> TokenCounter:
    """Counts as the encoder does: exactly where nothing has to be fetched for it, otherwise by the number of words.

    Args:
        encoder: `encoder` of a text_encoder configuration.
    """
    max_tokens = int(encoder.get("max_tokens", DEFAULT_MAX_TOKENS))
    if encoder.get("kind") == "hashed_words":
        words = HashedWordEncoder(width=1, num_buckets=1, max_tokens=sys.maxsize)
        return TokenCounter(max_tokens, lambda text: len(words.rows(text)), "words and full stops, exactly")
    tokenizer = _local_tokenizer(os.path.expanduser(str(encoder.get("name_or_path", ""))))
    if tokenizer is not None:
        return TokenCounter(max_tokens, lambda text: len(tokenizer(text, verbose=False).input_ids), "its own tokenizer")
    how = f"an estimate of {TOKENS_PER_WORD} tokens a word, as its tokenizer is not on this machine"
    return TokenCounter(max_tokens, lambda text: math.ceil(TOKENS_PER_WORD * len(_WORD.findall(text))), how)


def _local_tokenizer(name_or_path: str) -> Any:
    """The tokenizer, if this machine has it."""
    from transformers import AutoTokenizer  # takes seconds to import

    try:
        return AutoTokenizer.from_pretrained(name_or_path, local_files_only=True)
    except (OSError, ValueError, ImportError):
        return None
