"""What the page asks for, checked."""

from dataclasses import replace
from typing import Any

from generatect.data.table import given_text
from generatect.errors import InputError
from generatect.pipeline import TokenOptions, UpscaleOptions
from generatect.web.making import Wish

MAX_PROMPT = 20_000
MAX_STEPS, MAX_GUIDANCE = 1000, 100
SETTINGS = ("prompt", "seed", "steps", "guidance", "upscale_steps")


def read_wish(content: dict[str, Any], tokens: TokenOptions, upscale: UpscaleOptions) -> Wish:
    """The wish in a JSON object; what it leaves out is as the server was started with.

    Args:
        content: may hold `SETTINGS`; `steps` and `guidance` are of the tokens.
        tokens: the server's settings.
        upscale: likewise.

    Raises:
        InputError: a setting cannot be used.
    """
    prompt = content.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError("Write a report first, or pick an example.")
    if len(prompt) > MAX_PROMPT or "\0" in prompt:
        raise InputError(f"The report has {len(prompt)} characters; expected plain text of at most {MAX_PROMPT}.")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The report holds half a character at position {error.start + 1}; type it anew.") from error
    text = given_text(prompt)
    if not text:
        raise InputError(f"{prompt.strip()!r} stands for no report; describe the chest CT to generate.")
    chosen_tokens, chosen_upscale = read_options(content, tokens, upscale)
    return Wish(text, _whole(content.get("seed", 0), "Seed", 0, 2**32 - 1), chosen_tokens, chosen_upscale)


def read_options(
    content: dict[str, Any], tokens: TokenOptions, upscale: UpscaleOptions
) -> tuple[TokenOptions, UpscaleOptions]:
    """Steps and guidance in a JSON object.

    Raises:
        InputError: one of them cannot be used.
    """
    steps = _whole(content.get("steps", tokens.steps), "Token steps", 1, MAX_STEPS)
    upscale_steps = _whole(content.get("upscale_steps", upscale.steps), "Upscaling steps", 1, MAX_STEPS)
    guidance = content.get("guidance", tokens.guidance)
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or not 0 <= guidance <= MAX_GUIDANCE:
        raise InputError(f"Guidance{_shown(guidance)}: expected a number from 0 to {MAX_GUIDANCE}.")
    return replace(tokens, steps=steps, guidance=float(guidance)), replace(upscale, steps=upscale_steps)


def _whole(value: object, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name}{_shown(value)}: expected a whole number from {low} to {high}.")
    return value


def _shown(value: object) -> str:
    """A number that somebody may have meant, to be quoted; nothing else, and none of hundreds of digits."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f" {value:.15g}" if is_number and abs(value) < 1e16 else ""
