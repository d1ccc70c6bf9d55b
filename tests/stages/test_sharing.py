"""Two processes train as one does: the same losses, weights, averages and files, whole (DDP) or sharded (FSDP)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from generatect.checkpoints.stage_file import EMA_KEY, read_stage_file
from generatect.config.scores import read_scores

SCRIPT = Path(__file__).with_name("train_together.py")
STAGES = ("ctvit", "transformer", "superres", "ctnet")
AVERAGED = {
    "ctvit": "[ctvit]",
    "transformer": "[maskgit,text,token_critic]",
    "superres": "[unet,text]",
    "ctnet": "[ctnet]",
}
QUICK = (
    "model=tiny",
    "data.pairs.num=20",
    "val_every=2",
    "trainer.accelerator=cpu",
    "text_encoder.encoder.num_buckets=64",
    "callbacks.ema.every=1",
    "callbacks.ema.start=0",
    "stage.module.optimizer.lr=0.03",  # of a long warm-up, so that it does not depend on the number of steps
    "stage.module.gradient_clip=0.5",
    "+stage.module.optimizer.eps=1e-3",  # Adam divides by the gradient: by rounding, where there is next to none
)
ALONE = ("strategy=single", "stage.datamodule.batch_size=4")
TOGETHER = ("trainer.devices=2", "stage.datamodule.batch_size=2")
# Name of the run → its strategy, its steps, and the run that it goes on from.
RUNS = {
    "alone": ("single", 4, None),
    "ddp": ("ddp", 2, None),
    "fsdp": ("fsdp", 2, None),
    "ddp_from_fsdp": ("ddp", 4, "fsdp"),
    "fsdp_from_ddp": ("fsdp", 4, "ddp"),
    "alone_from_fsdp": ("single", 4, "fsdp"),
}


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def folder(tiny_weights, tmp_path_factory) -> Path:
    """Folder of all runs of all stages, as folder/STAGE/RUN."""
    folder = tmp_path_factory.mktemp("sharing")

    def overrides(stage: str, run: str) -> list[str]:
        strategy, steps, earlier = RUNS[run]
        own = (f"stage={stage}", f"steps={steps}", f"stage.averaged={AVERAGED[stage]}", f"cache_dir={folder / 'cache'}")
        shared = ALONE if strategy == "single" else (f"strategy={strategy}", *TOGETHER)
        before = [f"resume={folder / stage / earlier / 'last.ckpt'}"] if earlier else []
        special = [f"tokenizer={tiny_weights / 'ctvit.safetensors'}"]
        if stage == "ctvit":
            special = ["stage.module.discriminator_every=1", "+stage.module.discriminator_optimizer.eps=1e-3"]
        if stage == "ctnet":  # layers draw for a process, not for a sample; scores need some validation items
            special = ["model.ctnet.dropout_prob=0.0", "stage.datamodule.val_fraction=0.5"]
        plain = [] if run == "fsdp" else ["~callbacks.previews", "~callbacks.throughput"]
        return [*QUICK, *own, *shared, *before, *special, *plain, f"output={folder / stage / run}"]

    def launch(name: str, runs: list[str], *command: str) -> None:
        path = folder / f"{name}.json"
        path.write_text(json.dumps([overrides(stage, run) for stage in STAGES for run in runs]))
        ended = subprocess.run(
            [sys.executable, *command, str(SCRIPT), str(path)],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert "find_unused_parameters" not in ended.stderr

    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    launch("together", [run for run in RUNS if RUNS[run][0] != "single"], *torchrun)
    launch("alone", [run for run in RUNS if RUNS[run][0] == "single"])
    return folder


def logged(folder: Path, rank: int = 0) -> list[dict]:
    return json.loads((folder / f"rank{rank}.json").read_text())


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("run", [run for run in RUNS if run != "alone"])
def test_losses_are_those_of_one_process_on_the_same_batches(folder, stage, run):
    ours = logged(folder / stage / run)
    theirs = logged(folder / stage / "alone")
    theirs = theirs[len(theirs) // 2 :] if RUNS[run][2] else theirs[: len(theirs) // 2]
    assert len(ours) == len(theirs) > 0
    for our, their in zip(ours, theirs, strict=True):
        for key, value in their.items():
            if "accuracy" not in key:  # a mean of means
                assert our[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("run", ["ddp", "fsdp"])
def test_validation_finds_what_one_process_finds(folder, stage, run):
    ours, theirs = (read_scores(folder / stage / name / "scores.json").validations[2] for name in (run, "alone"))
    assert ours.keys() == theirs.keys()
    assert "val/auroc" in ours or stage != "ctnet"
    for key, value in theirs.items():
        if key == "val/loss" or key.startswith(("val/auroc", "val/average_precision")):
            assert ours[key] == pytest.approx(value, rel=1e-3), key


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("run", ["ddp_from_fsdp", "fsdp_from_ddp", "alone_from_fsdp"])
def test_a_run_that_changed_its_strategy_ends_like_one_that_did_not(folder, stage, run):
    ours, theirs = (torch.load(folder / stage / name / "last.ckpt", weights_only=True) for name in (run, "alone"))
    for part in ("state_dict", EMA_KEY):
        assert ours[part].keys() == theirs[part].keys()
        for key, value in theirs[part].items():
            torch.testing.assert_close(ours[part][key], value, rtol=1e-3, atol=2e-4)
    for our, their in zip(ours["optimizer_states"], theirs["optimizer_states"], strict=True):
        assert our["state"].keys() == their["state"].keys()
        for index, state in their["state"].items():
            for key, value in state.items():
                torch.testing.assert_close(our["state"][index][key], value, rtol=1e-2, atol=1e-4)
    assert ours["lr_schedulers"] == theirs["lr_schedulers"]
    assert ours["global_step"] == theirs["global_step"] == 4
    one, other = (read_stage_file(folder / stage / name / f"{stage}.safetensors") for name in (run, "alone"))
    assert {key: (value.shape, value.dtype) for key, value in one.state.items()} == {
        key: (value.shape, value.dtype) for key, value in other.state.items()
    }
    assert one.description == other.description


@pytest.mark.parametrize("run", ["ddp", "fsdp", "ddp_from_fsdp", "fsdp_from_ddp"])
def test_codebooks_are_identical_in_both_processes(folder, run):
    first, second = (torch.load(folder / "ctvit" / run / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("stage", STAGES)
def test_the_discriminator_and_all_else_moved(folder, stage):
    two, four = (
        torch.load(folder / stage / run / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("fsdp", "alone_from_fsdp")
    )
    still = {key for key, value in two.items() if torch.equal(value, four[key])}
    assert {key.split(".")[0] for key in two} == {key.split(".")[0] for key in two.keys() - still}
