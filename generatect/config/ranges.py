"""Which values an argument may have, by its name: the same name means the same everywhere.

Constructors check what depends on several of their arguments; what one number alone gives away is said here, before
anything is imported or built.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from generatect.errors import InputError


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, or to just below `below`."""

    least: int | float | None = None
    most: int | float | None = None
    below: int | float | None = None

    def holds(self, value: int | float) -> bool:
        """Whether the number lies in it; NaN and infinity lie in none."""
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        parts = [
            f"{words} {bound:.10g}"
            for words, bound in (("at least", self.least), ("at most", self.most), ("below", self.below))
            if bound is not None
        ]
        return " and ".join(parts)


COUNT, SIZE, DEPTH = Range(least=1), Range(least=1, most=2**16), Range(least=1, most=1000)
NOT_NEGATIVE, PROBABILITY, SHARE = Range(least=0), Range(least=0, most=1), Range(least=0, below=1)
RANGES: dict[str, Range] = {
    **dict.fromkeys(("steps", "val_every", "batch_size", "encode_batch_size", "every", "revive_after"), COUNT),
    **dict.fromkeys(("discriminator_every", "mask_steps", "preview_steps", "log_every_n_steps", "num"), COUNT),
    **dict.fromkeys(("accumulate", "accumulate_grad_batches", "num_nodes", "max_train_items", "trials"), COUNT),
    **dict.fromkeys(("dim", "dim_head", "width", "code_dim", "text_width", "middle_dim_head"), SIZE),
    **dict.fromkeys(("image_size", "patch_size", "slice_patch_size", "num_slices", "size", "upscaled_size"), SIZE),
    **dict.fromkeys(("max_text_tokens", "num_text_latents", "num_labels", "channels", "kernel"), SIZE),
    **dict.fromkeys(("heads", "middle_heads", "depth", "spatial_depth", "temporal_depth"), DEPTH),
    **dict.fromkeys(("num_blocks", "num_layers"), DEPTH),
    **dict.fromkeys(("codebook_size", "num_codes", "num_tokens", "max_tokens", "num_buckets"), Range(1, 2**24)),
    **dict.fromkeys(("num_workers", "max_val_items", "warmup_steps", "discriminator_start", "start"), NOT_NEGATIVE),
    **dict.fromkeys(("weight_decay", "gradient_clip", "gradient_clip_val", "gradient_penalty_weight"), NOT_NEGATIVE),
    **dict.fromkeys(("label_weight", "preview_guidance", "noise_hu", "max_cache_gb", "eps"), NOT_NEGATIVE),
    **dict.fromkeys(("prevalence", "final_lr_ratio"), PROBABILITY),
    **dict.fromkeys(("decay", "betas", "momentum", "val_fraction", "label_smoothing", "dropout"), SHARE),
    "lr": Range(least=0, most=10),
    "dim_mults": Range(least=1, most=64),
    "fov_mm_zyx": Range(least=1, most=10_000),
    "devices": Range(least=1),  # `auto` is all of them; a list names single ones, from 0
    "seed": Range(least=0, most=2**32 - 1),  # NumPy's, which Lightning seeds too
}
"""Argument → numbers it may have; those whose name ends in `_prob` are probabilities."""
CHOICES: dict[str, tuple[str, ...]] = {
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
    "on_bad": ("raise", "skip"),
    "doctor": ("refuse", "ignore"),
    "missing_text": ("raise", "leave_out"),
}
"""Argument → words it may be."""


def check_range(name: str, value: Any, where: str = "") -> None:
    """Checks one argument, or each number of a list.

    Args:
        name: the argument.
        value: what the configuration says; what is neither number nor text is left to the check of types.
        where: dotted key of what it is an argument of.

    Raises:
        InputError: naming key, value and what was expected.
    """
    allowed = PROBABILITY if name.endswith("_prob") else RANGES.get(name)
    key = f"{where}.{name}" if where else name
    for number in value if isinstance(value, list) and name != "devices" else [value]:
        if allowed is not None and _is_number(number) and not allowed.holds(number):
            raise InputError(f"{key}={value}: expected {allowed}")
        if allowed is not None and isinstance(number, str) and name != "devices":
            raise InputError(f"{key}={value}: expected a number, {allowed}")
    words = CHOICES.get(name)
    if words is not None and isinstance(value, str) and value not in words:
        raise InputError(f"{key}={value}: expected one of {', '.join(words)}")


def check_ranges(node: Any, where: str = "") -> None:
    """Checks everything below a node, whatever it is an argument of.

    Raises:
        InputError: see `check_range`.
    """
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(key, str):
            check_range(key, value, where)
            check_ranges(value, f"{where}.{key}" if where else key)
        else:
            check_ranges(value, f"{where}[{key}]")


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
