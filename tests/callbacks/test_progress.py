"""What a training shows while it runs: on a terminal a bar, in a log lines."""

import contextlib
import io
import re

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from generatect.callbacks.progress import TrainingBar
from generatect.config.quiet import quiet


class Stop(BaseException):
    """As a signal ends a training."""


class Learning(L.LightningModule):
    """Its loss is 1, 1/2, 1/3, …; its validation finds 0.25."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.fails_at = nn.Linear(1, 1), fails_at

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters())

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        if batch_idx == self.fails_at:
            raise Stop
        self.log("train/loss", 1 / (batch_idx + 1))

    def validation_step(self, *_: object) -> None:
        self.log("val/loss", 0.25)


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Function that trains with the bar and returns what was shown."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")

    def run(screen: io.StringIO, steps: int = 4, module: L.LightningModule | None = None, **settings: float) -> str:
        quiet()
        limits = {"limit_train_batches": steps, "max_epochs": 1, "num_sanity_val_steps": 0, "val_check_interval": 2}
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_model_summary"), False)
        bar = TrainingBar(steps=steps, **settings)
        trainer = L.Trainer(accelerator="cpu", callbacks=[bar], default_root_dir=tmp_path, **limits, **off)
        loaders = DataLoader(torch.zeros(steps, 1)), DataLoader(torch.zeros(1, 1))
        with contextlib.redirect_stdout(screen), contextlib.suppress(Stop):
            trainer.fit(module or Learning(), *loaders)
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())

    return run


def test_the_bar_shows_steps_loss_and_time_and_no_version(train):
    shown = train(Terminal())
    assert re.search(r"training ━+ 4/4 loss 0\.25, val/loss 0\.25 \d:\d\d:\d\d 0:00:00\n", shown)
    assert "v_num" not in shown
    assert shown.endswith("\n")


def test_what_ends_a_training_is_said_on_a_line_of_its_own(train):
    assert train(Terminal(), module=Learning(fails_at=3)).endswith("\n")


def test_a_log_gets_lines_that_name_step_loss_and_time_left(train):
    shown = train(io.StringIO(), line_s=0.0)
    lines = shown.splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"step {step} of 4" for step in (1, 2, 3, 4)]
    assert lines[0].startswith("step 1 of 4, loss 1, about ")
    assert lines[2].startswith("step 3 of 4, loss 0.3333, val/loss 0.25, about ")
    assert all(line.endswith(" left") for line in lines)


def test_a_log_of_a_short_run_stays_empty(train):
    assert train(io.StringIO()) == ""


def test_a_resumed_training_begins_in_the_middle_of_the_whole():
    trainer, bar = L.Trainer(accelerator="cpu", logger=False, enable_model_summary=False), TrainingBar(steps=40)
    trainer.fit_loop.epoch_loop.batch_progress.current.processed = 10
    with contextlib.redirect_stdout(Terminal()):
        bar.on_train_start(trainer, Learning())
        (task,) = bar._display.tasks
        bar.on_exception(trainer, Learning(), Stop())
    assert (task.completed, task.total) == (10, 40)
