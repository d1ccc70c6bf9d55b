"""Averaged weights: their values, when they are in place, and what a checkpoint holds."""

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from generatect.callbacks.ema import WeightAveraging
from generatect.checkpoints.stage_file import EMA_KEY
from generatect.config.quiet import quiet
from generatect.errors import InputError


class Counting(L.LightningModule):
    """Its weight is the number of steps; it notes the weight that each kind of use sees."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.settled, self.seen = nn.Linear(1, 1, bias=False), 0, {}
        nn.init.zeros_(self.network.weight)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters())

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.settled = batch_idx + 1
        nn.init.constant_(self.network.weight, self.settled)

    def note(self, use: str) -> None:
        self.seen[use] = self.network.weight.item()

    def validation_step(self, *_: object) -> None:
        self.note("validation")

    def test_step(self, *_: object) -> None:
        self.note("test")

    def predict_step(self, *_: object) -> torch.Tensor:
        self.note("prediction")
        return torch.zeros(1)


@pytest.fixture
def run(tmp_path):
    """Function that trains for some steps with averaging, and returns trainer and module."""

    def train(steps: int, **settings: object) -> tuple[L.Trainer, Counting]:
        quiet()
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        averaging = WeightAveraging(networks=["network"], **settings)
        limits = {"limit_train_batches": steps, "max_epochs": 1, "num_sanity_val_steps": 0}
        trainer = L.Trainer(accelerator="cpu", callbacks=[averaging], default_root_dir=tmp_path, **limits, **off)
        module, data = Counting(), DataLoader(torch.zeros(steps, 1))
        trainer.fit(module, data, DataLoader(torch.zeros(1, 1)))
        return trainer, module

    return train


def test_every_use_sees_the_average_and_training_its_own(run):
    trainer, module = run(6, decay=0.6, every=2, start=2)
    average = 2.0  # at step 2, where averaging starts
    for step in (4, 6):
        decay = min(0.6, 1 - (1 + step - 2 - 1) ** (-2 / 3))
        average = decay * average + (1 - decay) * step
    trainer.test(module, DataLoader(torch.zeros(1, 1)), verbose=False)
    trainer.predict(module, DataLoader(torch.zeros(1, 1)))
    assert module.seen == pytest.approx(dict.fromkeys(("validation", "test", "prediction"), average))
    assert module.network.weight.item() == 6


def test_a_checkpoint_from_within_a_validation_has_both_in_their_places(run):
    trainer, module = run(4, decay=0.5, every=1, start=0)
    averaging, average = trainer.callbacks[0], trainer.callbacks[0].average["network.weight"].item()
    averaging.on_validation_start(trainer, module)
    checkpoint = {"state_dict": module.state_dict()}
    averaging.on_save_checkpoint(trainer, module, checkpoint)
    assert checkpoint["state_dict"]["network.weight"].item() == 4
    assert checkpoint[EMA_KEY]["network.weight"].item() == average != 4


def test_a_name_that_is_no_network_is_refused(run):
    trainer, module = run(1)
    with pytest.raises(InputError, match="known: network"):
        WeightAveraging(networks=["netwrok"]).setup(trainer, module, "fit")
