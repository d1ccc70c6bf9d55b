"""FID, FVD or CLIP score of what a stage makes, measured while it trains."""

import math
import time
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from generatect.callbacks.steps import say, steps_done
from generatect.ct.intensity import model_to_hu
from generatect.ct.preset import Preset
from generatect.errors import InputError
from generatect.evaluation.clip_model import load_clip
from generatect.evaluation.detectors import CLIPS, IMAGES, load_detector
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.running import Running, RunningClipScore, RunningFrechet
from generatect.progress import duration

KINDS = {"fid": IMAGES, "fvd": CLIPS}
METRICS = (*KINDS, "clip_score")


class Evaluation(L.Callback):
    """Logs `val/METRIC`: what the stage makes of the first validation volumes and their reports, against real ones.

    Each stage says what it compares: `ctvit` its reconstructions, `transformer` volumes sampled from the reports with
    what the tokenizer makes of the real ones, `superres` refined slices. The volumes and the noise are the same every
    time, averaged weights are in place as in the rest of validation, and training goes on as if nothing had been drawn.
    Of several processes each takes its part, and all know the result, so that checkpoints can be kept by it
    (`callbacks.checkpoint.monitor=val/fid`).

    A distance of few volumes is large even between real ones. It serves to compare the checkpoints of one run;
    `python -m generatect.evaluate` gives numbers to report.

    Args:
        metric: "fid", "fvd" or "clip_score".
        protocol: which slices and clips of a volume count.
        detector: what sees them: "random" (seeded, untrained, needs no file), a TorchScript file, or for the CLIP score
            the folder or Hub id of a CLIP model.
        sha256: hash of a TorchScript file, without which it is not executed.
        num_volumes: how many; fewer where validation has fewer.
        every: validations from one measurement to the next; the first and the last are always measured.

    Raises:
        InputError: an unknown metric, or a number below its least.
    """

    def __init__(
        self,
        *,
        metric: str,
        protocol: EvaluationPreset,
        detector: str = "random",
        sha256: str | None = None,
        num_volumes: int = 16,
        every: int = 2,
    ) -> None:
        if metric not in METRICS:
            raise InputError(f"callbacks: metric={metric}: expected one of {', '.join(METRICS)}")
        for key, value, least in (("num_volumes", num_volumes, 2), ("every", every, 1)):
            if value < least:
                raise InputError(f"callbacks.{metric}.{key}={value}: expected at least {least}")
        self.metric, self.protocol, self.detector, self.sha256 = metric, protocol, detector, sha256
        self.num_volumes, self.every = num_volumes, every
        self.num_validations = 0
        self._running: Running | None = None

    @property
    def state_key(self) -> str:
        """Three callbacks of this class have three states."""
        return self._generate_state_key(metric=self.metric)

    def state_dict(self) -> dict[str, Any]:
        """A resumed run measures when an uninterrupted one would."""
        return {"num_validations": self.num_validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        self.num_validations = state_dict["num_validations"]

    @torch.no_grad()
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Loads the detector, measures one volume, and says what a measurement will cost."""
        if not trainer.val_dataloaders:
            return  # training has said that nothing is validated
        self._running = self._load(pl_module.device)
        count = min(self.num_volumes, len(trainer.datamodule.val_data))  # type: ignore[attr-defined]
        if count < 2:
            raise InputError(
                f"callbacks.{self.metric}: {count} validation volume, expected at least 2; raise "
                "stage.datamodule.val_fraction or max_val_items"
            )
        was_training = {module: module.training for module in pl_module.modules()}
        started = time.monotonic()
        with isolate_rng():
            pl_module.eval()
            self._add(trainer, pl_module, next(self._items(trainer)), 0)
        for module, mode in was_training.items():
            module.training = mode
        self._running.forget()
        seconds = (time.monotonic() - started) * math.ceil(count / trainer.world_size)
        say(
            trainer,
            f"val/{self.metric}: {count} volumes, one validation in {self.every}, about {duration(seconds)} each time, "
            f"through {self._running.name}",
        )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures at the first, every so many, and the last validation, before checkpoints are chosen.

        At the others the metric has no number, lest a checkpoint be kept by that of another step.
        """
        if trainer.sanity_checking or self._running is None:
            return
        is_last = steps_done(trainer) >= trainer.limit_train_batches
        is_due = self.num_validations % self.every == 0 or is_last
        self.num_validations += 1
        if is_due:
            pl_module.log(f"val/{self.metric}", self._measure(trainer, pl_module))
        else:
            trainer.callback_metrics[f"val/{self.metric}"] = torch.tensor(math.nan)

    def _measure(self, trainer: L.Trainer, pl_module: L.LightningModule) -> float:
        """The value, the same in all processes; NaN where something that the stage makes is not finite."""
        assert self._running is not None
        rank, world_size, is_sound, num_items = trainer.global_rank, trainer.world_size, True, 0
        first: dict[str, Any] | None = None
        with isolate_rng():
            for position, item in enumerate(self._items(trainer)):
                first, num_items = first or item, position + 1
                if position % world_size == rank:
                    is_sound &= self._add(trainer, pl_module, item, position)
            if rank >= num_items % world_size > 0 and first is not None:
                # Networks divided among processes need all of them at every pass: this one's result is not used.
                self._make(trainer, pl_module, first, 0)
        if world_size > 1:
            is_sound = trainer.strategy.reduce_boolean_decision(is_sound, all=True)
        if is_sound:
            return self._running.result(trainer.strategy.root_device)
        self._running.forget()
        return math.nan

    def _load(self, device: torch.device) -> Running:
        if self.metric == "clip_score":
            return RunningClipScore(load_clip(self.detector, device), self.protocol)
        return RunningFrechet(
            load_detector(self.detector, KINDS[self.metric], self.sha256, device=device), self.protocol
        )

    def _items(self, trainer: L.Trainer) -> Iterator[dict[str, Any]]:
        """The first validation items, each a batch of one volume; for FVD, single slices come with their neighbours."""
        data = trainer.datamodule.val_data  # type: ignore[attr-defined]
        num_items = min(self.num_volumes, len(data))
        if self.metric == "fvd" and hasattr(data, "neighbours"):
            for position in range(num_items):
                yield data.neighbours(position, self.protocol.clip_length)
            return
        for batch in trainer.val_dataloaders:  # type: ignore[union-attr]
            for place in range(len(batch["text"])):
                if num_items == 0:
                    return
                num_items -= 1
                yield {key: values[place : place + 1] for key, values in batch.items()}

    def _add(self, trainer: L.Trainer, pl_module: L.LightningModule, item: dict[str, Any], position: int) -> bool:
        """Measures one item; False where what the stage makes is not finite."""
        assert self._running is not None
        real, fake = self._make(trainer, pl_module, item, position)
        if not torch.isfinite(fake).all():
            return False
        preset = trainer.datamodule.preset  # type: ignore[attr-defined]
        real_hu, fake_hu = (_hu(array, preset) for array in (real, fake))
        if self.metric == "fvd" and len(real_hu) < self.protocol.clip_length:
            raise InputError(
                f"callbacks.fvd: {len(real_hu)} slices, fewer than a clip has; set "
                f"callbacks.fvd.protocol.clip_length={len(real_hu)} or leave fvd out"
            )
        self._running.add(real_hu, fake_hu, item["text"][0], str(position))
        return True

    def _make(
        self, trainer: L.Trainer, pl_module: L.LightningModule, item: dict[str, Any], position: int
    ) -> tuple[Tensor, Tensor]:
        """Real and made volume "1 z y x"; each item has noise of its own, whichever process makes it."""
        batch = trainer.strategy.batch_to_device(item)
        with trainer.precision_plugin.val_step_context():
            real, fake = pl_module.compare(batch, position)  # type: ignore[operator]
        return real[0].float().cpu(), fake[0].float().cpu()


def _hu(array: Tensor, preset: Preset) -> np.ndarray:
    """A whole volume in the patient's axes, or slices of one as the model has them."""
    for upscaled, grid in ((False, preset.grid), (True, preset.upscaled_grid)):
        if tuple(array.shape[1:]) == grid.shape_zyx:
            return preset.to_volume(array, upscaled=upscaled).voxels_hu
    return model_to_hu(array)[0].numpy()
