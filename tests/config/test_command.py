"""From the command line to one call or one line."""

import pytest
import torch


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stpes=4", "lrr=3", "stage=superres"], "stpes: no such setting, did you mean 'steps'?"),
        (["trainer._target_=generatect.nothing"], "trainer._target_: 'generatect.nothing' cannot be imported"),
    ],
)
def test_wrong_settings_are_one_line(command, tmp_path, overrides, message):
    ended = command("train", f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}", "model=tiny", *overrides)
    assert ended.code == 2
    assert ended.err.startswith("generatect.train: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["strategy=ddp", "trainer.devices=2"])
def test_a_sweep_of_several_processes_a_job_is_refused(command, tmp_path, setting):
    ended = command("train", "-m", "steps=1", "model=tiny", setting, f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert "--multirun with several processes a job" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.accelerator=gpu"], "trainer.accelerator=gpu: no GPU found here; use trainer.accelerator=cpu"),
        (["precision=fp16"], "precision=fp16: CPUs cannot train in it; use precision=bf16 or fp32, or a GPU"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_line(command, tmp_path, overrides, message):
    ended = command("train", f"output={tmp_path / 'out'}", "model=tiny", *overrides)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_a_stack_trace_for_whoever_wants_one(command, monkeypatch, tmp_path):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="steps=0"):
        command("train", "steps=0", f"output={tmp_path / 'out'}")


def test_a_sweep_goes_on_after_a_bad_job(command, tmp_path):
    ended = command(
        "generate",
        "-m",
        "seed=1,2",
        "prompt=x",
        f"weights={tmp_path / 'none'}",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    assert ended.code == 2
    assert ended.err.count("none: no such file") == 2


@pytest.mark.parametrize("words", [["-m", "seed=", "steps=1,2"], ["steps=1", "-m", "sead=1,2"]])
def test_what_no_job_of_a_sweep_can_use_is_one_line_before_the_first_one(command, tmp_path, words):
    ended = command("train", *words, f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}")
    assert ended.code == 2
    assert ended.err.startswith("generatect.train: sea") or ended.err.startswith("generatect.train: seed: ''")
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_groups(command):
    ended = command("train", "--help")
    assert ended.code == 0
    assert "ctvit" in ended.out
    assert "experiments" in ended.out
