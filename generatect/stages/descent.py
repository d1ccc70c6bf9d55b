"""From a loss to a step of the weights: accumulation, averaging, scaling, clipping and guard, for all stages alike.

Lightning's automatic optimization has one optimizer, and by hand it neither clips nor accumulates; so the stages do
everything by hand, here.
"""

from contextlib import nullcontext
from typing import Any

from torch import Tensor

from generatect.stages.gradients import average_whole_gradients, gradient_norm, scale_gradients, step_in_parts
from generatect.stages.guard import Guard
from generatect.stages.loss_scale import LossScale
from generatect.stages.strategies import ShardedStrategy


class Descent:
    """Gradients of a stage, gathered over the batches of its window and then applied.

    Args:
        stage: the `Stage` whose weights move.
    """

    def __init__(self, stage: Any) -> None:
        self._stage = (stage,)  # in a tuple: modules do not hold each other
        self._guard = Guard()
        self._scale: LossScale | None = None
        self._spoiled: set[int] = set()

    @property
    def scale(self) -> LossScale:
        """Of the trainer's precision."""
        if self._scale is None:
            self._scale = LossScale(getattr(self._stage[0].trainer.precision_plugin, "scaler", None))
        return self._scale

    def descend(
        self,
        loss: Tensor,
        batch: dict,
        batch_idx: int,
        *,
        which: int = 0,
        name: str = "loss",
        log: str = "gradient_norm",
    ) -> bool:
        """Takes the gradient of a loss, and with the window's last batch the step.

        Args:
            loss: mean over this process's part of the batch.
            batch: for the names of its samples.
            batch_idx: its number.
            which: number of the optimizer.
            name: of the loss, in messages.
            log: the norm of the gradient is logged as `train/{log}`, before it is clipped.

        Returns:
            Whether the loss was finite in all processes; otherwise none of them takes the window's step.

        Raises:
            InputError: the third loss in a row that was not.
        """
        stage = self._stage[0]
        if not self._is_sound(loss, name, which, batch, batch_idx):
            return False
        if which in self._spoiled:
            return True
        is_last = batch_idx + 1 == stage.window.stop
        with nullcontext() if is_last else getattr(stage.trainer.strategy, "block_backward_sync", nullcontext)():
            stage.manual_backward(loss / len(stage.window))
        if is_last:
            norm = self._step(which, name, batch, batch_idx)
            stage.log(f"train/{log}", norm, on_step=True, on_epoch=False)
        return True

    def is_spoiled(self, which: int = 0) -> bool:
        """Whether a loss or gradient of this window was not finite, so that optimizer `which` does not step."""
        return which in self._spoiled

    def end_window(self) -> None:
        """Once all optimizers have stepped."""
        self.scale.update()
        self._spoiled.clear()
        self._stage[0].zero_grad(set_to_none=True)  # of an optimizer whose last batch was left out

    def _step(self, which: int, name: str, batch: dict, batch_idx: int) -> Tensor:
        """Applies the gradients and returns their norm."""
        stage, scale = self._stage[0], self.scale.value
        optimizers: Any = stage.optimizers(use_pl_optimizer=False)
        optimizer = optimizers[which] if isinstance(optimizers, list) else optimizers
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        sharded = isinstance(stage.trainer.strategy, ShardedStrategy)
        if sharded:
            average_whole_gradients(parameters)
        scaled_norm = gradient_norm(parameters)
        norm = scaled_norm / scale
        if self.scale.is_too_large(scaled_norm):
            optimizer.zero_grad()
        elif self._is_sound(norm, f"gradient of the {name}", which, batch, batch_idx):
            divisor = scale if stage.gradient_clip is None else scale * max(1.0, norm.item() / stage.gradient_clip)
            if divisor != 1:
                scale_gradients(parameters, 1 / divisor)
            if sharded:
                step_in_parts(optimizer, parameters)
            else:
                optimizer.step()
            optimizer.zero_grad()
        return norm

    def _is_sound(self, value: Tensor, name: str, which: int, batch: dict, batch_idx: int) -> bool:
        stage = self._stage[0]
        if self._guard.is_sound(
            value.detach(), name, stage=stage.description["stage"], batch=batch, batch_idx=batch_idx
        ):
            return True
        self._spoiled.add(which)
        for network in stage.trained_by(which):
            network.zero_grad(set_to_none=True)
        return False
