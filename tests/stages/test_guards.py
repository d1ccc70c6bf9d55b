"""A loss that is no number changes nothing, is reported, and ends the run when it stays."""

import pytest
import torch

from generatect.stages.base import Stage
from generatect.stages.superres import SuperResStage

STAGES = ("ctvit", "transformer", "superres")
SETTINGS = ("~callbacks.previews", "stage.module.warmup_steps=100", "val_every=9", "callbacks.latest.every=9")


@pytest.fixture
def spoil(monkeypatch):
    """Function that makes the loss of some steps NaN, from within what the network sees."""

    def plant(steps: set[int]) -> None:
        before = Stage.on_train_batch_start

        def start(stage: Stage, batch: dict, batch_idx: int) -> None:
            before(stage, batch, batch_idx)
            if batch_idx not in steps:
                return
            for key in ("volume", "highres"):
                if key in batch:
                    batch[key].fill_(torch.nan)
            if "ids" in batch:
                hook = stage.maskgit.register_forward_hook(lambda *call: (hook.remove(), call[2] * torch.nan)[1])

        monkeypatch.setattr(Stage, "on_train_batch_start", start)

    return plant


def settings_of(stage: str, tiny_weights) -> list[str]:
    return [*SETTINGS, *([] if stage == "ctvit" else [f"tokenizer={tiny_weights / 'ctvit.safetensors'}"])]


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_without_a_finite_loss_changes_nothing(train_tiny, tiny_weights, spoil, stage):
    settings = settings_of(stage, tiny_weights)
    two = train_tiny(stage, "steps=2", *settings)
    spoil({2})
    three = train_tiny(stage, "steps=3", *settings)
    one, other = (torch.load(output / "last.ckpt", weights_only=True) for output in (two, three))
    assert all(torch.equal(value, other["state_dict"][key]) for key, value in one["state_dict"].items())
    for ours, theirs in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for index, state in ours["state"].items():
            assert all(torch.equal(value, theirs["state"][index][key]) for key, value in state.items())


@pytest.mark.parametrize("stage", STAGES)
def test_three_in_a_row_end_the_run_and_name_the_samples(command, tiny_weights, spoil, tmp_path, stage):
    spoil({1, 2, 3})
    small = ("model=tiny", "data.pairs.num=20", "steps=6", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    settings = (f"stage={stage}", *small, *settings_of(stage, tiny_weights), f"cache_dir={tmp_path / 'cache'}")
    ended = command("train", *settings, f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert ended.out.count("; step skipped") == 2
    assert f"stage {stage}, step 4" in ended.err
    assert "phantom" in ended.err
    assert "Traceback" not in ended.err


def test_out_of_memory_names_what_to_change(command, tiny_weights, monkeypatch, tmp_path):
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(SuperResStage, "training_step", fail)
    small = ("model=tiny", "data.pairs.num=20", "steps=1", "trainer.accelerator=cpu", f"cache_dir={tmp_path / 'cache'}")
    settings = ("stage=superres", *small, *settings_of("superres", tiny_weights))
    ended = command("train", *settings, f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert "stage.datamodule.batch_size=" in ended.err
    assert ended.err.count("\n") == 1
