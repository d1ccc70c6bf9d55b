"""How fast a training is, how much of its time it waits for data, and how well it uses the device."""

import time
from typing import Any

import lightning as L
import torch

from generatect.callbacks.flops import FlopCount
from generatect.callbacks.peak import Peak, peak_of, wait_for
from generatect.callbacks.steps import is_logged, log_numbers, say

TFLOP = 1e12


class Throughput(L.Callback):
    """Logs, with the step's other numbers, means since the last time they were logged.

    Time runs while batches are loaded and steps are made; validation, checkpoints and logging do not count. The device
    is waited for once in an interval, never in a step between.

    An early step (for CT-ViT as many as there are from one step of the discriminator to the next, and again when the
    discriminator starts) is counted: FLOPs of its matrix products, convolutions and attention, forward and backward.
    MFU is those FLOPs over the time of a step and the peak of the device: the data sheet's for GPUs that we know, else
    what a large matrix product reaches here. Counted steps are slower and left out of every mean.
    """

    def __init__(self) -> None:
        self._peak: Peak | None = None
        self._flops_per_step: float | None = None
        self._count: FlopCount | None = None
        self._count_from = self._count_until = 0
        self._asked = self._ready = 0.0
        self._start_interval()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Times the loader where Lightning itself does, and plans which steps to count."""
        loop = trainer.fit_loop.epoch_loop
        before, after = loop._on_before_fetch, loop._on_after_fetch

        def asked() -> None:
            self._asked = time.perf_counter()
            before()

        def ready() -> None:
            after()
            self._ready = time.perf_counter()
            self._waited_s += self._ready - self._asked

        loop._on_before_fetch, loop._on_after_fetch = asked, ready
        self._plan_count(pl_module, loop.batch_progress.current.processed + 1)  # the very first step warms up

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Starts counting where it is planned."""
        if batch_idx == self._count_from:
            self._count = FlopCount()
        if self._count is not None:
            self._count.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds up, and logs at the end of an interval."""
        if self._count is not None:
            self._count.stop()
            if batch_idx + 1 == self._count_until:
                self._end_count(trainer, pl_module, self._count.total, batch_idx)
            return
        logged = is_logged(trainer, batch_idx)
        if logged:
            wait_for(pl_module.device)
        self._stepped_s += time.perf_counter() - self._ready
        self._num_steps += 1
        self._num_items += len(batch["text"]) * trainer.world_size
        if logged:
            log_numbers(trainer, self._means("slices" if "highres" in batch else "volumes"))
            self._start_interval()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Counts no further."""
        if self._count is not None:
            self._count.stop()

    def _means(self, items: str) -> dict[str, float]:
        total_s = self._waited_s + self._stepped_s
        step_s = total_s / self._num_steps
        values = {
            f"speed/{items}_per_second": self._num_items / total_s,
            "speed/step_seconds": step_s,
            "speed/data_wait_share": self._waited_s / total_s,
        }
        if self._flops_per_step is not None and self._peak is not None:
            achieved = self._flops_per_step / step_s
            values |= {"speed/tflops": achieved / TFLOP, "speed/mfu": achieved / self._peak.flops_per_second}
        return values

    def _start_interval(self) -> None:
        self._waited_s = self._stepped_s = 0.0
        self._num_steps = self._num_items = 0

    def _plan_count(self, module: L.LightningModule, start: int) -> None:
        """A discriminator makes every so many steps costlier: the mean is over a whole round."""
        num_batches = module.discriminator_every * module.accumulate if hasattr(module, "discriminator_every") else 1
        self._count_from, self._count_until = start, start + num_batches

    def _end_count(self, trainer: L.Trainer, module: L.LightningModule, flops: int, batch_idx: int) -> None:
        self._flops_per_step = flops / (self._count_until - self._count_from)
        self._count = None
        discriminator_start = getattr(module, "discriminator_start", 0)
        if batch_idx < discriminator_start:
            self._plan_count(module, discriminator_start)
        if self._peak is None:
            self._peak = peak_of(module.device, _dtype_of(trainer))
            peak, per_step = self._peak.flops_per_second / TFLOP, self._flops_per_step / TFLOP
            say(trainer, f"{per_step:.3g} TFLOP a step; MFU is relative to {peak:.3g} TFLOP/s ({self._peak.source})")
        self._start_interval()


def _dtype_of(trainer: L.Trainer) -> torch.dtype:
    """Of the matrix products under the trainer's precision."""
    precision = str(trainer.precision)
    return torch.bfloat16 if "bf16" in precision else torch.float16 if "16" in precision else torch.float32
