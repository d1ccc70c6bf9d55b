"""`generate` says beforehand what it will hold, and fits into what it is given."""

import json
import re

import pytest


def test_it_says_what_it_chose_and_what_it_took(command, tiny_weights, tmp_path):
    small = ("tokens.steps=2", "upscale.steps=1", "device=cpu")
    ended = command("generate", "prompt=Clear.", f"weights={tiny_weights}", f"output={tmp_path}", *small, "memory=8GB")
    assert ended.code == 0, ended.err
    expected = re.search(r"fp32, .*peak memory about ([\d.]+) ([MG])B", ended.out)
    assert 0.1 < float(expected[1]) * {"M": 1e-3, "G": 1}[expected[2]] < 8
    assert re.search(r"took .*peak memory [\d.]+ [MG]B", ended.out)
    assert "1 volume of 5 × 32 × 32 voxels of " in ended.out  # and how thick its slices are
    sidecar = json.loads((tmp_path / "generated.json").read_text())
    assert sidecar["tokens"]["precision"] == sidecar["upscale"]["precision"] == "fp32"
    assert sidecar["upscale"]["slices_per_batch"] == 4


@pytest.mark.parametrize("wrong", ["memory=1MB", "memory=some", "arithmetic=fp8"])
def test_what_cannot_be_is_one_line(command, tiny_weights, tmp_path, wrong):
    ended = command("generate", "prompt=Clear.", f"weights={tiny_weights}", f"output={tmp_path}", "device=cpu", wrong)
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1
    assert wrong.split("=")[0] in ended.err
