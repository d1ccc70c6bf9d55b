"""Gradients of several batches make one step, worth one larger batch; all settings count batches."""

import pytest
import torch

from generatect.stages.base import SETTLED_KEY, Stage

STAGES = ("ctvit", "transformer", "superres")
CONSTANT = ("stage.module.warmup_steps=0", "+stage.module.final_lr_ratio=1.0", "+stage.module.optimizer.eps=1e-3")
QUICK = ("~callbacks.previews", "~callbacks.throughput", "val_every=8")


@pytest.fixture
def settings(tiny_weights):
    """Function from a stage to its settings; the adversarial loss is weighed anew for each batch, and stays out."""

    def of(stage: str) -> tuple[str, ...]:
        own = (
            ("model.discriminator=null",) if stage == "ctvit" else (f"tokenizer={tiny_weights / 'ctvit.safetensors'}",)
        )
        return (*QUICK, *own)

    return of


def state_of(output, name: str = "last.ckpt") -> dict:
    return torch.load(output / name, weights_only=True)


@pytest.mark.parametrize("stage", STAGES)
def test_two_batches_of_two_are_worth_one_of_four(train_tiny, settings, stage):
    one = train_tiny(stage, *settings(stage), *CONSTANT, "steps=3", "stage.datamodule.batch_size=4")
    two = train_tiny(stage, *settings(stage), *CONSTANT, "steps=6", "accumulate=2")
    one, two = state_of(one), state_of(two)
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][key], value, rtol=1e-5, atol=1e-5)
    assert (one["global_step"], two["global_step"]) == (3, 6)
    assert {float(entry["step"]) for entry in two["optimizer_states"][0]["state"].values()} == {3}


def test_what_is_left_at_the_end_makes_a_step_too(train_tiny, settings):
    three = state_of(train_tiny("ctvit", *settings("ctvit"), "steps=3", "accumulate=2"))
    assert {float(entry["step"]) for entry in three["optimizer_states"][0]["state"].values()} == {2}
    assert three[SETTLED_KEY] == three["lr_schedulers"][0]["last_epoch"] == 3


def test_a_run_broken_off_before_its_step_goes_on_bit_for_bit(train_tiny, tiny_weights):
    third = ("callbacks.latest.path=${output}/third.ckpt", "callbacks.latest.every=3")
    common = ("steps=5", "accumulate=2", "stage.averaged=[ctvit]", "callbacks.ema.every=1", "callbacks.ema.start=0")
    whole = train_tiny("ctvit", *QUICK, *common, *third)
    assert state_of(whole, "third.ckpt")[SETTLED_KEY] == 2
    resumed = state_of(train_tiny("ctvit", *QUICK, *common, f"resume={whole / 'third.ckpt'}"))
    whole = state_of(whole)
    for part in ("state_dict", "generatect_ema"):
        assert all(torch.equal(value, resumed[part][key]) for key, value in whole[part].items())
    assert whole["lr_schedulers"] == resumed["lr_schedulers"]


def test_one_bad_batch_leaves_the_whole_step_out(train_tiny, settings, monkeypatch):
    two = state_of(train_tiny("ctvit", *settings("ctvit"), "steps=2", "accumulate=2"))
    before = Stage.on_train_batch_start

    def start(stage: Stage, batch: dict, batch_idx: int) -> None:
        before(stage, batch, batch_idx)
        if batch_idx == 2:
            batch["volume"].fill_(torch.nan)

    monkeypatch.setattr(Stage, "on_train_batch_start", start)
    four = state_of(train_tiny("ctvit", *settings("ctvit"), "steps=4", "accumulate=2"))
    assert all(torch.equal(value, four["state_dict"][key]) for key, value in two["state_dict"].items())
