"""Two forms of the token networks: as the released weights were trained, and as they were meant."""

from typing import Literal

from generatect.errors import InputError

Compat = Literal["mended", "released"]


def is_released(compat: str) -> bool:
    """Whether a network takes the form that the released weights were trained in.

    "released" differs from "mended" in two places (spec §1): the temporal transformers of CT-ViT convolve scrambled
    memory (quirk 1), and self-attention takes keys and values from its un-normed input (quirk 2). The shapes of the
    weights are the same, so weights load into either form and are right in one alone.

    Raises:
        InputError: `compat` is neither.
    """
    if compat not in ("mended", "released"):
        raise InputError(f"compat is {compat!r}; expected 'mended' (new training) or 'released' (published weights)")
    return compat == "released"
