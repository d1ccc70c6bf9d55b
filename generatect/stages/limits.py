"""What no trainer can do with a stage, said before anything is built: the one table of it."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

import torch

from generatect.errors import InputError

OWNED = {
    "accumulate_grad_batches": "accumulate={value}",
    "gradient_clip_val": "stage.module.gradient_clip={value}",
    "gradient_clip_algorithm": "stage.module.gradient_clip=NORM, which clips by the norm",
    "limit_train_batches": "steps={value}",
    "max_steps": "steps={value}",
    "max_epochs": "steps=BATCHES: a training is one endless epoch",
    "min_epochs": "steps=BATCHES: a training is one endless epoch",
    "fast_dev_run": "debug=fast",
    "overfit_batches": "debug=overfit",
    "min_steps": "steps={value}",
    "max_time": "SIGTERM or SIGUSR1 at that time, which saves and ends the run",
    "val_check_interval": "val_every={value}",
    "check_val_every_n_epoch": "val_every=BATCHES",
    "callbacks": "the group callbacks",
    "logger": "the group logger",
    "use_distributed_sampler": "the default, false: the data modules share the data out",
}
"""Settings of the trainer that something else decides, and what to set instead."""
DEFAULTS = {
    "use_distributed_sampler": False,
    "max_steps": -1,
    "max_epochs": 1,
    "fast_dev_run": False,
    "overfit_batches": 0.0,
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
}

PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16", "16-mixed": "fp16"}
STRATEGIES = ("generatect.stages.strategies.ReplicatedStrategy", "generatect.stages.strategies.ShardedStrategy")


def check_trainer(stage: Mapping[str, Any], trainer: Mapping[str, Any], *, compile: bool = False) -> None:
    """Refuses settings and combinations that cannot work.

    Args:
        stage: its `name`.
        trainer: arguments of `lightning.Trainer`.
        compile: whether networks are to be compiled.

    Raises:
        InputError: naming the setting and what to choose instead.
    """
    for key, instead in OWNED.items():
        value = trainer.get(key)
        if value is not None and value != DEFAULTS.get(key):
            raise InputError(f"trainer.{key}={value}: not for this training; use {instead.format(value=value)}")
    accelerator, precision = trainer.get("accelerator", "auto"), str(trainer.get("precision", "32-true"))
    target = _target(trainer.get("strategy", "auto"))
    if target != "auto" and target not in STRATEGIES:
        raise InputError(f"trainer.strategy={target}: not for this training; use strategy=single, ddp or fsdp")
    devices, num_nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    if target == "auto" and (num_nodes != 1 or str(devices) not in ("1", "[0]")):
        raise InputError(
            f"trainer.devices={devices}, trainer.num_nodes={num_nodes}: strategy=single is one process; use "
            "strategy=ddp or fsdp"
        )
    if not _is_there(accelerator):
        raise InputError(
            f"trainer.accelerator={accelerator}: no GPU found here; use trainer.accelerator=cpu or a machine with one"
        )
    if precision not in PRECISIONS:
        raise InputError(f"trainer.precision={precision}: expected precision={', '.join(PRECISIONS.values())}")
    on_cpu = _is_on_cpu(accelerator)
    _check_job(devices, num_nodes, on_cpu, os.environ)
    if on_cpu and precision == "16-mixed":
        raise InputError("precision=fp16: CPUs cannot train in it; use precision=bf16 or fp32, or a GPU")
    if compile and target == STRATEGIES[1]:
        raise InputError("compile=true: not with strategy=fsdp, whose blocks come and go; use strategy=ddp")
    if compile and on_cpu and not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        raise InputError("compile=true: needs a C++ compiler, and none is found here; install one or use compile=false")


def _check_job(devices: Any, num_nodes: int, on_cpu: bool, environment: Mapping[str, str]) -> None:
    """Compare with the SLURM job around this process, in which tasks that nobody starts would be waited for.

    Raises:
        InputError: the job's tasks or nodes are not those that the trainer waits for.
    """
    is_shell = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")  # where this process starts the others
    if "SLURM_NTASKS" not in environment or is_shell or "TORCHELASTIC_RUN_ID" in environment:
        return
    tasks, tasks_per_node = environment["SLURM_NTASKS"], environment.get("SLURM_NTASKS_PER_NODE")
    if tasks != "1" and "SLURM_STEP_ID" not in environment:
        raise InputError(
            f"SLURM_NTASKS={tasks}: the job has {tasks} tasks, and this command runs once; start it as: srun python -m "
            "generatect.train …, or ask for --ntasks=1"
        )
    if tasks != "1" and tasks_per_node is None:
        raise InputError(f"SLURM_NTASKS={tasks}: how many on a node is not said; ask for --ntasks-per-node=NUMBER")
    if devices == "auto":
        devices = 1 if on_cpu else torch.cuda.device_count()
    if tasks_per_node is not None and isinstance(devices, int) and str(devices) != tasks_per_node:
        raise InputError(
            f"trainer.devices={devices}: the SLURM job has {tasks_per_node} tasks on a node, one for each device; use "
            f"trainer.devices={tasks_per_node} or --ntasks-per-node={devices}"
        )
    nodes = environment.get("SLURM_NNODES", str(num_nodes))
    if nodes != str(num_nodes):
        raise InputError(
            f"trainer.num_nodes={num_nodes}: the SLURM job has {nodes} nodes; use trainer.num_nodes={nodes} or "
            f"--nodes={num_nodes}"
        )


def _target(strategy: Any) -> str:
    return str(strategy.get("_target_", "auto")) if isinstance(strategy, Mapping) else str(strategy)


def _is_on_cpu(accelerator: Any) -> bool:
    return accelerator == "cpu" or (accelerator == "auto" and not _has_gpu())


def _has_gpu() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _is_there(accelerator: Any) -> bool:
    if accelerator == "gpu":
        return _has_gpu()
    return accelerator != "cuda" or torch.cuda.is_available()
