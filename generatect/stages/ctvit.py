"""Stage `ctvit`: the tokenizer against reconstruction, perceptual and adversarial losses."""

from typing import Any

import torch
from torch import Tensor, nn

from generatect.metrics.codebook import codebook_use
from generatect.metrics.reconstruction import psnr_of_error
from generatect.networks.ctvit import CTViT
from generatect.objectives.adversarial import adaptive_weight, discriminator_loss, hinge_generator_loss
from generatect.objectives.perceptual import draw_slices, perceptual_mse, take_slices
from generatect.stages.base import OptimizerFactory, Stage


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
        discriminator_every: one discriminator step per so many generator steps.
        discriminator_start: first step with adversarial loss; before it the tokenizer learns the coarse picture.
        gradient_penalty_weight: of the discriminator.
        gradient_clip: largest gradient norm of either network.
        description, optimizer, warmup_steps, final_lr_ratio, seed: see `Stage`.
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
        gradient_clip: float = 0.5,
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
        self.automatic_optimization = False  # two optimizers in turn
        self.ctvit, self.discriminator = ctvit, discriminator
        self._perceptual = (perceptual.eval().requires_grad_(False),) if perceptual is not None else ()
        self.make_discriminator_optimizer = discriminator_optimizer
        self.discriminator_every, self.discriminator_start = discriminator_every, discriminator_start
        self.gradient_penalty_weight, self.gradient_clip = gradient_penalty_weight, gradient_clip

    def configure_optimizers(self) -> Any:
        """The tokenizer's optimizer with its schedule, and the discriminator's at a constant rate."""
        optimizer = self.make_optimizer(self.ctvit.parameters())
        generator = {"optimizer": optimizer, "lr_scheduler": self.warmup_cosine(optimizer)}
        if self.discriminator is None:
            return generator
        assert self.make_discriminator_optimizer is not None, "a discriminator needs its optimizer"
        return generator, {"optimizer": self.make_discriminator_optimizer(self.discriminator.parameters())}

    def on_fit_start(self) -> None:
        """Brings the frozen features to the device; they are no submodule, so the trainer does not."""
        for network in self._perceptual:
            network.to(self.device)

    def training_step(self, batch: dict, batch_idx: int) -> None:
        """A generator step, and every `discriminator_every` batches a discriminator step on the same slices."""
        volume = batch["volume"]
        codebook = [buffer.clone() for buffer in self.ctvit.buffers()]  # the forward pass moves it
        output = self.ctvit(volume)
        reconstruction_loss = (output.reconstruction - volume).square().mean()
        index = draw_slices(len(volume), volume.shape[2], self.draws(batch_idx))
        real, fake = take_slices(volume, index), take_slices(output.reconstruction, index)

        losses = {"reconstruction": reconstruction_loss, "commitment": output.commitment_loss}
        if self._perceptual:
            losses["perceptual"] = perceptual_mse(self._perceptual[0], real, fake)
        adversarial = self.discriminator is not None and batch_idx >= self.discriminator_start
        if adversarial:
            losses["adversarial"] = self._weighted_adversarial_loss(fake, losses)
        loss = sum(losses.values(), torch.zeros((), device=volume.device))
        is_sound = self.is_sound(loss, batch, batch_idx)
        if is_sound:
            self._step(0, loss)
        self.lr_schedulers().step()  # type: ignore[union-attr]  # it counts batches
        if not is_sound:
            for buffer, before in zip(self.ctvit.buffers(), codebook, strict=True):
                buffer.copy_(before)
            return
        self.log_all("train", {**losses, "perplexity": output.perplexity}, len(volume))

        if adversarial and batch_idx % self.discriminator_every == self.discriminator_every - 1:
            result = discriminator_loss(
                self.discriminator, real, fake, gradient_penalty_weight=self.gradient_penalty_weight
            )
            if self.is_sound(result.loss, batch, batch_idx, "discriminator's loss"):
                self._step(1, result.loss)
            self.log_all("train", {"discriminator": result.hinge, "penalty": result.gradient_penalty}, len(volume))

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
        self.log("val/psnr", psnr_of_error(self.trainer.callback_metrics["val/reconstruction"].item()), prog_bar=True)
        self.log_dict({"val/perplexity": use.perplexity, "val/codes_used": use.used})

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Volumes "1 z y x" to look at, by title."""
        reconstruction = self.ctvit(batch["volume"][:1]).reconstruction
        return {"real": batch["volume"][0], "reconstruction": reconstruction[0]}

    def _weighted_adversarial_loss(self, fake: Tensor, losses: dict[str, Tensor]) -> Tensor:
        loss = hinge_generator_loss(self.discriminator(fake))
        reference = losses.get("perceptual", losses["reconstruction"])
        return adaptive_weight(reference, loss, self.ctvit.last_decoder_weight) * loss

    def _step(self, which: int, loss: Tensor) -> None:
        optimizers = self.optimizers()
        optimizer = optimizers[which] if isinstance(optimizers, list) else optimizers
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizer, gradient_clip_val=self.gradient_clip, gradient_clip_algorithm="norm")
        optimizer.step()
