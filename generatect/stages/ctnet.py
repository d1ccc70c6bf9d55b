"""Stage `ctnet`: a classifier of abnormalities, to judge volumes with."""

from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from generatect.errors import InputError
from generatect.metrics.auroc import auroc
from generatect.metrics.average_precision import average_precision
from generatect.networks.ctnet import CTNet
from generatect.stages.base import Stage
from generatect.stages.optimizers import OptimizerFactory

AIR = -1.0
"""Of the model's [-1, 1]."""


class CTNetStage(Stage):
    """Trains CT-Net on volumes and their labels by binary cross-entropy, each label and each case counting the same.

    So its probabilities are as frequent as they say, and can be held against labels. Rare findings get no larger
    weight, which would raise their probabilities and leave ranks, and with them AUROC, about where they are.

    Args:
        ctnet: the network.
        shift_voxels: volumes are shifted by up to so many voxels along each axis, air coming in, while they train.
        description, optimizer, warmup_steps, final_lr_ratio, gradient_clip, accumulate, seed: see `Stage`.

    Raises:
        InputError: a negative shift.
    """

    def __init__(
        self,
        *,
        description: dict[str, Any],
        ctnet: CTNet,
        optimizer: OptimizerFactory,
        shift_voxels: int = 2,
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
        if shift_voxels < 0:
            raise InputError(f"stage.module.shift_voxels={shift_voxels}: expected at least 0")
        self.ctnet, self.shift_voxels = ctnet, shift_voxels

    def train_on(self, batch: dict, batch_idx: int) -> None:
        """Cross-entropy of shifted volumes."""
        volume, labels = batch["volume"], batch["labels"]
        draws, reach = self.sample_draws(len(volume), batch_idx), self.shift_voxels
        offsets = draws.each(lambda generator: torch.randint(-reach, reach + 1, (1, 3), generator=generator)).tolist()
        shifted = torch.stack([shift(item, offset) for item, offset in zip(volume, offsets, strict=True)])
        loss = binary_cross_entropy_with_logits(self.ctnet(shifted).float(), labels)
        if self.descent.descend(loss, batch, batch_idx):
            self.log_all("train", {"loss": loss}, len(volume))

    def on_validation_epoch_start(self) -> None:
        """Starts gathering what is measured at the end."""
        self._val_logits: list[Tensor] = []
        self._val_labels: list[Tensor] = []

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """Cross-entropy on held-out volumes, which every process sees all of."""
        logits = self.ctnet(batch["volume"]).float()
        loss = binary_cross_entropy_with_logits(logits, batch["labels"])
        self._val_logits.append(logits.cpu())
        self._val_labels.append(batch["labels"].cpu())
        self.log_all("val", {"loss": loss}, len(logits))
        return loss

    def on_validation_epoch_end(self) -> None:
        """AUROC and average precision of each label, and their means.

        A label that fewer than two of the volumes have, or fewer than two lack, is left out.
        """
        logits, labels = torch.cat(self._val_logits).numpy(), torch.cat(self._val_labels).numpy() > 0.5
        if np.isfinite(logits).all():
            self.log_dict(ranking_scores(logits, labels, self.ctnet.labels), sync_dist=True)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """The volume "1 z y x" that is judged."""
        return {"judged": batch["volume"][0]}

    def judge(self, batch: dict) -> dict[str, Tensor]:
        """Cross-entropy of each item, and the probability of each label."""
        logits = self.ctnet(batch["volume"]).float()
        loss = binary_cross_entropy_with_logits(logits, batch["labels"], reduction="none").mean(dim=1)
        return {"loss": loss, **dict(zip(self.ctnet.labels, logits.sigmoid().unbind(1), strict=True))}

    def compare(self, batch: dict, seed: int) -> NoReturn:
        """Makes no volumes.

        Raises:
            InputError: always.
        """
        raise InputError("callbacks: stage 'ctnet' makes no volumes to compare; leave out fid, fvd and clip_score")


def ranking_scores(logits: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """`val/auroc` and `val/average_precision`, means over the labels, and both of each label by name.

    Args:
        logits: scores "n k".
        labels: bool "n k".
        names: of the k labels.
    """
    areas, precisions = {}, {}
    for name, scores, positive in zip(names, logits.T, labels.T, strict=True):
        if 2 <= positive.sum() <= len(positive) - 2:
            areas[name] = auroc(scores[positive], scores[~positive]).value
            precisions[name] = average_precision(scores, positive)
    found = {}
    for metric, values in (("val/auroc", areas), ("val/average_precision", precisions)):
        if values:
            found |= {metric: float(np.mean(list(values.values())))}
            found |= {f"{metric}/{name}": value for name, value in values.items()}
    return found


def shift(volume: Tensor, offset: list[int]) -> Tensor:
    """A volume "1 z y x" moved by whole voxels along z, y and x; what comes in is air.

    A shift of the volume's size or more leaves nothing of it.
    """
    moved = torch.full_like(volume, AIR)
    source, target = [slice(None)], [slice(None)]
    for size, step in zip(volume.shape[1:], offset, strict=True):
        source.append(slice(max(0, -step), max(0, size - step)))
        target.append(slice(max(0, step), max(0, size + step)))
    moved[tuple(target)] = volume[tuple(source)]
    return moved
