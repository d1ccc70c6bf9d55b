"""Exponential moving average of trained weights."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from generatect.checkpoints.sharded import part_like, whole_state
from generatect.checkpoints.stage_file import EMA_KEY
from generatect.errors import InputError


class WeightAveraging(L.Callback):
    """Keeps an average of chosen networks; validation, test, prediction and every later use see the average.

    With the defaults it follows the released super-resolution (spec §3): every 10 steps after the first 100, decay
    min(0.9999, 1 - (1 + e)^(-2/3)) with e the steps since. Only the chosen networks are averaged: frozen ones and
    discriminators never are. Where FSDP shards the weights, each process averages its part; files hold the whole.

    Args:
        networks: attribute names of the stage, e.g. ["unet", "text"].
        decay: largest decay.
        every: steps between updates.
        start: first step that counts.
        power: of the warm-up of the decay.
    """

    def __init__(
        self,
        *,
        networks: list[str],
        decay: float = 0.9999,
        every: int = 10,
        start: int = 100,
        power: float = 2 / 3,
    ) -> None:
        self.networks, self.decay, self.every, self.start, self.power = networks, decay, every, start, power
        self.average: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}
        self._settled = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuses names that the stage does not have."""
        for name in self.networks:
            if not isinstance(getattr(pl_module, name, None), torch.nn.Module):
                known = ", ".join(key for key, _ in pl_module.named_children())
                raise InputError(f"stage.averaged: '{name}' is no network of this stage; known: {known}")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Brings a resumed average to where the weights are, which get there only after the checkpoint is read."""
        self._place(pl_module)
        self._settled = pl_module.settled

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the average toward the weights, once they have moved."""
        step, before = pl_module.settled, self._settled
        self._settled = step
        if step // self.every == before // self.every:
            return
        weights = self._weights(pl_module)
        age = step - self.start - 1
        if not self.average or age <= 0:
            self.average = {key: value.detach().clone() for key, value in weights.items()}
            return
        decay = min(self.decay, 1 - (1 + age) ** -self.power)
        for key, value in weights.items():
            if value.is_floating_point():
                self.average[key].lerp_(value.detach(), 1 - decay)
            else:
                self.average[key].copy_(value)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts the average in place."""
        self._swap_in(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts the trained weights back."""
        self._swap_out(pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts the average in place."""
        self._swap_in(pl_module)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts the trained weights back."""
        self._swap_out(pl_module)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts the average in place."""
        self._swap_in(pl_module)

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts the trained weights back."""
        self._swap_out(pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Writes the average beside the trained weights, and never one in place of the other."""
        if self._trained:
            checkpoint["state_dict"].update(whole_state(self._trained))
        if self.average:
            checkpoint[EMA_KEY] = whole_state(self.average)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Goes on from the saved average."""
        self.average = dict(checkpoint.get(EMA_KEY, {}))

    def _swap_in(self, module: L.LightningModule) -> None:
        if self.average:
            self._place(module)
            self._trained = {key: value.detach().clone() for key, value in self._weights(module).items()}
            self._load(module, self.average)

    def _swap_out(self, module: L.LightningModule) -> None:
        if self._trained:
            self._load(module, self._trained)
            self._trained = {}

    def _place(self, module: L.LightningModule) -> None:
        """An average is where its weights are; that of a network not averaged before starts with them."""
        if self.average:
            weights = self._weights(module)
            self.average = {k: part_like(self.average.get(k, v.detach().clone()), v) for k, v in weights.items()}

    def _weights(self, module: L.LightningModule) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value
            for name in self.networks
            for key, value in getattr(module, name).state_dict().items()
        }

    @torch.no_grad()
    def _load(self, module: L.LightningModule, values: dict[str, Tensor]) -> None:
        for key, value in self._weights(module).items():
            value.copy_(values[key])
