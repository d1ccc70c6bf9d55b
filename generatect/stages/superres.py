"""Stage `superres`: a diffusion model that refines slices, given the low-resolution slice and the report."""

from typing import Any

import torch
from torch import Tensor

from generatect.diffusion.process import SuperResProcess
from generatect.networks.unet import SuperResUNet
from generatect.objectives.diffusion import superres_loss
from generatect.sampling.superres import upscale_volume
from generatect.stages.base import OptimizerFactory, Stage
from generatect.text.conditioner import TextConditioner


class SuperResStage(Stage):
    """Trains the super-resolution U-Net and the trainable part of its text conditioner (spec §3).

    Args:
        unet: the network.
        text: reports → features.
        process: what is diffused.
        text_drop_prob: probability of withholding a slice's report.
        preview_steps: steps of the deterministic sampler in previews.
        description, optimizer, warmup_steps, final_lr_ratio, seed: see `Stage`.
    """

    def __init__(
        self,
        *,
        description: dict[str, Any],
        unet: SuperResUNet,
        text: TextConditioner,
        process: SuperResProcess,
        optimizer: OptimizerFactory,
        text_drop_prob: float = 0.1,
        preview_steps: int = 8,
        warmup_steps: int = 100,
        final_lr_ratio: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(
            description=description,
            optimizer=optimizer,
            warmup_steps=warmup_steps,
            final_lr_ratio=final_lr_ratio,
            seed=seed,
        )
        self.unet, self.text, self.process = unet, text, process
        self.text_drop_prob, self.preview_steps = text_drop_prob, preview_steps

    def training_step(self, batch: dict, batch_idx: int) -> Tensor | None:
        """Weighted error of the predicted v."""
        loss = self._loss(batch, self.draws(batch_idx), self.text_drop_prob)
        if not self.is_sound(loss, batch, batch_idx):
            return None
        self.log_all("train", {"loss": loss}, len(batch["text"]))
        return loss

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """The loss with recorded draws, so that its values compare from one validation to the next."""
        loss = self._loss(batch, self.draws(batch_idx, "val"), 0.0)
        self.log_all("val", {"loss": loss}, len(batch["text"]))
        return loss

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Slices "1 y x" to look at: real, interpolated and refined."""
        highres, lowres = batch["highres"][:1], batch["lowres"][:1]
        text = self.text(list(batch["text"][:1]))
        refined = upscale_volume(
            self.unet,
            self.process,
            lowres.transpose(0, 1),
            text.features,
            text.mask,
            upscaled_size=highres.shape[-1],
            num_steps=self.preview_steps,
            generator=torch.Generator().manual_seed(self.seed),
        )
        size = (highres.shape[-2], highres.shape[-1])
        return {"real": highres[0], "interpolated": self.process.upsample(lowres, size)[0], "refined": refined[0]}

    def _loss(self, batch: dict, generator: torch.Generator, text_drop_prob: float) -> Tensor:
        text = self.text(list(batch["text"]))
        return superres_loss(
            self.unet,
            self.process,
            batch["highres"],
            batch["lowres"],
            text.features,
            text.mask,
            generator=generator,
            text_drop_prob=text_drop_prob,
        )
