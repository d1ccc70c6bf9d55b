"""One cell of the study: a classifier trained on one set from one seed, and what it gives the test volumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from generatect.config.build import build
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.errors import InputError
from generatect.progress import Progress
from generatect.stages.assemble import Assembled, assemble
from generatect.utility_study.items import Item, ItemPairs

STAGE = "ctnet"


@dataclass(frozen=True)
class Recipe:
    """How every classifier of the study is trained, whatever it is trained on.

    Attributes:
        stage: data module and Lightning module of stage `ctnet`.
        model: sizes; `ctnet` of it counts.
        preset: the grid of the volumes.
        trainer: arguments of `lightning.Trainer`.
        labels: the findings.
        steps: batches that each classifier is trained for.
        cache_dir: folder of the volumes' arrays.
    """

    stage: dict[str, Any]
    model: dict[str, Any]
    preset: dict[str, Any]
    trainer: dict[str, Any]
    labels: list[str]
    steps: int
    cache_dir: str

    @property
    def batch_size(self) -> int:
        """Volumes in a batch."""
        return self.stage["datamodule"]["batch_size"]

    def deciding(self) -> dict[str, Any]:
        """What of it decides the scores."""
        kept = {"batch_size": self.batch_size, "precision": self.trainer.get("precision"), "steps": self.steps}
        return {
            **kept,
            "network": self.model[STAGE],
            "module": self.stage["module"],
            "preset": self.preset,
            "labels": self.labels,
        }


class Watch(L.Callback):
    """Tells of every step.

    Args:
        show: is told.
    """

    def __init__(self, show: Progress) -> None:
        self.show = show

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step is done."""
        self.show("steps", batch_idx + 1, int(trainer.limit_train_batches))


def train_and_score(
    recipe: Recipe, training: Sequence[Item], test: Sequence[Item], seed: int, show: Progress
) -> Float[np.ndarray, "n k"]:
    """Trains a classifier and returns its logits for every test volume and finding.

    One seed means the same first weights and the same shifts, whatever is trained on.

    Args:
        recipe: how.
        training: what on.
        test: what it is judged on.
        seed: of weights, order and augmentation.
        show: is told of every step.

    Raises:
        InputError: the network does not take these findings or volumes, or memory does not do.
    """
    L.seed_everything(seed, verbose=False)
    built = assembled(recipe)
    data = {**recipe.stage["datamodule"], "val_fraction": 0.0, "cache_dir": recipe.cache_dir, "on_bad": "raise"}
    module = build(recipe.stage["module"], description={**built.description, "stage": STAGE}, seed=seed, **built.module)
    runner = build(
        recipe.trainer,
        limit_train_batches=recipe.steps,
        limit_val_batches=0,
        callbacks=[Watch(show)],
        logger=False,
    )
    datamodule = build(data, pairs=ItemPairs(training), preset=built.preset, seed=seed, **built.data)
    try:
        runner.fit(module, datamodule=datamodule)
        return _scores(module.ctnet, runner.strategy.root_device, recipe, built, test)
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"utility: out of memory at stage.datamodule.batch_size={recipe.batch_size}; lower it, choose "
            "precision=bf16, or a smaller model"
        ) from error


def compute_device(trainer: Mapping[str, Any]) -> torch.device:
    """Where classifiers are trained."""
    on_gpu = trainer.get("accelerator", "auto") != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def assembled(recipe: Recipe) -> Assembled:
    """The network of stage `ctnet` with random weights, and what goes with it.

    Raises:
        InputError: the model's settings name other findings, or do not fit.
    """
    built = assemble(
        STAGE,
        model=recipe.model,
        preset=recipe.preset,
        text_encoder={},
        tokenizer=None,
        cache_dir=None,
        label_names=recipe.labels,
    )
    if list(built.module[STAGE].labels) != recipe.labels:
        raise InputError("model.ctnet.labels: the study chooses its findings itself; leave them out, use labels=[…]")
    return built


@torch.inference_mode()
def _scores(
    network: torch.nn.Module, device: torch.device, recipe: Recipe, built: Assembled, test: Sequence[Item]
) -> Float[np.ndarray, "n k"]:
    network = network.to(device).eval()
    inputs = ModelInputs(ItemPairs(test), built.preset, ArrayCache(recipe.cache_dir))
    found = list[Tensor]()
    for start in range(0, len(test), recipe.batch_size):
        places = range(start, min(start + recipe.batch_size, len(test)))
        volumes = torch.stack([inputs.volume(place) for place in places])
        found.append(network(volumes.to(device)).float().cpu())
    return torch.cat(found).numpy()
