"""Stage `ctvit`: the tokenizer against reconstruction, perceptual and adversarial losses."""

from typing import Any

import torch
from torch import Tensor, nn

from generatect.metrics.codebook import codebook_use
from generatect.metrics.reconstruction import psnr_of_error
from generatect.networks.ctvit import CTViT
from generatect.objectives.adversarial import adaptive_weight, discriminator_loss, hinge_generator_loss
from generatect.objectives.perceptual import draw_slices, perceptual_mse, take_slices
from generatect.stages.base import Stage
from generatect.stages.optimizers import OptimizerFactory
from generatect.stages.processes import mean_over_processes


class CTViTStage(Stage):
    """Trains CT-ViT, and its discriminator in turn with it (spec §1).

    Total = reconstruction MSE + perceptual MSE + commitment + weight · hinge. The discriminator sees the slice and the
    reconstruction that the generator's step has just made, so its step costs no second pass through the tokenizer.

    Args:
        ctvit: the tokenizer.
        discriminator: judges slices; None trains without adversarial loss.
        perceptual: frozen image features, e.g. VGG16; None trains without perceptual loss, and the adversarial weight
            is then measured against the reconstruction loss.
        discriminator_optimizer: parameters → optimizer of the discriminator.
        discriminator_every: one discriminator step per so many steps of the tokenizer's optimizer.
        discriminator_start: first step with adversarial loss; before it the tokenizer learns the coarse picture.
        gradient_penalty_weight: of the discriminator.
        gradient_clip: largest gradient norm of either network.
        description, optimizer, warmup_steps, final_lr_ratio, accumulate, seed: see `Stage`.
    """

    def __init__(
        self,
        *,
        description: dict[str, Any],
        ctvit: CTViT,
        optimizer: OptimizerFactory,
        discriminator: nn.Module | None = None,
        perceptual: nn.Module | None = None,
        discriminator_optimizer: OptimizerFactory | None = None,
        discriminator_every: int = 3,
        discriminator_start: int = 0,
        gradient_penalty_weight: float = 10.0,
        gradient_clip: float | None = 0.5,
        warmup_steps: int = 100,
        final_lr_ratio: float = 0.05,
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
        self.ctvit, self.discriminator = ctvit, discriminator
        self.ctvit.quantizer.learns_at_once = False  # but with the optimizer
        self._perceptual = (perceptual.eval().requires_grad_(False),) if perceptual is not None else ()
        if discriminator is not None:
            assert discriminator_optimizer is not None, "a discriminator needs its optimizer"
            self.make_optimizers.append(discriminator_optimizer)
            self.trains_in_turn = True
        self.discriminator_every, self.discriminator_start = discriminator_every, discriminator_start
        self.gradient_penalty_weight = gradient_penalty_weight

    def trained_by(self, which: int) -> list[nn.Module]:
        """The tokenizer, or the discriminator, whose learning rate is constant."""
        return [[self.ctvit, self.discriminator][which]]  # type: ignore[list-item]

    def on_fit_start(self) -> None:
        """Brings the frozen features to the device; they are no submodule, so the trainer does not."""
        for network in self._perceptual:
            network.to(self.device)

    def train_on(self, batch: dict, batch_idx: int) -> None:
        """A generator step, and every `discriminator_every` steps a discriminator step on the same slices."""
        volume, window = batch["volume"], self.window
        output = self.ctvit(volume)
        reconstruction = output.reconstruction.float()
        draws = self.sample_draws(len(volume), batch_idx)
        index = draws.each(lambda generator: draw_slices(1, volume.shape[2], generator))
        real, fake = take_slices(volume, index), take_slices(reconstruction, index)

        losses = {"reconstruction": (reconstruction - volume).square().mean(), "commitment": output.commitment_loss}
        adversarial = self.discriminator is not None and window.start >= self.discriminator_start
        with torch.autocast(volume.device.type, enabled=False):  # these are small, and delicate in half precision
            if self._perceptual:
                losses["perceptual"] = perceptual_mse(self._perceptual[0], real, fake)
            if adversarial:
                losses["adversarial"] = self._weighted_adversarial_loss(reconstruction, fake, losses)
        loss = sum(losses.values(), torch.zeros((), device=volume.device))
        if self.descent.descend(loss, batch, batch_idx):
            self.log_all("train", {**losses, "perplexity": output.perplexity}, len(volume))
            if adversarial and self._num_windows(window) % self.discriminator_every == 0:
                self._train_discriminator(real, fake, batch, batch_idx)
        if batch_idx + 1 == window.stop:
            if self.descent.is_spoiled():
                self.ctvit.quantizer.forget()
            else:
                self.ctvit.quantizer.learn()

    def _train_discriminator(self, real: Tensor, fake: Tensor, batch: dict, batch_idx: int) -> None:
        with torch.autocast(real.device.type, enabled=False):
            result = discriminator_loss(
                self.discriminator,  # type: ignore[arg-type]
                real,
                fake,
                gradient_penalty_weight=self.gradient_penalty_weight,
            )
        self.descent.descend(
            result.loss, batch, batch_idx, which=1, name="discriminator's loss", log="discriminator_gradient_norm"
        )
        self.log_all("train", {"discriminator": result.hinge, "penalty": result.gradient_penalty}, len(real))

    def _num_windows(self, window: range) -> int:
        """Steps of the tokenizer's optimizer with this one, counted over the run; the last may be of fewer batches."""
        return -(-window.stop // self.accumulate)

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """Reconstruction error, contrast within slices and use of the codebook, on held-out volumes."""
        output = self.ctvit(batch["volume"])
        error = (output.reconstruction - batch["volume"]).square().mean()
        self._val_ids.append(output.ids.flatten())
        contrast = output.reconstruction.std(dim=(-2, -1)).mean() / batch["volume"].std(dim=(-2, -1)).mean()
        self.log_all("val", {"reconstruction": error, "loss": error, "contrast": contrast}, len(batch["volume"]))
        return error

    def on_validation_epoch_start(self) -> None:
        """Starts counting codes."""
        self._val_ids: list[Tensor] = []

    def on_validation_epoch_end(self) -> None:
        """PSNR of the mean error (dB, over the 2000 HU range), and use and perplexity of the codebook."""
        counts = torch.bincount(torch.cat(self._val_ids), minlength=self.ctvit.quantizer.num_codes).float()
        use = codebook_use(counts)
        psnr = psnr_of_error(self.trainer.callback_metrics["val/reconstruction"].item())
        self.log("val/psnr", psnr, prog_bar=True, sync_dist=True)
        self.log_dict({"val/perplexity": use.perplexity, "val/codes_used": use.used}, sync_dist=True)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Volumes "1 z y x" to look at, by title."""
        reconstruction = self.ctvit(batch["volume"][:1]).reconstruction
        return {"real": batch["volume"][0], "reconstruction": reconstruction[0]}

    def judge(self, batch: dict) -> dict[str, Tensor]:
        """Values of each item: its reconstruction error, and PSNR in dB over the 2000 HU range."""
        error = (self.ctvit(batch["volume"]).reconstruction - batch["volume"]).square().mean(dim=(1, 2, 3, 4))
        return {"reconstruction": error, "psnr": 10 * (4 / error).log10()}

    def compare(self, batch: dict, seed: int) -> tuple[Tensor, Tensor]:
        """Real volumes "b 1 z y x" and their reconstructions, for metrics; nothing is drawn with `seed`."""
        return batch["volume"], self.ctvit(batch["volume"]).reconstruction

    def _weighted_adversarial_loss(self, reconstruction: Tensor, fake: Tensor, losses: dict[str, Tensor]) -> Tensor:
        discriminator = self.discriminator
        assert discriminator is not None
        discriminator.requires_grad_(False)  # it is not this loss's to train
        loss = hinge_generator_loss(discriminator(fake))
        discriminator.requires_grad_(True)
        weight = adaptive_weight(
            losses.get("perceptual", losses["reconstruction"]),
            loss,
            self.ctvit.last_decoder_weight,
            through=reconstruction,
            average=mean_over_processes,
        )
        return weight * loss
