"""What a finished training names as the next command: one that works."""

import shlex

import pytest

from generatect.config.scores import SCORES, Scores
from generatect.stages.closing import closing, next_command


def put(folder, *stages):
    for stage in stages:
        (folder / stage).mkdir(parents=True, exist_ok=True)
        (folder / stage / f"{stage}.safetensors").write_text("")
    return folder


def test_the_next_stage_takes_the_tokenizer(tmp_path):
    put(tmp_path, "ctvit")
    command = next_command("ctvit", tmp_path / "ctvit", None)
    assert command == f"python -m generatect.train stage=transformer tokenizer={tmp_path / 'ctvit'}"
    put(tmp_path, "transformer")
    command = next_command("transformer", tmp_path / "transformer", str(tmp_path / "ctvit"))
    assert command == f"python -m generatect.train stage=superres tokenizer={tmp_path / 'ctvit'}"
    put(tmp_path / "x", "superres")
    command = next_command("superres", tmp_path / "x" / "superres", str(tmp_path / "ctvit"))
    assert command == f"python -m generatect.train stage=transformer tokenizer={tmp_path / 'ctvit'}"


def test_the_last_stage_names_all_three(tmp_path):
    folder = put(tmp_path / "my outputs", "ctvit", "transformer", "superres")
    command = next_command("superres", folder / "superres", str(folder / "ctvit"))
    assert shlex.split(command)[-1] == f"weights={folder}"


def test_so_it_does_where_they_lie_apart(tmp_path):
    one, other = put(tmp_path / "a", "ctvit"), put(tmp_path / "b", "transformer", "superres")
    command = next_command("superres", other / "superres", str(one / "ctvit" / "ctvit.safetensors"))
    files = [
        one / "ctvit" / "ctvit.safetensors",
        other / "transformer" / "transformer.safetensors",
        other / "superres" / "superres.safetensors",
    ]
    named = ",".join(f"{path.stem}:{path}" for path in files)
    assert shlex.split(command)[-1] == f"weights={{{named}}}"


@pytest.mark.parametrize(
    ("found", "said"), [({4: {"val/loss": 0.5}, 8: {"val/loss": 0.75}}, "best val/loss 0.5 after step 4; "), ({}, "")]
)
def test_the_best_validation_is_named(tmp_path, found, said):
    Scores(8, found).write(tmp_path / SCORES)
    assert closing("ctvit", tmp_path, None, 125.0).startswith(f"{said}took 2 min\nnext: ")
