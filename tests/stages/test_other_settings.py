"""A run that goes on with other settings: refused in one line, or applied and said, and `config.yaml` tells which."""

import csv
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from generatect.checkpoints.stage_file import read_stage_file, write_stage_file
from generatect.data.split import split_by_patient
from generatect.lock import only_process
from generatect.stages.base import Stage
from tests.data.tiny import write_archive

NUM, STEPS = 8, 4
QUICK = ("model=tiny", "trainer.accelerator=cpu", "stage.datamodule.batch_size=2", "stage.datamodule.val_fraction=0.3")
QUICK += ("callbacks=[latest,checkpoint,learning_rate]", "trainer.log_every_n_steps=1", "stage.module.warmup_steps=0")
QUICK += ("val_every=4", "+trainer.enable_progress_bar=false")


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """What lies in a folder, byte for byte, and when each file was written."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def run(command, tmp_path_factory):
    """Folder of a tokenizer's run of four steps on files, and the settings of its data."""
    folder = tmp_path_factory.mktemp("run")
    data = write_archive(folder, NUM)
    ended = command("train", *QUICK, *data, f"steps={STEPS}", f"output={folder / 'out'}")
    assert ended.code == 0, ended.err
    return folder, data


@pytest.fixture
def go_on(command, run, tmp_path):
    """Function that goes on with a copy of the run, in `tmp_path / "out"`, and returns how that ended."""
    folder, data = run

    def resume(*overrides: str):
        copied = subprocess.run(["cp", "-r", folder / "out", tmp_path / "out"])
        assert copied.returncode == 0
        return command("train", *QUICK, *data, f"output={tmp_path / 'out'}", "resume=auto", *overrides)

    return resume


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=4", "seed=0, the command has 4"),
        ("stage.datamodule.val_fraction=0.7", "stage.datamodule.val_fraction=0.3, the command has 0.7"),
        ("preset=released", "preset=PhysicalPreset, the command has ReleasedPreset"),
        ("preset.fov_mm_zyx=[80.0,256.0,256.0]", "384.0], the command has [80.0, 256.0, 256.0]"),
        ("model.ctvit.codebook_size=64", "model.ctvit.codebook_size=32, the command has 64"),
        ("model.ctvit.dim=24", "model.ctvit.dim=16, the command has 24"),
        ("model.discriminator=null", "model.discriminator=Discriminator, the command has null"),
        ("stage.module.optimizer._target_=torch.optim.Adam", "stage.module.optimizer=AdamW, the command has Adam"),
        ("data.hu_policy=unchecked", "data.hu_policy=auto, the command has unchecked"),
        ("+stage.datamodule.max_train_items=3", "stage.datamodule.max_train_items=null, the command has 3"),
    ],
)
def test_what_makes_another_run_is_refused(go_on, run, tmp_path, override, said):
    before = snapshot(run[0] / "out")
    ended = go_on("steps=6", override)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert {name: content for name, (content, _) in snapshot(tmp_path / "out").items()} == {
        name: content for name, (content, _) in before.items()
    }


@pytest.mark.parametrize("kind", ["another text", "a column split", "a volume less"])
def test_another_table_is_refused(go_on, run, tmp_path, kind):
    folder, _ = run
    header, *rows = (folder / "table.csv").read_text().splitlines()
    if kind == "another text":
        rows[0] += " No effusion."
    elif kind == "a column split":
        header += ",split"
        rows = [f"{row},{'val' if index < 2 else 'train'}" for index, row in enumerate(rows)]
    else:
        rows = rows[:-1]
    (tmp_path / "other.csv").write_text("\n".join([header, *rows]))
    ended = go_on("steps=6", f"data.table={tmp_path / 'other.csv'}")
    assert ended.code == 2
    assert ("reports_and_labels=" if kind == "another text" else "split=") in ended.err
    assert ended.err.count("\n") == 1


def rates(folder: Path, name: str = "train/learning_rate") -> dict[int, float]:
    with open(folder / "logs" / "metrics.csv", newline="") as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row[name]}


def cosine(peak: float, step: int, num_steps: int) -> float:
    """The rate of a step, counted from 1, without warm-up."""
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - 1) / num_steps)))


def settings_of(folder: Path) -> dict:
    return OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))


def test_other_optimizers_and_a_longer_schedule_are_applied_and_said(go_on, tmp_path):
    out, peak = tmp_path / "out", 1e-6
    module = "stage.module"
    ended = go_on(
        f"steps={2 * STEPS}",
        f"{module}.optimizer.lr={peak}",
        f"{module}.optimizer.betas=[0.5,0.6]",
        f"{module}.optimizer.weight_decay=0.02",
        f"{module}.discriminator_optimizer.lr=1e-7",
    )
    assert ended.code == 0, ended.err
    assert ended.out.count("going on from") == 1
    for said in (
        f"steps {STEPS} → {2 * STEPS}",
        f"{module}.optimizer.lr 0.001 → 1e-06",
        f"{module}.optimizer.betas [0.9, 0.99] → [0.5, 0.6]",
        f"{module}.optimizer.weight_decay 0.0 → 0.02",
        f"{module}.discriminator_optimizer.lr 0.0001 → 1e-07",
    ):
        assert said in ended.out
    found, config = rates(out), settings_of(out)
    assert config["stage"]["module"]["optimizer"]["lr"] == peak
    assert config["steps"] == 2 * STEPS
    for step in range(1, STEPS + 1):
        assert found[step] == pytest.approx(cosine(1e-3, step, STEPS), rel=1e-5)
    for step in range(STEPS + 1, 2 * STEPS + 1):  # the first of them, too
        assert found[step] == pytest.approx(cosine(peak, step, 2 * STEPS), rel=1e-5)
    assert set(list(rates(out, "train/discriminator_learning_rate").values())[STEPS:]) == {1e-7}
    state = torch.load(out / "last.ckpt", weights_only=True)
    own, other = state["optimizer_states"]
    assert [(group["betas"], group["weight_decay"]) for group in own["param_groups"]] == [
        ((0.5, 0.6), 0.02),
        ((0.5, 0.6), 0.0),
    ]
    assert {group["lr"] for group in other["param_groups"]} == {1e-7}
    assert all(entry["exp_avg"].abs().sum() > 0 for entry in own["state"].values())
    before = OmegaConf.load(out / "config-1.yaml")
    assert (before.steps, before.stage.module.optimizer.lr) == (STEPS, 1e-3)
    starts = json.loads((out / "run.json").read_text())["starts"]
    assert [bool(start["changed"]) for start in starts] == [False, True]


@pytest.fixture
def names(monkeypatch):
    """The samples of each training batch, as the process sees them."""
    seen: list[list[str]] = []
    begin = Stage.on_train_batch_start

    def note(stage: Stage, batch: dict, batch_idx: int) -> None:
        begin(stage, batch, batch_idx)
        seen.append(list(batch["name"]))

    monkeypatch.setattr(Stage, "on_train_batch_start", note)
    return seen


def order_of(positions: range) -> list[str]:
    """Which sample belongs to each position of the whole training."""
    everyone = [f"scan{index}" for index in range(NUM)]
    train = split_by_patient([f"patient{index}" for index in range(NUM)], val_fraction=0.3)["train"]
    assert 4 <= len(train) < NUM
    passes = (np.random.default_rng((0, number)).permutation(train) for number in range(positions.stop))
    return [everyone[index] for order in passes for index in order][positions.start : positions.stop]


def test_batches_of_another_size_leave_no_sample_out_and_take_none_twice(go_on, names, tmp_path):
    ended = go_on("steps=7", "stage.datamodule.batch_size=3", "accumulate=2", "precision=bf16")
    assert ended.code == 0, ended.err
    for said in ("stage.datamodule.batch_size 2 → 3", "accumulate 1 → 2", "trainer.precision 32-true → bf16-mixed"):
        assert said in ended.out
    config = settings_of(tmp_path / "out")
    assert (config["stage"]["datamodule"]["batch_size"], config["accumulate"]) == (3, 2)
    assert config["trainer"]["precision"] == "bf16-mixed"
    assert [len(batch) for batch in names] == [3, 3, 3]
    assert [name for batch in names for name in batch] == order_of(range(2 * STEPS, 2 * STEPS + 9))


TWO = """
import json, sys
from generatect.config.command import run_command
from generatect.stages.base import Stage
from generatect.train import train

begin, seen = Stage.on_train_batch_start, []

def note(stage, batch, batch_idx):
    begin(stage, batch, batch_idx)
    seen.append(list(batch["name"]))
    open(f"rank{stage.global_rank}.json", "w").write(json.dumps(seen))

Stage.on_train_batch_start = note
run_command("train", train)
"""


def test_two_processes_go_on_where_one_was(run, tmp_path):
    """What Lightning starts beside the first is not refused by the lock that the first holds."""
    folder, data = run
    subprocess.run(["cp", "-r", folder / "out", tmp_path / "out"], check=True)
    (tmp_path / "script.py").write_text(TWO)
    two = ["strategy=ddp", "trainer.devices=2", "resume=auto", "steps=6", f"output={tmp_path / 'out'}"]
    ended = subprocess.run(
        [sys.executable, "script.py", *QUICK, *data, *two],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("trainer.devices 1 → 2") == 1
    assert ended.stdout.count("processes 1 → 2") == 1
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    taken = [
        name for batches in zip(first, second, strict=True) for pair in zip(*batches, strict=True) for name in pair
    ]
    assert taken == order_of(range(2 * STEPS, 2 * STEPS + 8))
    assert settings_of(tmp_path / "out")["trainer"]["devices"] == 2
    starts = json.loads((tmp_path / "out" / "run.json").read_text())["starts"]
    assert [start["num_processes"] for start in starts] == [1, 2]


def test_a_run_is_not_written_over_and_moved_aside_when_asked(command, run, tmp_path):
    folder, data = run
    subprocess.run(["cp", "-rp", folder / "out", tmp_path / "out"], check=True)
    settings, before = (*QUICK, *data, f"output={tmp_path / 'out'}", "steps=1"), snapshot(tmp_path / "out")
    for overrides, said in (
        ((), f"output={tmp_path / 'out'}: holds a run (last.ckpt of step {STEPS}, "),
        (("fresh=true", "resume=auto"), "fresh=true with resume=auto"),
        (("fresh=true", f"init={tmp_path / 'out' / 'last.ckpt'}"), "fresh=true would move it aside"),
        (("fresh=true", f"init={tmp_path / 'out'}"), "ctvit.safetensors: fresh=true would move it aside"),
        ((f"resume={folder / 'out' / 'last.ckpt'}", "steps=6"), "holds a run"),
        ((f"resume={tmp_path / 'out' / 'last.ckpt'}",), f"its {STEPS} steps are done, steps=1 leaves none"),
    ):
        ended = command("train", *settings, *overrides)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert said in ended.err
        assert snapshot(tmp_path / "out") == before
    with only_process(tmp_path / "out"):
        ended = command("train", *settings, "resume=auto")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert f"process {os.getpid()}" in ended.err
    assert snapshot(tmp_path / "out") == before
    ended = command("train", *settings, "fresh=true")
    assert ended.code == 0, ended.err
    assert f"is in {tmp_path / 'out' / 'before-1'} now" in ended.out
    after = snapshot(tmp_path / "out")
    assert {name.removeprefix("before-1/"): of for name, of in after.items() if name.startswith("before-1/")} == before
    assert settings_of(tmp_path / "out")["steps"] == 1
    assert set(rates(tmp_path / "out")) == {1}


def test_weights_without_a_checkpoint_are_not_trained_over(command, run, tmp_path):
    """`resume=auto` starts where there is nothing, and a finished run of which the weights were kept is something."""
    folder, data = run
    (tmp_path / "out").mkdir()
    weights = (folder / "out" / "ctvit.safetensors").read_bytes()
    (tmp_path / "out" / "ctvit.safetensors").write_bytes(weights)
    ended = command("train", *QUICK, *data, f"output={tmp_path / 'out'}", "steps=1", "resume=auto")
    assert ended.code == 2
    assert "holds a run (ctvit.safetensors, " in ended.err
    assert snapshot(tmp_path / "out").keys() == {"ctvit.safetensors"}
    assert (tmp_path / "out" / "ctvit.safetensors").read_bytes() == weights


def test_a_finished_run_does_not_take_on_other_settings(go_on, run, tmp_path):
    ended = go_on(f"steps={STEPS}", "stage.module.optimizer.lr=1e-6")
    assert ended.code == 0, ended.err
    assert f"all {STEPS} steps are done; nothing is trained with stage.module.optimizer.lr 0.001 → 1e-06" in ended.out
    assert settings_of(tmp_path / "out")["stage"]["module"]["optimizer"]["lr"] == 1e-3


@pytest.fixture(scope="module")
def later(command, run):
    """A run of the transformer on the tokenizer of `run`."""
    folder, data = run
    tokenizer = folder / "out" / "ctvit.safetensors"
    settings = (*QUICK, *data, "stage=transformer", "text_encoder.encoder.num_buckets=64", "steps=2")
    settings = tuple(item for item in settings if item != "stage.module.warmup_steps=0")
    ended = command("train", *settings, f"tokenizer={tokenizer}", f"output={folder / 'later'}")
    assert ended.code == 0, ended.err
    return settings, folder / "later", tokenizer


def test_a_later_stage_goes_on_with_its_tokenizer_alone(command, later, tmp_path):
    settings, output, tokenizer = later
    before, file = snapshot(output), read_stage_file(tokenizer)
    codebook = file.state["ctvit.quantizer.codebook"]
    others = {
        "codebook": (file.description, {**file.state, "ctvit.quantizer.codebook": codebook.flip(0)}),
        "preset": (
            {**file.description, "preset": {**file.description["preset"], "fov_mm_zyx": [80, 256, 256]}},
            file.state,
        ),
    }
    for name, (description, state) in others.items():
        path = tmp_path / f"{name}.safetensors"
        write_stage_file(path, description, state)
        ended = command("train", *settings, f"tokenizer={path}", f"output={output}", "steps=3", "resume=auto")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert f"tokenizer.{name}" in ended.err
        assert snapshot(output) == before
    again = (f"tokenizer={tokenizer}", f"output={output}", "resume=auto", "steps=3")
    ended = command("train", *settings, *again, "text_encoder.encoder.word_dropout_prob=0.3")
    assert "text_encoder.encoder.word_dropout_prob=0.15, the command has 0.3" in ended.err
    assert snapshot(output) == before
    write_stage_file(tmp_path / "half.safetensors", file.description, file.state, half=True)  # the same codes
    ended = command("train", *settings, *again, f"tokenizer={tmp_path / 'half.safetensors'}")
    assert ended.code == 0, ended.err
