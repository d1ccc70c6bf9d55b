"""What the three stages share: optimizer and schedule, seeded draws, the description in the checkpoint, logs."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from generatect import __version__
from generatect.checkpoints.resume import go_on, steps_done
from generatect.checkpoints.stage_file import DESCRIPTION_KEY, FORMAT
from generatect.errors import InputError
from generatect.stages.descent import Descent
from generatect.stages.draws import COMMON, LAYERS, START, TRAINING, VALIDATION, Origin, SampleDraws, generator_of
from generatect.stages.draws import positions as positions_since
from generatect.stages.optimizers import OptimizerFactory, build_optimizer, regrouped, rescheduled, warmup_cosine
from generatect.stages.processes import mean_over_processes

SETTLED_KEY, SAMPLES_KEY = "generatect_settled", "generatect_samples"


class Stage(L.LightningModule):
    """One stage of training. A step is a batch: limits, schedules, checkpoints and logs all count batches.

    Args:
        description: plain values that rebuild what is trained; written into every checkpoint.
        optimizer: parameters → optimizer.
        warmup_steps: steps of linear warm-up of the learning rate; afterwards it falls along a cosine.
        final_lr_ratio: learning rate at the end, relative to its peak.
        gradient_clip: largest norm of the gradient of one optimizer's weights; None clips nothing.
        accumulate: batches whose gradients make one step of the optimizer; worth one batch of as many samples.
        seed: of the draws that training makes (masks, noise, dropped text).

    Attributes:
        settled: batches whose gradients are in the weights; the ones since wait for the next step of the optimizer.
        origin: where batches of the present size and number of processes begin.
        trains_in_turn: whether a backward pass leaves some weights without a gradient, as the turns of a GAN do.

    Raises:
        InputError: a number below its least.
    """

    trains_in_turn = False

    def __init__(
        self,
        *,
        description: dict[str, Any],
        optimizer: OptimizerFactory,
        warmup_steps: int = 100,
        final_lr_ratio: float = 0.05,
        gradient_clip: float | None = None,
        accumulate: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if accumulate < 1:
            raise InputError(f"accumulate={accumulate}: expected at least 1")
        if gradient_clip is not None and gradient_clip <= 0:
            raise InputError(f"stage.module.gradient_clip={gradient_clip}: expected more than 0, or null for no limit")
        self.automatic_optimization = False  # see `Descent`
        self.description = description
        self.make_optimizers = [optimizer]
        self.warmup_steps, self.final_lr_ratio, self.seed = warmup_steps, final_lr_ratio, seed
        self.gradient_clip, self.accumulate = gradient_clip, accumulate
        self.settled, self.origin, self._num_samples = 0, START, 0
        self.descent = Descent(self)

    def trained_by(self, which: int) -> list[nn.Module]:
        """The networks of optimizer number `which`."""
        return list(self.children())

    def train_on(self, batch: dict, batch_idx: int) -> None:
        """Computes the losses of a batch and hands each to `self.descent`."""
        raise NotImplementedError

    def configure_optimizers(self) -> Any:
        """One optimizer per factory over the trainable parameters of its networks; the first follows the schedule."""
        first, *others = (
            build_optimizer(make, self.trained_by(which)) for which, make in enumerate(self.make_optimizers)
        )
        return {"optimizer": first, "lr_scheduler": self.warmup_cosine(first)}, *({"optimizer": o} for o in others)

    def warmup_cosine(self, optimizer: Optimizer) -> Any:
        """The schedule of a learning rate over the whole run."""
        return warmup_cosine(
            optimizer, warmup_steps=self.warmup_steps, num_steps=self.num_steps, final_ratio=self.final_lr_ratio
        )

    @property
    def num_steps(self) -> int:
        """Training steps of the run, counted in batches."""
        return int(self.trainer.limit_train_batches)

    @property
    def num_processes(self) -> int:
        """Processes that share a batch."""
        return self.trainer.world_size if self._trainer is not None else 1

    @property
    def window(self) -> range:
        """The batches whose gradients make the next step of the optimizer; fewer than usual at the end of the run."""
        return range(self.settled, min(self.settled + self.accumulate, self.num_steps))

    def training_step(self, batch: dict, batch_idx: int) -> None:
        """One batch; the optimizers step with the last of their window."""
        self.train_on(batch, batch_idx)
        window = self.window
        if batch_idx + 1 == window.stop:
            self.descent.end_window()
            for _ in window:  # the schedule counts batches, and moves when the weights do
                self.lr_schedulers().step()  # type: ignore[union-attr]
            self.settled = window.stop
        total = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
        # What Lightning calls `global_step`: batches here, where it would count the steps of both optimizers of a GAN.
        total.ready = total.completed = batch_idx + 1

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Makes what layers draw by themselves (dropout) a function of the step too: a resumed run draws the same."""
        torch.manual_seed(generator_of(self.seed, LAYERS, batch_idx, self.global_rank).initial_seed())

    def sample_draws(self, num_samples: int, batch_idx: int) -> SampleDraws:
        """Draws of this process's samples of a batch; every process validates on all samples, with the same draws.

        Every training batch asks for them, for that is how a checkpoint knows how many samples have been seen.
        """
        batches = range(batch_idx, batch_idx + 1)
        if not self.training:
            return SampleDraws(self.seed, VALIDATION, positions_since(num_samples, 1, batches))
        self._num_samples = num_samples
        everyone = self.positions(num_samples, batches)
        return SampleDraws(self.seed, TRAINING, everyone[self.global_rank :: self.num_processes])

    def draws_of_all(self, num_samples: int, batches: range) -> SampleDraws:
        """Draws of all samples of training batches, those of other processes and of batches to come too."""
        return SampleDraws(self.seed, TRAINING, self.positions(num_samples, batches))

    def positions(self, num_samples: int, batches: range) -> range:
        """Positions of all samples of training batches, of `num_samples` in each process; see `draws.positions`."""
        return positions_since(num_samples, self.num_processes, batches, self.origin)

    def common_draws(self, num_samples: int, batch_idx: int) -> torch.Generator:
        """Draws that all samples of a step share, by the position of the first of them."""
        if self.training:
            return generator_of(self.seed, COMMON, TRAINING, self.positions(num_samples, self.window).start)
        return generator_of(self.seed, COMMON, VALIDATION, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what rebuilds the stage, and how far its weights are."""
        checkpoint[DESCRIPTION_KEY] = {"format": FORMAT, "version": __version__, **self.description}
        checkpoint[SETTLED_KEY] = self.settled
        checkpoint[SAMPLES_KEY] = self.positions(self._num_samples, range(self.settled, self.settled)).start

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on after the last batch that is in the weights, and by the settings of this run.

        Lightning would go on by those that the checkpoint's optimizers and schedule were made with.
        """
        if self._trainer is None:
            return
        self.settled = checkpoint[SETTLED_KEY]
        self.origin = Origin(self.settled, checkpoint[SAMPLES_KEY])
        if self.settled < steps_done(checkpoint):  # gradients were gathered and not yet applied: gather them again
            current = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
            current.update(processed=self.settled, completed=self.settled)
        go_on(checkpoint, self.num_steps, int(self.trainer.val_check_interval))
        for which, make in enumerate(self.make_optimizers):
            networks = self.trained_by(which)
            optimizer, states = build_optimizer(make, networks), checkpoint["optimizer_states"]
            if which == 0:
                schedules = checkpoint["lr_schedulers"]
                schedules[0] = rescheduled(schedules[0], self.warmup_cosine(optimizer))
            states[which] = regrouped(states[which], optimizer, networks)

    def log_all(self, prefix: str, values: dict[str, Tensor | float], batch_size: int) -> None:
        """Logs values under `prefix/`, averaged over the processes; at every step of training, and over validation."""
        if prefix == "train":  # all in one message, where Lightning would send one each
            numbers = torch.stack([torch.as_tensor(value, device=self.device).float() for value in values.values()])
            values = dict(zip(values, mean_over_processes(numbers).unbind(), strict=True))
        self.log_dict(
            {f"{prefix}/{key}": value for key, value in values.items()},
            on_step=prefix == "train",
            on_epoch=prefix != "train",
            batch_size=batch_size,
            sync_dist=prefix != "train",
        )
