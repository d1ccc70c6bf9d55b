"""Stage `transformer`: MaskGIT fills masked tokens from the report."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from generatect.networks.ctvit import CTViT
from generatect.networks.label_head import LabelHead
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic
from generatect.objectives.masking import (
    MaskedTokenLoss,
    draw_dropped,
    draw_steps,
    masked_token_loss,
    num_masked,
    random_mask,
    sample_ids,
    token_critic_loss,
)
from generatect.sampling.maskgit import decode_tokens
from generatect.stages.base import Stage
from generatect.stages.draws import SampleDraws
from generatect.stages.optimizers import OptimizerFactory
from generatect.text.conditioner import TextConditioner
from generatect.text.features import TextFeatures


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
        preview_guidance: guidance scale of previews and of metrics.
        description, optimizer, warmup_steps, final_lr_ratio, gradient_clip, accumulate, seed: see `Stage`.
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
        self.maskgit, self.text, self.token_critic = maskgit, text, token_critic
        self.label_head, self.label_weight = label_head, label_weight
        self._tokenizer = (tokenizer.eval().requires_grad_(False),)  # in a tuple: no submodule, not in checkpoints
        self.text_drop_prob, self.mask_steps, self.label_smoothing = text_drop_prob, mask_steps, label_smoothing
        self.preview_guidance = preview_guidance

    def train_on(self, batch: dict, batch_idx: int) -> None:
        """Cross-entropy of masked tokens, plus the critic's loss on samples of the same logits."""
        draws = self.sample_draws(len(batch["ids"]), batch_idx)
        result, text = self._masked_loss(batch, draws, self.text_drop_prob)
        loss = result.loss * self._share(result.mask, self.window)
        values = {
            "loss": result.loss * self._share(result.mask, range(batch_idx, batch_idx + 1)),
            "accuracy": result.accuracy,
            "text_dropped": result.drop_text.float().mean(),
        }
        if self.token_critic is not None:
            logits = result.logits.detach()
            sampled = [sample_ids(logits[i : i + 1], generator) for i, generator in enumerate(draws.generators)]
            critic = token_critic_loss(
                self.token_critic,
                logits,
                batch["ids"],
                text.features,
                text.mask,
                generator=draws.generators[0],
                drop_text=result.drop_text,
                sampled=torch.cat(sampled),
            )
            loss = loss + critic.loss
            values |= {"critic_loss": critic.loss, "critic_accuracy": critic.accuracy}
        if self.label_head is not None:
            logits = self.label_head(text.features, text.mask)
            if "labels" in batch:
                label_loss = binary_cross_entropy_with_logits(logits.float(), batch["labels"])
                loss = loss + self.label_weight * label_loss
                right = ((logits > 0) == batch["labels"]).float().mean()
                values |= {"label_loss": label_loss, "label_accuracy": right}
            else:
                loss = loss + 0 * logits.sum()  # every weight has its gradient, which several processes rely on
        if self.descent.descend(loss, batch, batch_idx):
            self.log_all("train", values, len(batch["ids"]))

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """The loss with the text, and with another volume's text: their gap is what the text tells."""
        num_samples = len(batch["ids"])
        result, _ = self._masked_loss(batch, self.sample_draws(num_samples, batch_idx), 0.0)
        shuffled = {**batch, "text": batch["text"][1:] + batch["text"][:1]}
        wrong, _ = self._masked_loss(shuffled, self.sample_draws(num_samples, batch_idx), 0.0)
        values = {"loss": result.loss, "accuracy": result.accuracy, "text_gain": wrong.loss - result.loss}
        self.log_all("val", values, num_samples)
        return result.loss

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Volumes "1 z y x" to look at: the real one as its tokens give it, and one generated from its report."""
        tokenizer = self._tokenizer[0].to(self.device)
        ids = self._sample({"ids": batch["ids"][:1], "text": batch["text"][:1]}, self.seed)
        real, generated = tokenizer.decode_ids(torch.cat([batch["ids"][:1], ids]))
        return {"reconstruction": real, "generated": generated}

    def judge(self, batch: dict) -> dict[str, Tensor]:
        """Values of each item under one recorded mask: loss, accuracy, and what the report tells over none."""
        values = []
        for index in range(len(batch["ids"])):
            item = {key: batch[key][index : index + 1] for key in ("ids", "text")}
            result, _ = self._masked_loss(item, self.sample_draws(1, 0), 0.0)
            blind, _ = self._masked_loss(item, self.sample_draws(1, 0), 1.0)
            values.append(torch.stack([result.loss, result.accuracy, blind.loss - result.loss]))
        loss, accuracy, text_gain = torch.stack(values).unbind(1)
        return {"loss": loss, "accuracy": accuracy, "text_gain": text_gain}

    def compare(self, batch: dict, seed: int) -> tuple[Tensor, Tensor]:
        """Volumes "b 1 z y x" for metrics: real ones as their tokens give them, and those sampled from their reports.

        Both pass through the tokenizer, so that its losses count on neither side.
        """
        tokenizer = self._tokenizer[0].to(self.device)
        return tokenizer.decode_ids(batch["ids"]), tokenizer.decode_ids(self._sample(batch, seed))

    def _sample(self, batch: dict, seed: int) -> Tensor:
        """Tokens "b t h w" sampled from the reports."""
        text = self.text(list(batch["text"]))
        return decode_tokens(
            self.maskgit,
            token_grid=batch["ids"].shape[1:],
            mask_id=self.maskgit.mask_id,
            text_features=text.features,
            text_mask=text.mask,
            num_steps=self.mask_steps,
            guidance=self.preview_guidance,
            generator=torch.Generator().manual_seed(seed),
        )

    def _masked_loss(
        self, batch: dict, draws: SampleDraws, text_drop_prob: float
    ) -> tuple[MaskedTokenLoss, TextFeatures]:
        ids = batch["ids"]
        steps = draws.each(self._draw_step)  # the first draw of each sample: see `_share`
        text = self.text(list(batch["text"]), draws.generators)
        masks = [
            random_mask(steps[i : i + 1], self.mask_steps, ids[0].numel(), generator)
            for i, generator in enumerate(draws.generators)
        ]
        result = masked_token_loss(
            self.maskgit,
            ids,
            text.features,
            text.mask,
            mask_id=self.maskgit.mask_id,
            generator=draws.generators[0],
            num_steps=self.mask_steps,
            label_smoothing=self.label_smoothing,
            mask=torch.cat(masks).to(ids.device).view_as(ids),
            drop_text=draws.each(lambda generator: draw_dropped(1, text_drop_prob, generator)).to(ids.device),
        )
        return result, text

    def _draw_step(self, generator: torch.Generator) -> Tensor:
        return draw_steps(1, self.mask_steps, generator)

    def _share(self, mask: Tensor, batches: range) -> float:
        """Hidden tokens of this process's batch, relative to the mean over all processes and `batches`.

        Every hidden token of a step counts the same, so a batch with more of them weighs more. What is hidden elsewhere
        follows from the draws; nobody has to ask.
        """
        num_batches = self.num_processes * len(batches)
        if num_batches == 1:
            return 1.0
        num_tokens = mask[0].numel()
        steps = self.draws_of_all(len(mask), batches).each(self._draw_step).tolist()
        total = sum(num_masked(step, self.mask_steps, num_tokens) for step in steps)
        return mask.sum().item() * num_batches / total
