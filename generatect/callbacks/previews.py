"""Pictures of what the model does, at every validation."""

from pathlib import Path

import lightning as L
import torch
from torch import Tensor

from generatect.ct.grid import Grid
from generatect.ct.intensity import model_to_hu
from generatect.ct.preset import Preset
from generatect.ct.preview import comparison
from generatect.ct.volume import CTVolume


class Previews(L.Callback):
    """Writes a PNG of the first validation item after each validation: lung and mediastinal windows, three planes.

    Args:
        folder: where the pictures go.
        preset: brings the model's arrays back to HU and millimetres.
        notice: a line under each picture, e.g. that the data are phantoms.
    """

    def __init__(self, *, folder: str, preset: Preset, notice: str | None = None) -> None:
        self.folder, self.preset, self.notice = Path(folder), preset, notice

    @torch.inference_mode()
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Asks the stage for its preview and draws it."""
        loaders = trainer.val_dataloaders
        if trainer.sanity_checking or not trainer.is_global_zero or not loaders:
            return
        batch = pl_module.transfer_batch_to_device(next(iter(loaders)), pl_module.device, 0)
        pl_module.eval()
        arrays = pl_module.preview(batch)
        step = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        caption = f"{pl_module.__class__.__name__}, step {step}" + (f" · {self.notice}" if self.notice else "")
        volumes = {title: self._volume(array) for title, array in arrays.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        comparison(volumes, self.folder / f"step-{step:07d}.png", caption)

    def _volume(self, array: Tensor) -> CTVolume:
        """A volume "1 z y x" on the preset's grid, or one slice "1 y x" over (a part of) its upscaled grid."""
        if array.ndim == 4:
            return self.preset.to_volume(array)
        fine = self.preset.upscaled_grid
        grid = Grid((1, array.shape[-2], array.shape[-1]), fine.spacing_mm_zyx)
        return CTVolume(model_to_hu(array.float().cpu()).numpy(), grid.affine())
