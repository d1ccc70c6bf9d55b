"""What cannot work is refused in one line that says what can."""

import pytest
import torch

from generatect.errors import InputError
from generatect.stages.limits import check_trainer

DDP, FSDP = ({"_target_": f"generatect.stages.strategies.{name}Strategy"} for name in ("Replicated", "Sharded"))
CPU = {"accelerator": "cpu", "precision": "32-true", "strategy": "auto"}


@pytest.mark.parametrize(
    ("trainer", "hint"),
    [
        ({"accumulate_grad_batches": 4}, "use accumulate=4"),
        ({"gradient_clip_val": 2.0}, "use stage.module.gradient_clip=2.0"),
        ({"limit_train_batches": 10}, "use steps=10"),
        ({"max_steps": 10}, "use steps=10"),
        ({"val_check_interval": 5}, "use val_every=5"),
        ({"devices": 2}, "strategy=ddp or fsdp"),
        ({"num_nodes": 2}, "strategy=ddp or fsdp"),
        ({"strategy": "deepspeed"}, "strategy=single, ddp or fsdp"),
        ({"strategy": {"_target_": "lightning.pytorch.strategies.FSDPStrategy"}}, "strategy=single, ddp or fsdp"),
        ({"precision": "16-mixed"}, "precision=bf16"),
        ({"precision": "64-true"}, "precision=fp32, bf16, fp16"),
    ],
)
def test_a_setting_that_cannot_work_names_the_one_that_does(trainer, hint):
    with pytest.raises(InputError, match=hint) as error:
        check_trainer({"name": "ctvit"}, CPU | trainer)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said():
    with pytest.raises(InputError, match="no GPU found"):
        check_trainer({"name": "ctvit"}, CPU | {"accelerator": "gpu"})


@pytest.mark.parametrize(
    ("job", "trainer", "hint"),
    [
        ({"SLURM_NTASKS": "2"}, {"strategy": DDP, "devices": 2}, r"start it as: srun python"),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"}, {"strategy": DDP, "devices": 2}, "--ntasks-per-node=NUMBER"),
        (
            {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_NTASKS_PER_NODE": "4"},
            {"strategy": DDP, "devices": 2},
            "trainer.devices=2.*4 tasks on a node.*use trainer.devices=4 or --ntasks-per-node=2",
        ),
        (
            {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2"},
            {"strategy": DDP, "devices": 2},
            "trainer.num_nodes=1.*use trainer.num_nodes=2 or --nodes=1",
        ),
    ],
)
def test_a_job_that_would_be_waited_for_is_refused(monkeypatch, job, trainer, hint):
    for key, value in job.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(InputError, match=hint) as error:
        check_trainer({"name": "ctvit"}, CPU | trainer)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("around", [{"SLURM_JOB_NAME": "bash"}, {"TORCHELASTIC_RUN_ID": "one"}, {"SLURM_NTASKS": "1"}])
def test_a_job_in_which_somebody_else_starts_the_processes_is_taken(monkeypatch, around):
    for key, value in {"SLURM_NTASKS": "2", **around}.items():
        monkeypatch.setenv(key, value)
    check_trainer({"name": "ctvit"}, CPU | {"strategy": DDP})


def test_what_compiling_needs(monkeypatch):
    with pytest.raises(InputError, match="strategy=ddp"):
        check_trainer({"name": "ctvit"}, CPU | {"strategy": FSDP}, compile=True)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"C\+\+ compiler"):
        check_trainer({"name": "ctvit"}, CPU, compile=True)


@pytest.mark.parametrize("stage", ["ctvit", "transformer", "superres"])
@pytest.mark.parametrize("strategy", ["auto", DDP, FSDP])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_all_strategies_work_with_all_stages(stage, strategy, precision):
    devices = 1 if strategy == "auto" else "auto"
    check_trainer({"name": stage}, CPU | {"strategy": strategy, "precision": precision, "devices": devices})
