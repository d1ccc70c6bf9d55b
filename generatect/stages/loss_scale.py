"""The scale that keeps the gradients of fp16 from vanishing (Micikevicius et al. 2018, arXiv:1710.03740, §3.2)."""

import torch
from torch import Tensor, nn

from generatect.errors import InputError

LEAST = 2.0**-10
"""A scale below this means that the gradients themselves overflow, and no scale would help."""


class LossScale:
    """Judges by the norm of all gradients, in whatever process they are, whether a scale was too large.

    Args:
        scaler: multiplies the losses and settles the next scale; None for precisions that need none.
    """

    def __init__(self, scaler: torch.amp.GradScaler | None) -> None:
        self.scaler = scaler
        self._witnesses: list[torch.optim.Optimizer] = []

    @property
    def value(self) -> float:
        """By how much losses, and so gradients, are too large."""
        return 1.0 if self.scaler is None else self.scaler.get_scale()

    def is_too_large(self, norm: Tensor) -> bool:
        """Whether gradients of this norm, still scaled, overflowed: then the step is to be left out.

        Raises:
            InputError: the scale has come down to nothing.
        """
        if self.scaler is None:
            return False
        witness = nn.Parameter(torch.zeros_like(norm))
        witness.grad = norm.clone()
        self._witnesses.append(torch.optim.SGD([witness]))
        self.scaler.unscale_(self._witnesses[-1])
        overflows = not norm.isfinite()
        if overflows and self.value < LEAST:
            raise InputError(
                "precision=fp16: gradients overflow at any scale; choose precision=bf16 or fp32, or lower "
                "stage.module.optimizer.lr"
            )
        return overflows

    def update(self) -> None:
        """Settles the scale of the next losses, once all optimizers have stepped."""
        if self.scaler is not None and self._witnesses:
            self.scaler.update()
        self._witnesses = []
