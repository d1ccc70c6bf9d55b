"""The bar of a training: steps, loss and time left, in the look of all commands."""

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import Progress, TaskID

from generatect.callbacks.overfit import LOSSES
from generatect.callbacks.steps import steps_done
from generatect.progress import columns, duration


class TrainingBar(ProgressBar):
    """Shows how far a training is, moving by the clock however long a step takes.

    Where the output is no terminal, such as the log of a batch job, a line from time to time takes its place.

    Args:
        steps: batches of the whole training; of a resumed one too.
        refresh_s: seconds between two looks at the loss, for which a GPU is waited for.
        line_s: seconds between two lines in a log.
    """

    def __init__(self, *, steps: int, refresh_s: float = 0.5, line_s: float = 60.0) -> None:
        super().__init__()
        self.steps, self.refresh_s, self.line_s = steps, refresh_s, line_s
        self._display: Progress | None = None
        self._training: TaskID | None = None
        self._validation: TaskID | None = None
        self._is_on, self._started_from, self._started = True, 0, 0.0
        self._looked = self._told = float("-inf")

    def disable(self) -> None:
        """Shows nothing from now on: Lightning asks for it in every process but the first."""
        self._is_on = False

    def enable(self) -> None:
        """Shows the bar again."""
        self._is_on = True

    @property
    def is_enabled(self) -> bool:
        """Whether this process shows it."""
        return self._is_on

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints a line above the bar."""
        print(*args, **kwargs)  # which rich puts there

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins where the training begins: a resumed one in the middle of the bar."""
        self._started_from, self._started = steps_done(trainer), time.monotonic()
        self._told = self._started
        if self._is_on and sys.stdout.isatty():
            self._display = Progress(*columns("{task.fields[said]}"))
            self._training = self._display.add_task("training", total=self.steps, completed=self._started_from, said="")
            self._display.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the step, and looks at the loss when it is time."""
        now, done = time.monotonic(), batch_idx + 1
        if self._display is not None and self._training is not None:
            self._display.update(self._training, completed=done)
            if now - self._looked >= self.refresh_s:
                self._looked = now
                self._display.update(self._training, said=losses(trainer))
        elif self._is_on and now - self._told >= self.line_s:
            self._told = now
            left = (now - self._started) / max(1, done - self._started_from) * (self.steps - done)
            print(f"step {done} of {self.steps}, {losses(trainer)}, about {duration(left)} left", flush=True)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adds a bar of its own below."""
        if self._display is not None and not trainer.sanity_checking:
            total = sum(trainer.num_val_batches)
            self._validation = self._display.add_task("validation", total=total, said="")

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Counts a batch of it."""
        if self._display is not None and self._validation is not None:
            self._display.update(self._validation, completed=batch_idx + 1)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes that bar away again."""
        if self._display is not None and self._validation is not None:
            self._display.remove_task(self._validation)
            self._validation = None
            self._looked = float("-inf")  # the next step shows what the validation found

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leaves the bar as it is, on a line of its own."""
        if self._display is not None and self._training is not None:
            self._display.update(self._training, said=losses(trainer))
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Ends the line, so that what is said of the exception begins one."""
        self._stop()

    def _stop(self) -> None:
        if self._display is not None:
            self._display.stop()
        self._display = self._training = self._validation = None


def losses(trainer: L.Trainer) -> str:
    """The newest loss of training and of validation, as far as there is one."""
    metrics = trainer.callback_metrics
    found = [f"loss {float(metrics[name]):.4g}" for name in LOSSES if name in metrics][:1]
    if "val/loss" in metrics:
        found.append(f"val/loss {float(metrics['val/loss']):.4g}")
    return ", ".join(found) or "no loss yet"
