"""Pictures of what the model does, at every validation."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from generatect.callbacks.steps import steps_done
from generatect.ct.grid import Grid
from generatect.ct.intensity import model_to_hu
from generatect.ct.preset import Preset
from generatect.ct.preview import comparison
from generatect.ct.volume import CTVolume
from generatect.loggers.run_logger import RunLogger


class Previews(L.Callback):
    """Writes a PNG of the first validation item after each validation: lung and mediastinal windows, three planes.

    Under it stand the step and, where the stage generates from the report, the report.

    Args:
        folder: where the pictures go.
        preset: brings the model's arrays back to HU and millimetres.
        notice: a line under each picture, e.g. that the data are phantoms.
    """

    def __init__(self, *, folder: str, preset: Preset, notice: str | None = None) -> None:
        self.folder, self.preset, self.notice = Path(folder), preset, notice
        self._batch: dict[str, Any] | None = None

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first batch."""
        if batch_idx == 0:
            self._batch = batch

    @torch.inference_mode()
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Asks the stage for its preview, in every process, as sharded weights need them all; the first draws it."""
        batch, self._batch = self._batch, None
        if trainer.sanity_checking or batch is None:
            return
        pl_module.eval()
        with trainer.precision_plugin.forward_context():
            arrays = pl_module.preview(batch)
        if trainer.is_global_zero:
            self._draw(trainer, pl_module, arrays, batch["text"][0])

    def _draw(self, trainer: L.Trainer, pl_module: L.LightningModule, arrays: dict[str, Tensor], report: str) -> None:
        step = steps_done(trainer)
        is_from_report = not arrays.keys().isdisjoint(("generated", "refined"))
        parts = [f"{pl_module.description['stage']}, step {step}", self.notice, report if is_from_report else None]
        caption = " · ".join(part for part in parts if part)
        volumes = {title: self._volume(array) for title, array in arrays.items()}
        path = self.folder / f"step-{step:07d}.png"
        self.folder.mkdir(parents=True, exist_ok=True)
        comparison(volumes, path, caption)
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_picture("previews/validation", path, caption, step)

    def _volume(self, array: Tensor) -> CTVolume:
        """A volume "1 z y x" on the preset's grid, or one slice "1 y x" over (a part of) its upscaled grid."""
        if array.ndim == 4:
            return self.preset.to_volume(array.float().cpu())
        fine = self.preset.upscaled_grid
        grid = Grid((1, array.shape[-2], array.shape[-1]), fine.spacing_mm_zyx)
        return CTVolume(model_to_hu(array.float().cpu()).numpy(), grid.affine())
