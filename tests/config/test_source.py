"""What the sources tell of constructors is what the constructors say."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from generatect.config.resolvers import config_folder
from generatect.config.source import hints_in_source
from generatect.config.targets import allowed_target, type_hints
from tests.config.test_overrides import BAD

YAML = [*config_folder().rglob("*.yaml"), *(config_folder().parent / "experiments").rglob("*.yaml")]
TARGETS = sorted({found for path in YAML for found in re.findall(r"_target_: (generatect\.[\w.]+)", path.read_text())})


@pytest.mark.parametrize("target", TARGETS)
def test_of_every_shipped_target(target):
    found, hints = hints_in_source(target), type_hints(allowed_target(target))
    parameters = list(inspect.signature(allowed_target(target)).parameters)
    if found is None:
        return  # what it inherits only the import tells
    assert sorted(found) == sorted(parameters)
    for name, hint in found.items():
        assert hint is Any or hint == hints[name], name


def test_most_shipped_targets_are_told_by_their_source():
    told = [target for target in TARGETS if hints_in_source(target) is not None]
    assert len(told) >= 0.7 * len(TARGETS)


def test_the_command_itself():
    hints = hints_in_source("generatect.train.train")
    assert hints["steps"] is int
    assert hints["resume"] == str | None
    assert hints_in_source("generatect.search.search")["direction"] == Literal["minimize", "maximize"]


@pytest.mark.parametrize(
    "target", ["lightning.Trainer", "generatect.nothing.Here", "generatect.networks.ctvit.Nothing"]
)
def test_what_no_source_of_ours_tells(target):
    assert hints_in_source(target) is None


def test_most_mistakes_are_answered_without_torch(tmp_path):
    """All of them in one process, each as the first lines of `generatect.train` would answer it."""
    program = f"""
import contextlib, io, json, sys
from generatect.config.command import refuse_early
answers = {{}}
for override in json.loads(sys.stdin.read()):
    sys.argv, err = ["train", "output={tmp_path}/out", override], io.StringIO()
    try:
        with contextlib.redirect_stderr(err):
            refuse_early("train")
    except SystemExit as end:
        answers[override] = err.getvalue()
assert not {{"torch", "lightning", "transformers"}} & sys.modules.keys()
print(json.dumps(answers))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(list(BAD)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    answers = json.loads(ended.stdout)
    assert len(answers) >= 60
    for override, answer in answers.items():
        assert BAD[override] in answer
        assert answer.count("\n") == 1
    assert list(Path(tmp_path).iterdir()) == []
