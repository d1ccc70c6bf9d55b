"""Stage `transformer`: MaskGIT fills masked tokens from the report."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from generatect.networks.ctvit import CTViT
from generatect.networks.label_head import LabelHead
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic
from generatect.objectives.masking import masked_token_loss, token_critic_loss
from generatect.sampling.maskgit import decode_tokens
from generatect.stages.base import OptimizerFactory, Stage
from generatect.text.conditioner import TextConditioner


class TransformerStage(Stage):
    """Trains MaskGIT, the trainable part of its text conditioner and, where there is one, the token critic (spec §2).

    Args:
        maskgit: the network.
        text: reports → features.
        tokenizer: frozen CT-ViT, for previews alone.
        token_critic: learns to find wrong tokens; None trains none.
        label_head: reads the labels from the text features while training; None, or data without labels: no such loss.
        label_weight: weight of its binary cross-entropy.
        text_drop_prob: probability of withholding a report, for guidance.
        mask_steps: decoding steps whose mask ratios are trained.
        label_smoothing: of the cross-entropy.
        preview_guidance: guidance scale of previews.
        description, optimizer, warmup_steps, final_lr_ratio, seed: see `Stage`.
    """

    def __init__(
        self,
        *,
        description: dict[str, Any],
        maskgit: MaskGIT,
        text: TextConditioner,
        tokenizer: CTViT,
        optimizer: OptimizerFactory,
        token_critic: TokenCritic | None = None,
        label_head: LabelHead | None = None,
        label_weight: float = 1.0,
        text_drop_prob: float = 0.25,
        mask_steps: int = 18,
        label_smoothing: float = 0.0,
        preview_guidance: float = 3.0,
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
        self.maskgit, self.text, self.token_critic = maskgit, text, token_critic
        self.label_head, self.label_weight = label_head, label_weight
        self._tokenizer = (tokenizer.eval().requires_grad_(False),)  # in a tuple: no submodule, not in checkpoints
        self.text_drop_prob, self.mask_steps, self.label_smoothing = text_drop_prob, mask_steps, label_smoothing
        self.preview_guidance = preview_guidance

    def training_step(self, batch: dict, batch_idx: int) -> Tensor | None:
        """Cross-entropy of masked tokens, plus the critic's loss on samples of the same logits."""
        generator = self.draws(batch_idx)
        result, text = self._masked_loss(batch, generator, self.text_drop_prob)
        loss = result.loss
        values = {"loss": loss, "accuracy": result.accuracy, "text_dropped": result.drop_text.float().mean()}
        if self.token_critic is not None:
            critic = token_critic_loss(
                self.token_critic,
                result.logits.detach(),
                batch["ids"],
                text.features,
                text.mask,
                generator=generator,
                drop_text=result.drop_text,
            )
            loss = loss + critic.loss
            values |= {"critic_loss": critic.loss, "critic_accuracy": critic.accuracy}
        if self.label_head is not None and "labels" in batch:
            logits = self.label_head(text.features, text.mask)
            label_loss = binary_cross_entropy_with_logits(logits.float(), batch["labels"])
            loss = loss + self.label_weight * label_loss
            values |= {"label_loss": label_loss, "label_accuracy": ((logits > 0) == batch["labels"]).float().mean()}
        if not self.is_sound(loss, batch, batch_idx):
            return None
        self.log_all("train", values, len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """The loss with the text, and with another volume's text: their gap is what the text tells."""
        result, _ = self._masked_loss(batch, self.draws(batch_idx, "val"), 0.0)
        shuffled = {**batch, "text": batch["text"][1:] + batch["text"][:1]}
        wrong, _ = self._masked_loss(shuffled, self.draws(batch_idx, "val"), 0.0)
        values = {"loss": result.loss, "accuracy": result.accuracy, "text_gain": wrong.loss - result.loss}
        self.log_all("val", values, len(batch["ids"]))
        return result.loss

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Volumes "1 z y x" to look at: the real one as its tokens give it, and one generated from its report."""
        tokenizer = self._tokenizer[0].to(self.device)
        text = self.text(list(batch["text"][:1]))
        ids = decode_tokens(
            self.maskgit,
            token_grid=batch["ids"].shape[1:],
            mask_id=self.maskgit.mask_id,
            text_features=text.features,
            text_mask=text.mask,
            num_steps=self.mask_steps,
            guidance=self.preview_guidance,
            generator=torch.Generator().manual_seed(self.seed),
        )
        real, generated = tokenizer.decode_ids(torch.cat([batch["ids"][:1], ids]))
        return {"reconstruction": real, "generated": generated}

    def _masked_loss(self, batch: dict, generator: torch.Generator, text_drop_prob: float) -> tuple:
        text = self.text(list(batch["text"]))
        result = masked_token_loss(
            self.maskgit,
            batch["ids"],
            text.features,
            text.mask,
            mask_id=self.maskgit.mask_id,
            generator=generator,
            text_drop_prob=text_drop_prob,
            num_steps=self.mask_steps,
            label_smoothing=self.label_smoothing,
        )
        return result, text
