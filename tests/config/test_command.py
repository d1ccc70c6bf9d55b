"""From the command line to one call or one line."""

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from generatect.config.command import quote_free_text


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


@pytest.mark.parametrize(
    "text",
    [
        "No effusion, mild cardiomegaly.",
        "Findings: nodule (4 mm) in the right upper lobe; liver = normal [sic] {?}",
        "It's the patient's 2nd CT",
        'A "ground glass" opacity',
        "ends with a backslash \\",
        "two \\\\",
        "quote after backslash \\' here",
        "costs ${seed} and $5 and ${oc.env:HOME}",
        "50",
        "true",
        " spaces ",
        "Übersicht: Größe 3 µm",
        "line\nbreak",
        "",
        "'",
        '"one" and "two"',
    ],
)
def test_a_prompt_is_taken_as_it_stands(text):
    (override,) = OverridesParser.create().parse_overrides([quote_free_text(f"prompt={text}")])
    node = OmegaConf.create({"seed": 1})
    OmegaConf.update(node, override.key_or_group, override.value())
    assert node.prompt == text


@pytest.mark.parametrize("argument", ["prompt='as Hydra wants it'", "prompt=null", "seed=1", "weights={a:b}", "--help"])
def test_the_rest_stays_as_it_is(argument):
    assert quote_free_text(argument) == argument


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


def test_help_names_the_groups(command):
    ended = command("train", "--help")
    assert ended.code == 0
    assert "ctvit" in ended.out
    assert "experiments" in ended.out
