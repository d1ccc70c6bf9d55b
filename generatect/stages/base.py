"""What the three stages share: the description in the checkpoint, seeded draws, optimizer and schedule."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from generatect import __version__
from generatect.checkpoints.resume import go_on
from generatect.checkpoints.stage_file import DESCRIPTION_KEY, FORMAT
from generatect.errors import InputError

MAX_UNSOUND_STEPS = 3
"""So many batches in a row without a finite loss end the run."""

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class Stage(L.LightningModule):
    """One stage of training.

    Args:
        description: plain values that rebuild what is trained; written into every checkpoint.
        optimizer: parameters → optimizer.
        warmup_steps: steps of linear warm-up of the learning rate; afterwards it falls along a cosine.
        final_lr_ratio: learning rate at the end, relative to its peak.
        seed: of the draws that training makes (masks, noise, dropped text).
    """

    def __init__(
        self,
        *,
        description: dict[str, Any],
        optimizer: OptimizerFactory,
        warmup_steps: int = 100,
        final_lr_ratio: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.description = description
        self.make_optimizer = optimizer
        self.warmup_steps, self.final_lr_ratio, self.seed = warmup_steps, final_lr_ratio, seed
        self._unsound_steps: dict[str, int] = {}

    def configure_optimizers(self) -> Any:
        """The optimizer over all trainable parameters, its schedule advanced every step."""
        optimizer = self.make_optimizer([p for p in self.parameters() if p.requires_grad])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.warmup_cosine(optimizer), "interval": "step"},
        }

    def warmup_cosine(self, optimizer: Optimizer) -> LambdaLR:
        """Linear warm-up, then half a cosine down to `final_lr_ratio` at the last step."""
        warmup, last, floor = self.warmup_steps, self.num_steps, self.final_lr_ratio

        def ratio(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            progress = min(1.0, (step - warmup) / max(1, last - warmup))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

        return LambdaLR(optimizer, ratio)

    @property
    def num_steps(self) -> int:
        """Training steps of the run, counted in batches."""
        return int(self.trainer.limit_train_batches)

    def draws(self, batch_idx: int, purpose: str = "train") -> torch.Generator:
        """A CPU generator for one step.

        It depends on seed, purpose, step and rank alone, so a resumed run repeats none.
        """
        return torch.Generator().manual_seed(self._draw_seed(batch_idx, {"train": 0, "val": 1}[purpose]))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Makes what layers draw by themselves (dropout) a function of the step too: a resumed run draws the same."""
        torch.manual_seed(self._draw_seed(batch_idx, 2))

    def is_sound(self, loss: Tensor, batch: dict, batch_idx: int, name: str = "loss") -> bool:
        """Whether a step may follow from this loss; where it is NaN or infinite in any process, none takes the step.

        Weights and optimizers stay as they are: the gradients of the step before are thrown away, so that nothing of
        them is applied again.

        Raises:
            InputError: the third such batch in a row.
        """
        is_finite = bool(loss.detach().isfinite())
        if self.trainer.world_size > 1:
            is_finite = self.trainer.strategy.reduce_boolean_decision(is_finite, all=True)
        if is_finite:
            self._unsound_steps[name] = 0
            return True
        self._unsound_steps[name] = self._unsound_steps.get(name, 0) + 1
        self.zero_grad(set_to_none=True)
        samples = ", ".join(batch.get("name", ())) or "unnamed"
        what = (
            f"stage {self.description['stage']}, step {batch_idx + 1}: the {name} is {loss.item()}, samples {samples}"
        )
        if self._unsound_steps[name] >= MAX_UNSOUND_STEPS:
            raise InputError(
                f"{what}; step {MAX_UNSOUND_STEPS} in a row without a finite {name}; lower stage.module.optimizer.lr, "
                "choose precision=fp32 or bf16, or look at these samples"
            )
        print(f"{what}; the step is left out")
        return False

    def _draw_seed(self, batch_idx: int, purpose: int) -> int:
        rank = 0 if purpose == 1 else self.global_rank  # every process validates with the same draws
        return (((self.seed * 3 + purpose) * 1_000_003 + batch_idx) * 4_099 + rank) % 2**63

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what rebuilds the stage."""
        checkpoint[DESCRIPTION_KEY] = {"format": FORMAT, "version": __version__, **self.description}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on after the checkpoint's last batch."""
        if self._trainer is not None:
            go_on(checkpoint, self.num_steps)

    def log_all(self, prefix: str, values: dict[str, Tensor | float], batch_size: int) -> None:
        """Logs values under `prefix/`, at every step while training and averaged over validation."""
        self.log_dict(
            {f"{prefix}/{key}": value for key, value in values.items()},
            on_step=prefix == "train",
            on_epoch=prefix != "train",
            batch_size=batch_size,
            sync_dist=prefix != "train",
        )
