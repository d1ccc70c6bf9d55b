"""Stage `superres`: a diffusion model that refines slices, given the low-resolution slice and the report."""

from typing import Any

import torch
from torch import Tensor

from generatect.diffusion.process import SuperResProcess
from generatect.networks.unet import SuperResUNet
from generatect.objectives.diffusion import superres_loss
from generatect.objectives.masking import draw_dropped
from generatect.sampling.superres import upscale_volume
from generatect.stages.base import Stage
from generatect.stages.optimizers import OptimizerFactory
from generatect.text.conditioner import TextConditioner


class SuperResStage(Stage):
    """Trains the super-resolution U-Net and the trainable part of its text conditioner (spec §3).

    Args:
        unet: the network.
        text: reports → features.
        process: what is diffused.
        text_drop_prob: probability of withholding a slice's report.
        preview_steps: steps of the deterministic sampler in previews and metrics.
        description, optimizer, warmup_steps, final_lr_ratio, gradient_clip, accumulate, seed: see `Stage`.
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
        gradient_clip: float | None = None,
        accumulate: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(
            description=description,
            optimizer=optimizer,
            warmup_steps=warmup_steps,
            final_lr_ratio=final_lr_ratio,
            gradient_clip=gradient_clip,
            accumulate=accumulate,
            seed=seed,
        )
        self.unet, self.text, self.process = unet, text, process
        self.text_drop_prob, self.preview_steps = text_drop_prob, preview_steps

    def train_on(self, batch: dict, batch_idx: int) -> None:
        """Weighted error of the predicted v."""
        loss, dropped = self._loss(batch, batch_idx, self.text_drop_prob)
        if self.descent.descend(loss, batch, batch_idx):
            self.log_all("train", {"loss": loss, "text_dropped": dropped.float().mean()}, len(dropped))

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """The loss with recorded draws, so that its values compare from one validation to the next."""
        loss, _ = self._loss(batch, batch_idx, 0.0)
        self.log_all("val", {"loss": loss}, len(batch["text"]))
        return loss

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Slices "1 y x" to look at: real, interpolated and refined."""
        first = {key: batch[key][:1] for key in ("highres", "lowres", "text")}
        highres, lowres = first["highres"], first["lowres"]
        refined = self._refine(first, self.seed)
        size = (highres.shape[-2], highres.shape[-1])
        return {"real": highres[0], "interpolated": self.process.upsample(lowres, size)[0], "refined": refined[0]}

    def judge(self, batch: dict) -> dict[str, Tensor]:
        """Values of each item: loss at four recorded noise levels; PSNR in dB as refined and as interpolated."""
        values = []
        for index in range(len(batch["text"])):
            item = {key: batch[key][index : index + 1] for key in ("highres", "lowres", "text")}
            four = {key: [*value * 4] if key == "text" else value.expand(4, -1, -1, -1) for key, value in item.items()}
            real = item["highres"]
            interpolated = self.process.upsample(item["lowres"], (real.shape[-2], real.shape[-1]))
            errors = [(image - real).square().mean() for image in (self._refine(item, self.seed), interpolated)]
            values.append(torch.stack([self._loss(four, 0, 0.0)[0], *errors]))
        loss, refined, interpolated = torch.stack(values).unbind(1)
        return {"loss": loss, "psnr": 10 * (4 / refined).log10(), "psnr_interpolated": 10 * (4 / interpolated).log10()}

    def compare(self, batch: dict, seed: int) -> tuple[Tensor, Tensor]:
        """Volumes "1 1 z y x" for metrics: the slices of one volume, real and as they are refined."""
        real, refined = batch["highres"].transpose(0, 1)[None], self._refine(batch, seed).transpose(0, 1)[None]
        return real, refined

    def _refine(self, batch: dict, seed: int) -> Tensor:
        """Slices "b 1 y x" from those at low resolution and the report, which all of them share."""
        highres, lowres = batch["highres"], batch["lowres"]
        text = self.text(list(batch["text"][:1]))
        refined = upscale_volume(
            self.unet,
            self.process,
            lowres.transpose(0, 1),
            text.features,
            text.mask,
            upscaled_size=highres.shape[-1],
            num_steps=self.preview_steps,
            sampler="ddim",
            correlated_noise=True,
            generator=torch.Generator().manual_seed(seed),
        )
        return refined.transpose(0, 1)

    def _loss(self, batch: dict, batch_idx: int, text_drop_prob: float) -> tuple[Tensor, Tensor]:
        """The loss, and which texts were withheld."""
        highres = batch["highres"]
        draws = self.sample_draws(len(highres), batch_idx)
        text = self.text(list(batch["text"]), draws.generators)

        def normal() -> Tensor:
            return draws.each(lambda generator: torch.randn(1, *highres.shape[1:], generator=generator)).to(self.device)

        drop_text = draws.each(lambda generator: draw_dropped(1, text_drop_prob, generator)).to(self.device)
        loss = superres_loss(
            self.unet,
            self.process,
            highres,
            batch["lowres"],
            text.features,
            text.mask,
            generator=self.common_draws(len(highres), batch_idx),
            times=draws.each(lambda generator: torch.rand(1, generator=generator)).to(self.device),
            noise=normal(),
            lowres_noise=normal(),
            drop_text=drop_text,
        )
        return loss, drop_text
