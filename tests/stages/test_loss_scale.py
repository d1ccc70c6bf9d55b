"""fp16: the scale of the losses, with torch's own scaler, and a real training in fp16, which CPUs can do slowly."""

import functools

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from generatect.config.quiet import quiet
from generatect.errors import InputError
from generatect.networks.ctvit import CTViT
from generatect.networks.discriminator import Discriminator
from generatect.stages.ctvit import CTViTStage
from generatect.stages.loss_scale import LEAST, LossScale

ADAM = functools.partial(torch.optim.Adam, lr=1e-3)


def judge(scale: LossScale, *norms: float) -> list[bool]:
    scale.scaler.scale(torch.ones(()))  # as before every backward pass
    found = [scale.is_too_large(torch.tensor(norm)) for norm in norms]
    scale.update()
    return found


def test_an_overflow_in_either_optimizer_halves_the_scale_once():
    scale = LossScale(GradScaler("cpu", init_scale=64.0))
    assert judge(scale, 3.0, float("inf")) == [False, True]
    assert scale.value == 32
    assert judge(scale, float("nan"), float("inf")) == [True, True]
    assert scale.value == 16


def test_the_scale_grows_after_enough_good_steps():
    scale = LossScale(GradScaler("cpu", init_scale=64.0, growth_interval=2))
    assert judge(scale, 1.0) == judge(scale, 1.0) == [False]
    assert scale.value == 128


def test_gradients_that_overflow_at_any_scale_end_the_run():
    scale = LossScale(GradScaler("cpu", init_scale=LEAST / 2))
    with pytest.raises(InputError, match="precision=bf16"):
        judge(scale, float("inf"))


def test_other_precisions_have_no_scale():
    scale = LossScale(None)
    scale.update()
    assert scale.value == 1
    assert not scale.is_too_large(torch.tensor(float("inf")))  # the guard's business


class Losses(L.Callback):
    """Keeps what is logged at each step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer, *_):
        self.seen.append({key: float(value) for key, value in trainer.callback_metrics.items()})


@pytest.fixture
def train(tmp_path):
    """Function that trains a tiny tokenizer against its discriminator, and returns stage and losses."""

    def run(plugin: MixedPrecision | None, steps: int) -> tuple[CTViTStage, list[dict[str, float]]]:
        quiet()
        L.seed_everything(0, verbose=False)
        sizes = {"image_size": 16, "patch_size": 8, "slice_patch_size": 2, "spatial_depth": 1, "temporal_depth": 1}
        ctvit = CTViT(dim=16, codebook_size=8, dim_head=8, heads=2, **sizes)
        stage = CTViTStage(
            description={"stage": "ctvit"},
            ctvit=ctvit,
            optimizer=ADAM,
            discriminator=Discriminator(image_size=16, dim=4),
            discriminator_optimizer=ADAM,
            discriminator_every=1,
            warmup_steps=0,
        )
        items = [{"volume": torch.rand(1, 5, 16, 16) * 2 - 1, "name": str(i)} for i in range(2 * steps)]
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        losses = Losses()
        trainer = L.Trainer(
            accelerator="cpu",
            plugins=[] if plugin is None else [plugin],
            limit_train_batches=steps,
            limit_val_batches=0,
            max_epochs=1,
            callbacks=[losses],
            default_root_dir=tmp_path,
            **off,
        )
        trainer.fit(stage, *[DataLoader(items, batch_size=2)] * 2)
        return stage, losses.seen

    return run


class TestTraining:
    def test_fp16_follows_fp32_and_keeps_weights_and_codebook_in_fp32(self, train):
        half, losses = train(MixedPrecision("16-mixed", "cpu", GradScaler("cpu", init_scale=1024.0)), 4)
        _, expected = train(None, 4)
        assert all(value.dtype != torch.float16 and value.isfinite().all() for value in half.state_dict().values())
        for ours, theirs in zip(losses, expected, strict=True):
            for key in ("reconstruction", "adversarial", "discriminator", "penalty", "gradient_norm"):
                assert ours[f"train/{key}"] == pytest.approx(theirs[f"train/{key}"], rel=0.05, abs=0.02), key

    def test_an_overflow_leaves_weights_and_optimizers_alone(self, train):
        scaler = GradScaler("cpu", init_scale=2.0**126)
        stage, _ = train(MixedPrecision("16-mixed", "cpu", scaler), 1)
        fresh, _ = train(MixedPrecision("16-mixed", "cpu", GradScaler("cpu", init_scale=2.0**126)), 1)
        assert scaler.get_scale() == 2.0**125
        optimizers = stage.optimizers(use_pl_optimizer=False)
        assert not any(optimizer.state for optimizer in optimizers)
        assert all(torch.equal(p, q) for p, q in zip(stage.parameters(), fresh.parameters(), strict=True))
