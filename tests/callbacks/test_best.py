"""The kept best checkpoints are the best ones, whatever happens to the run."""

import shutil

import pytest
import torch

from generatect.callbacks.best import Best
from generatect.errors import InputError

EVERY = ("steps=8", "val_every=1", "~callbacks.previews", "stage.datamodule.val_fraction=0.2")


@pytest.fixture(scope="module")
def all_kept(train_tiny):
    """Output of a run that keeps a checkpoint of each validation."""
    return train_tiny("ctvit", *EVERY, "callbacks.checkpoint.keep=100")


def scores(output) -> dict[str, float]:
    """Value of each kept checkpoint, as its name tells it."""
    return {path.name: float(path.stem.rpartition("loss-")[2]) for path in (output / "checkpoints").glob("*.ckpt")}


def best_of(values: dict[str, float], count: int) -> set[str]:
    return set(sorted(values, key=lambda name: (values[name], name))[:count])


def test_names_tell_step_and_value(all_kept):
    assert len(scores(all_kept)) == 8
    for path in (all_kept / "checkpoints").iterdir():
        step = int(path.name.split("-")[1])
        content = torch.load(path, weights_only=True)
        assert content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["completed"] == step


def test_the_best_three_stay(train_tiny, all_kept):
    assert set(scores(train_tiny("ctvit", *EVERY))) == best_of(scores(all_kept), 3)


def test_a_metric_of_which_more_is_better(train_tiny, all_kept):
    settings = ("callbacks.checkpoint.monitor=val/psnr", "callbacks.checkpoint.mode=max", "callbacks.checkpoint.keep=2")
    names = {path.name for path in (train_tiny("ctvit", *EVERY, *settings) / "checkpoints").iterdir()}
    steps = {name.split("-")[1] for name in names}
    assert steps == {name.split("-")[1] for name in best_of(scores(all_kept), 2)}  # psnr falls as the loss rises
    assert all("-val-psnr-" in name for name in names)


def test_a_resumed_run_forgets_none_and_leaves_none_behind(train_tiny, all_kept, tmp_path):
    """Its checkpoint is from before some of them were kept, and a killed run may leave one too many."""
    output = tmp_path / "resumed"
    shutil.copytree(all_kept, output)
    early = next((output / "checkpoints").glob("step-0000004-*"))
    shutil.copy(early, output / "last.ckpt")
    train_tiny("ctvit", *EVERY, f"resume={output / 'last.ckpt'}", output=output)
    assert set(scores(output)) == best_of(scores(all_kept), 3)


def test_a_fresh_run_keeps_its_own_beside_those_of_the_run_before(train_tiny, all_kept, tmp_path):
    output = tmp_path / "again"
    shutil.copytree(all_kept, output)
    train_tiny("ctvit", *EVERY, "seed=1", "fresh=true", output=output)
    assert scores(output / "before-1") == scores(all_kept)
    assert len(scores(output)) == 3


def test_without_validation_a_training_metric_counts(train_tiny):
    settings = ("stage.datamodule.val_fraction=0.0", "callbacks.checkpoint.monitor=train/reconstruction", "val_every=2")
    output = train_tiny("ctvit", *EVERY, *settings)
    assert len(list((output / "checkpoints").glob("step-*-train-reconstruction-*.ckpt"))) == 3


def test_a_metric_that_is_not_logged_is_refused_in_one_line(command, tmp_path):
    small = ("model=tiny", "data.pairs.num=20", "trainer.accelerator=cpu", "steps=1", "~callbacks.previews")
    where = (f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}")
    for monitor, hint in (("val/los", "did you mean 'val/loss'?"), ("accuracy", "known: ")):
        ended = command("train", *small, *where, f"callbacks.checkpoint.monitor={monitor}")
        assert ended.code == 2
        assert ended.err.count("\n") == 1
        assert f"callbacks.checkpoint.monitor={monitor}: " in ended.err
        assert hint in ended.err


@pytest.mark.parametrize("setting", [{"mode": "best"}, {"keep": -1}, {"every": 0}])
def test_settings_that_cannot_be(setting):
    with pytest.raises(InputError, match=r"callbacks\.checkpoint\."):
        Best(**{"folder": "x", "monitor": "val/loss", **setting})
