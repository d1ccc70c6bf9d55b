"""FID, FVD and CLIP score while a stage trains: right values, and a training that does not notice them."""

import csv
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from generatect.callbacks.evaluation import Evaluation
from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.stage_file import read_stage_file
from generatect.ct.preset import PhysicalPreset
from generatect.data.ctvit_data import CTViTData
from generatect.errors import InputError
from generatect.evaluation.clips import slices
from generatect.evaluation.detectors import IMAGES, load_detector
from generatect.evaluation.presets import EvaluationPreset
from generatect.phantom.pairs import PhantomPairs
from tests.evaluation.tiny_clip import write_clip
from tests.loggers.wandb_files import read_wandb

SHORT_CLIPS = "callbacks.fvd.protocol.clip_length=4"  # a tiny volume has 5 slices
FEW = [f"callbacks.{metric}.{key}" for metric in ("fid", "fvd") for key in ("num_volumes=3", "every=1")]
VALIDATION = "stage.datamodule.val_fraction=0.3"


def values(output: Path, column: str) -> list[float]:
    """What a run has logged, in order."""
    [path] = output.glob("logs/**/metrics.csv")
    with open(path, newline="", encoding="utf-8") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row.get(column)]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "model")


@pytest.mark.parametrize("stage", ["ctvit", "transformer", "superres"])
def test_every_stage_is_measured_and_trains_as_if_it_were_not(stage, train_tiny, tiny_weights, tiny_clip):
    earlier = [] if stage == "ctvit" else [f"tokenizer={tiny_weights}"]
    plain = train_tiny(stage, VALIDATION, *earlier)
    clip = [f"callbacks.clip_score.{key}" for key in (f"detector={tiny_clip}", "num_volumes=3", "every=1")]
    chosen = ["callbacks=[default,fid,fvd,clip_score]", SHORT_CLIPS, *FEW, *clip]
    measured = train_tiny(stage, VALIDATION, *earlier, *chosen, "logger=wandb", "logger.wandb.mode=offline")
    run = read_wandb(measured)
    for metric, least, most in (("fid", 0, math.inf), ("fvd", 0, math.inf), ("clip_score", 0, 100)):
        found = values(measured, f"val/{metric}")
        assert len(found) == 2
        assert run.values(f"val/{metric}") == dict(zip((2, 4), found, strict=True))
        assert all(least <= value < most for value in found)
    assert (plain / f"{stage}.safetensors").read_bytes() == (measured / f"{stage}.safetensors").read_bytes()


def test_fid_is_that_of_the_reconstructions_of_the_first_validation_volumes(train_tiny):
    output = train_tiny("ctvit", VALIDATION, "callbacks=[default,fid]", *FEW[:2])
    expected = fid_of_reconstructions(output / "ctvit.safetensors", num_volumes=3)
    assert values(output, "val/fid")[-1] == pytest.approx(expected, rel=1e-4)


def fid_of_reconstructions(path: Path, num_volumes: int) -> float:
    """By another way: everything at once, one sample covariance, eigenvalues of the product."""
    file = read_stage_file(path, "ctvit")
    network, preset = rebuild_network(file, "ctvit"), rebuild_preset(file)
    data = CTViTData(pairs=PhantomPairs(num=20, seed=0), preset=preset, val_fraction=0.3, seed=0)
    volumes = [data.inputs.volume(index) for index in data.val_indices[:num_volumes]]
    with torch.no_grad():
        made = [network(volume[None]).reconstruction[0] for volume in volumes]
    detector, protocol = load_detector("random", IMAGES), EvaluationPreset(name="robust")
    sides = []
    for arrays in (volumes, made):
        shown = [slices(preset.to_volume(array).voxels_hu, protocol, "") for array in arrays]
        sides.append(detector(torch.cat(shown)).double().numpy())
    means = [side.mean(0) for side in sides]
    real, fake = (np.cov(side, rowvar=False, ddof=1) for side in sides)
    overlap = np.sqrt(np.linalg.eigvals(real @ fake).astype(complex)).real.sum()
    return float(np.square(means[0] - means[1]).sum() + np.trace(real) + np.trace(fake) - 2 * overlap)


def test_checkpoints_are_kept_by_it_and_a_resumed_run_measures_as_an_uninterrupted_one(train_tiny):
    chosen = [
        VALIDATION,
        "callbacks=[default,fid]",
        "callbacks.fid.num_volumes=3",
        "callbacks.fid.every=2",
        "val_every=1",
    ]
    whole = train_tiny("ctvit", *chosen, "callbacks.checkpoint.monitor=val/fid")
    logged = values(whole, "val/fid")
    assert len(logged) == 3  # the first, the third, and the last
    kept = {int(path.name[5:12]): path for path in (whole / "checkpoints").glob("step-*-val-fid-*.ckpt")}
    assert sorted(kept) == [1, 3, 4]  # none by the number of another step
    named = [float(kept[step].stem.partition("val-fid-")[2]) for step in sorted(kept)]
    assert named == pytest.approx(logged, rel=1e-5)
    resumed = train_tiny("ctvit", *chosen, f"resume={kept[1]}")
    assert values(resumed, "val/fid") == logged[1:]


class Diverged(L.LightningModule):
    """A stage whose volumes are not finite from the second validation on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.num_compared = 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())

    def training_step(self, batch, batch_idx):
        return (self.weight * batch["volume"]).sum()

    def validation_step(self, batch, batch_idx):
        pass

    def compare(self, batch, seed):
        self.num_compared += 1
        return batch["volume"], batch["volume"] * (1.0 if self.num_compared <= 4 else math.nan)


class TwoVolumes(L.LightningDataModule):
    """Two volumes, to train and to validate on."""

    preset = PhysicalPreset(num_slices=2, size=8, upscaled_size=8)

    def __init__(self) -> None:
        super().__init__()
        volumes = torch.rand(2, 1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        self.val_data = [{"volume": volume, "text": "a report"} for volume in volumes]

    def train_dataloader(self):
        return DataLoader(self.val_data, num_workers=0)

    val_dataloader = train_dataloader


def test_volumes_that_are_not_finite_are_no_number_and_no_end(tmp_path):
    class Keep(L.Callback):
        found: ClassVar[list[float]] = []

        def on_validation_end(self, trainer, pl_module):
            self.found.append(float(trainer.callback_metrics["val/fid"]))

    callback = Evaluation(metric="fid", protocol=EvaluationPreset(name="robust"), every=1)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=2,
        val_check_interval=1,
        num_sanity_val_steps=0,
        callbacks=[callback, Keep()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning would have more workers
        trainer.fit(Diverged(), datamodule=TwoVolumes())
    assert Keep.found[0] == pytest.approx(0, abs=1e-6)
    assert math.isnan(Keep.found[1])


def test_two_processes_measure_as_one_does(tmp_path):
    settings = ["model=tiny", "data.pairs.num=20", "steps=2", "val_every=2", "stage.datamodule.batch_size=2"]
    settings += ["strategy=ddp", "trainer.accelerator=cpu", "trainer.devices=2", VALIDATION]
    settings += ["callbacks=[default,fid]", *FEW[:2], f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"]
    ended = subprocess.run(
        [sys.executable, "-m", "generatect.train", "stage=ctvit", *settings],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("val/fid: 3 volumes, one validation in 1") == 1
    expected = fid_of_reconstructions(tmp_path / "out" / "ctvit.safetensors", num_volumes=3)
    assert values(tmp_path / "out", "val/fid")[-1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("stage", "setting", "expected"),
    [
        ("ctvit", "callbacks.fid.every=0", "callbacks.fid.every=0: expected at least 1"),
        ("ctvit", "callbacks.fid.num_volumes=1", "callbacks.fid.num_volumes=1: expected at least 2"),
        ("ctvit", "callbacks.fid.detector=none.pt", "fid.detector=none.pt: no such file"),
        ("ctvit", "callbacks.fvd.protocol.clip_length=16", "5 slices, fewer than a clip has"),
    ],
)
def test_what_cannot_be_measured_is_said_before_training(stage, setting, expected, command, tmp_path):
    small = ["model=tiny", "data.pairs.num=20", "steps=2", "val_every=2", "trainer.accelerator=cpu", VALIDATION]
    where = [f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"]
    chosen = ["callbacks=[default,fid,fvd]", SHORT_CLIPS, setting]
    ended = command("train", f"stage={stage}", *small, *where, *chosen)
    assert ended.code == 2
    assert expected in ended.err
    assert ended.err.count("\n") == 1


def test_an_unknown_metric_is_refused():
    with pytest.raises(InputError, match="metric=lpips: expected one of fid, fvd, clip_score"):
        Evaluation(metric="lpips", protocol=EvaluationPreset(name="robust"))
