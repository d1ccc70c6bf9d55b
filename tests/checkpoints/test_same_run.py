"""What may change of a run on its way, and what makes it another: a table of settings."""

import copy
from pathlib import Path

import pytest
import torch

from generatect.checkpoints.rebuild import codebook_sha256
from generatect.checkpoints.same_run import SETTINGS_KEY, changes_since, described_otherwise, settings_of_run
from generatect.checkpoints.stage_file import StageFile
from generatect.errors import InputError

SETTINGS = {
    "seed": 0,
    "steps": 4,
    "val_every": 2,
    "accumulate": 1,
    "checkpoint_activations": False,
    "compile": False,
    "output": "/somewhere/out",
    "resume": None,
    "fresh": False,
    "init": None,
    "tokenizer": "/somewhere/ctvit.safetensors",
    "logger": {"csv": {"path": "/somewhere/out/metrics.csv"}},
    "callbacks": {"latest": {"every": 2}, "ema": {"decay": 0.99}, "checkpoint": {"folder": "out/checkpoints"}},
    "model": {
        "num_slices": 5,
        "ctvit": {"_target_": "generatect.networks.ctvit.CTViT", "codebook_size": 32},
        "discriminator": {"_target_": "generatect.networks.discriminator.Discriminator", "dim": 4},
        "perceptual": None,
        "unet": {"dim": 8},
        "process": {"_target_": "generatect.diffusion.process.SuperResProcess", "noise": 0.1},
    },
    "preset": {"_target_": "generatect.ct.preset.PhysicalPreset", "fov_mm_zyx": [300.0, 384.0, 384.0]},
    "text_encoder": {"encoder": {"kind": "hashed_words", "word_dropout_prob": 0.15}},
    "data": {
        "pairs": {"layout": {"root": "/data/Jane Doe", "table": "t.csv", "template": "report"}, "hu_policy": "auto"},
        "root": "/data/Jane Doe",
        "table": "t.csv",
        "template": "report",
        "hu_policy": "auto",
        "on_bad": "raise",
    },
    "trainer": {"devices": 1, "strategy": "auto", "precision": "32-true", "default_root_dir": "/somewhere/out"},
    "stage": {
        "name": "ctvit",
        "averaged": [],
        "datamodule": {
            "_target_": "a.CTViTData",
            "batch_size": 2,
            "val_fraction": 0.3,
            "skipped_file": "/x/skipped.csv",
        },
        "module": {
            "warmup_steps": 100,
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-3, "betas": [0.9, 0.99], "weight_decay": 0.0},
            "discriminator_optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-4, "amsgrad": False},
        },
    },
}
DATA = {"split": {"train": 4, "val": 2, "sha256": "a" * 64}, "reports_and_labels": {"sha256": "b" * 64}}
TOKENIZER = {"codebook_sha256": "c" * 64, "preset": {"name": "physical", "fov_mm_zyx": [300.0, 384.0, 384.0]}}
PARTS = {"ctvit": ("ctvit", "discriminator", "perceptual"), "superres": ("unet", "process")}


def identity(stage: str = "ctvit", settings: dict = SETTINGS, data: dict = DATA, tokenizer: dict = TOKENIZER) -> dict:
    own = None if stage == "ctvit" else tokenizer
    return settings_of_run(settings, parts=PARTS[stage], tokenizer=own, data=data)


def changed(key: str, value: object) -> dict:
    settings = copy.deepcopy(SETTINGS)
    node, (*path, name) = settings, key.split(".")
    for part in path:
        node = node[part]
    node[name] = value
    return settings


@pytest.fixture
def since(tmp_path):
    """Function that compares a command with a run, both given as identities."""

    def compare(before: dict, now: dict) -> list[str]:
        torch.save({SETTINGS_KEY: before}, tmp_path / "last.ckpt")  # and back: plain values, as a checkpoint keeps them
        return changes_since(tmp_path / "last.ckpt", now)

    return compare


@pytest.mark.parametrize(
    ("stage", "key", "value", "said"),
    [
        ("ctvit", "seed", 4, "seed=0, the command has 4"),
        ("ctvit", "stage.datamodule.val_fraction", 0.7, "val_fraction=0.3, the command has 0.7"),
        ("ctvit", "stage.datamodule.max_train_items", 3, "max_train_items=null, the command has 3"),
        ("ctvit", "model.ctvit.codebook_size", 64, "model.ctvit.codebook_size=32, the command has 64"),
        ("ctvit", "model.discriminator", None, "model.discriminator=Discriminator, the command has null"),
        ("ctvit", "model.perceptual", {"_target_": "a.VGG"}, "model.perceptual=null, the command has VGG"),
        ("ctvit", "preset.fov_mm_zyx", [80.0, 256.0, 256.0], "fov_mm_zyx=[300.0, 384.0, 384.0], the command has [80.0"),
        (
            "ctvit",
            "stage.module.optimizer._target_",
            "torch.optim.SGD",
            "stage.module.optimizer=AdamW, the command has SGD",
        ),
        ("ctvit", "stage.module.optimizer.amsgrad", True, "amsgrad=null, the command has True"),
        ("ctvit", "stage.module.discriminator_optimizer.amsgrad", True, "amsgrad=False, the command has True"),
        ("ctvit", "data.hu_policy", "unchecked", "data.hu_policy=auto, the command has unchecked"),
        ("superres", "model.process.noise", 0.2, "model.process.noise=0.1, the command has 0.2"),
        ("superres", "text_encoder.encoder.kind", "t5", "text_encoder.encoder.kind=hashed_words, the command has t5"),
    ],
)
def test_another_run_is_refused_in_one_line_with_both_values(since, stage, key, value, said):
    with pytest.raises(InputError, match=r"^resume=.*last\.ckpt: of a run with ") as caught:
        since(identity(stage), identity(stage, changed(key, value)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "key", "value", "said"),
    [
        ("ctvit", "stage.module.optimizer.lr", 1e-6, ["stage.module.optimizer.lr 0.001 → 1e-06"]),
        (
            "ctvit",
            "stage.module.optimizer.betas",
            [0.8, 0.9],
            ["stage.module.optimizer.betas [0.9, 0.99] → [0.8, 0.9]"],
        ),
        (
            "ctvit",
            "stage.module.discriminator_optimizer.lr",
            1e-7,
            ["stage.module.discriminator_optimizer.lr 0.0001 → 1e-07"],
        ),
        ("ctvit", "stage.datamodule.batch_size", 3, ["stage.datamodule.batch_size 2 → 3"]),
        ("ctvit", "steps", 6, ["steps 4 → 6"]),
        ("ctvit", "accumulate", 2, ["accumulate 1 → 2"]),
        ("ctvit", "trainer.devices", 2, ["trainer.devices 1 → 2"]),
        (
            "ctvit",
            "trainer.strategy",
            {"_target_": "a.ReplicatedStrategy"},
            ["trainer.strategy auto → ReplicatedStrategy"],
        ),
        ("ctvit", "trainer.precision", "bf16-mixed", ["trainer.precision 32-true → bf16-mixed"]),
        ("ctvit", "stage.averaged", ["ctvit"], ["stage.averaged [] → ['ctvit']"]),
        ("ctvit", "data.on_bad", "skip", ["data.on_bad raise → skip"]),
        ("ctvit", "callbacks.ema.decay", 0.9, ["callbacks.ema.decay 0.99 → 0.9"]),
        # Where things lie, how they are shown, and parts that the stage does not use are nothing of the run.
        ("ctvit", "data.root", "/elsewhere", []),
        ("ctvit", "tokenizer", "/elsewhere", []),
        ("ctvit", "output", "/elsewhere", []),
        ("ctvit", "resume", "auto", []),
        ("ctvit", "callbacks.latest.every", 7, []),
        ("ctvit", "callbacks.checkpoint.folder", "other/checkpoints", []),
        ("ctvit", "model.unet.dim", 16, []),
        ("ctvit", "text_encoder.encoder.kind", "t5", []),
        ("superres", "model.ctvit.codebook_size", 64, []),
        ("superres", "preset.fov_mm_zyx", [1.0, 1.0, 1.0], []),  # a later stage takes its tokenizer's
    ],
)
def test_what_may_change_is_said(since, stage, key, value, said):
    assert since(identity(stage), identity(stage, changed(key, value))) == said


def test_another_tokenizer_is_refused_by_its_codebook_and_its_preset(since):
    for other, said in (
        ({**TOKENIZER, "codebook_sha256": "d" * 64}, "tokenizer.codebook_sha256=cccccccc…, the command has dddddddd…"),
        (
            {**TOKENIZER, "preset": {**TOKENIZER["preset"], "name": "released"}},
            "preset.name=physical, the command has rel",
        ),
    ):
        with pytest.raises(InputError, match=said):
            since(identity("superres"), identity("superres", tokenizer=other))
    assert since(identity("superres"), identity("superres", tokenizer=copy.deepcopy(TOKENIZER))) == []


def test_other_data_are_refused_and_the_setting_named_where_one_differs(since):
    moved = {**DATA, "split": {"train": 3, "val": 3, "sha256": "e" * 64}}
    with pytest.raises(InputError, match="split=4 train 2 val aaaaaaaa, the command has 3 train 3 val eeeeeeee"):
        since(identity(), identity(data=moved))
    reworded = {**DATA, "reports_and_labels": {"sha256": "f" * 64}}
    with pytest.raises(InputError, match="reports_and_labels=bbbbbbbb, the command has ffffffff"):
        since(identity(), identity(data=reworded))
    with pytest.raises(InputError, match=r"data\.template=report, the command has findings"):
        since(identity(), identity(settings=changed("data.template", "findings"), data=reworded))
    assert since(identity(), identity(settings=changed("data.template", "findings"))) == [
        "data.template report → findings"
    ]


def test_a_checkpoint_keeps_no_path():
    assert "Jane Doe" not in repr(identity())
    assert "/somewhere" not in repr(identity())


def test_a_checkpoint_that_does_not_say_is_refused(tmp_path):
    torch.save({}, tmp_path / "old.ckpt")
    with pytest.raises(InputError, match="does not say by which settings"):
        changes_since(tmp_path / "old.ckpt", identity())


def test_weights_that_start_a_run_say_in_what_they_were_trained_otherwise():
    weights = {"preset": {"name": "physical", "fov": [1, 2, 3]}, "codebook_sha256": "c" * 64, "networks": {}}
    run = {
        "preset": {"name": "physical", "fov": (1, 2, 3)},
        "codebook_sha256": "d" * 64,
        "text": {},
        "networks": {"a": 1},
    }
    assert described_otherwise(weights, run) == ["codebook_sha256 cccccccc… → dddddddd…"]
    assert described_otherwise(weights, {**run, "codebook_sha256": "c" * 64}) == []


def test_a_tokenizer_without_a_codebook_is_one_line():
    with pytest.raises(InputError, match=r"^t\.safetensors: holds no codebook"):
        codebook_sha256(StageFile(Path("t.safetensors"), {"stage": "ctvit"}, {}, "0" * 64))
