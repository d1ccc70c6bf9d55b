"""Runs several trainings in a row, for a test that starts this as one or as several processes.

Usage: train_together.py COMMANDS.json; the file holds lists of overrides. Each process leaves in each run's output what
was logged while training (rank0.json, …) and its buffers, such as the codebook (rank0.pt, …).
"""

import json
import os
import sys
from pathlib import Path

import torch
from hydra.core.global_hydra import GlobalHydra

from generatect.config.command import run_command
from generatect.stages.base import Stage
from generatect.train import train


def record(stage: Stage, prefix: str, values: dict, batch_size: int) -> None:
    log_all(stage, prefix, values, batch_size)
    if prefix == "train":
        logged.append({key: float(stage.trainer.callback_metrics[f"train/{key}"]) for key in values})


def keep(stage: Stage) -> None:
    folder = Path(stage.trainer.default_root_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"rank{stage.global_rank}.json").write_text(json.dumps(logged))
    torch.save(dict(stage.named_buffers()), folder / f"rank{stage.global_rank}.pt")


torch.set_num_threads(1)
log_all, Stage.log_all, Stage.on_train_end = Stage.log_all, record, keep
for overrides in json.loads(Path(sys.argv[1]).read_text()):
    logged: list[dict] = []
    GlobalHydra.instance().clear()
    arguments, sys.argv = sys.argv, ["train", *overrides]
    try:
        run_command("train", train)
    except SystemExit as end:
        if end.code:
            os._exit(end.code)
    sys.argv = arguments
