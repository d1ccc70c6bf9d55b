"""The search: what it draws from, that trials are judged and given up, and that a kill costs nothing."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from generatect.errors import InputError
from generatect.search import as_own
from generatect.tuning.space import as_override, split_overrides
from generatect.tuning.study import FOLDER, Search, pruner

SPACE = {"x": FloatDistribution(0.0, 1.0)}
TINY = ["stage=ctvit", "model=tiny", "data.pairs.num=20", "trainer.accelerator=cpu", "val_every=1"]
TINY += ["~callbacks.progress", "~callbacks.previews", "~callbacks.tables"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=1,2,x", CategoricalDistribution(["1", "2", "x"])),
        ("a=choice(true,false)", CategoricalDistribution(["True", "False"])),
        ("a=range(1,9,2)", IntDistribution(1, 7, step=2)),
        ("a=interval(0.5,2)", FloatDistribution(0.5, 2.0)),
        ("a=int(interval(1,8))", IntDistribution(1, 8)),
        ("a=tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("a=tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
    ],
)
def test_the_grammar_of_sweeps_says_what_varies(override, expected):
    fixed, space = split_overrides(["b=3", override])
    assert fixed == ["b=3"]
    assert space == {"a": expected}


@pytest.mark.parametrize(
    "override", ["a=tag(log,interval(0,1))", "a=interval(2,1)", "a=[1", "a=tag(log,int(interval(0,4)))", "a=glob(*)"]
)
def test_what_cannot_be_drawn_from_is_one_line(override):
    with pytest.raises(InputError, match="^" + re.escape(override)) as caught:
        split_overrides([override])
    assert "\n" not in str(caught.value)


def test_a_drawn_number_reads_well():
    assert as_override("a.lr", 0.000443037524) == "a.lr=0.000443"
    assert as_override("a", "true") == "a=true"
    assert as_override("a", 12345678) == "a=12345678"


def values(search: Search, num_trials: int) -> list[float]:
    found = []
    while (begun := search.begin(num_trials)) is not None:
        trial, _, lock = begun
        found.append(trial.params["x"])
        search.study.tell(trial, (trial.params["x"] - 0.3) ** 2)
        lock.close()
    return found


def test_a_search_that_was_broken_off_draws_on_as_it_would_have(tmp_path):
    whole = values(Search(tmp_path / "whole", {}, SPACE, "minimize", 0), 16)
    parts = [value for num in (5, 12, 16) for value in values(Search(tmp_path / "cut", {}, SPACE, "minimize", 0), num)]
    assert parts == whole
    assert len(set(whole)) == 16
    assert abs(Search(tmp_path / "cut", {}, SPACE, "minimize", 0).best().params["x"] - 0.3) < 0.15
    assert values(Search(tmp_path / "other", {}, SPACE, "minimize", 1), 2) != whole[:2]


def test_a_trial_whose_process_died_is_begun_again_in_its_folder(tmp_path):
    first = Search(tmp_path, {}, SPACE, "minimize", 0)
    trial, folder, lock = first.begin(2)
    second = Search(tmp_path, {}, SPACE, "minimize", 0)
    _, other, other_lock = second.begin(2)  # the first is locked: somebody runs it
    assert (folder.name, other.name) == ("0", "1")
    assert second.begin(2) is None
    lock.close()  # as at the death of its process
    again, same, again_lock = second.begin(2)
    assert same == folder
    assert again.params == trial.params
    assert second.study.get_trials()[trial.number].state == optuna.trial.TrialState.FAIL
    assert second.begun() == {0, 1}
    assert again.user_attrs[FOLDER] == 0
    for held in (other_lock, again_lock):
        held.close()


def test_another_search_in_the_same_folder_is_refused(tmp_path):
    Search(tmp_path, {"metric": "val/loss"}, SPACE, "minimize", 0)
    with pytest.raises(InputError, match="holds a search with another metric, val/loss"):
        Search(tmp_path, {"metric": "val/psnr"}, SPACE, "minimize", 0)


def test_pruning_can_be_left_out():
    assert isinstance(pruner(None), optuna.pruners.NopPruner)
    assert isinstance(pruner(3), optuna.pruners.MedianPruner)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stage=ctvit", "trials=2"], "search: nothing varies"),
        (["stage=ctvit", "seed=1,2", "metric=train/loss"], "metric=train/loss: expected one of validation"),
        (["stage=ctvti", "seed=1,2"], "stage=ctvti: no such choice, did you mean 'ctvit'?"),
        (["stpes=3", "seed=1,2"], "stpes: no such setting, did you mean 'steps'?"),
        (["model.ctvit.heads=0", "seed=1,2"], "model.ctvit.heads=0: expected at least 1"),
        (["stage.module.optimizer.lr=tag(log,interval(0,1))"], "cannot be drawn from"),
        (["seed=1,2", "fresh=true"], "fresh: a search goes on by itself; leave it out, and give another output"),
        (["seed=1,2", "resume=auto"], "resume: a search goes on by itself"),
        (["seed=1,2", "trials=0"], "trials=0: expected at least 1"),
        (["seed=1,2", "direction=up"], "direction: 'up' is not of the expected type"),
        (["seed=1,2", "+callbacks.x._target_=os.system"], "'os.system' is not allowed"),
    ],
)
def test_what_cannot_be_searched_is_one_line(command, tmp_path, arguments, message):
    ended = command("search", *as_own([*arguments, f"output={tmp_path / 'out'}"]))
    assert ended.code == 2
    assert ended.err.startswith("generatect.search: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_search_goes_on(command, tmp_path):
    """Kill -9 while the second trial trains: it is taken up where it was, a failed one costs only itself."""
    output = tmp_path / "out"
    varying = ["stage.datamodule.val_fraction=0.5,0.6", "steps=6", "trials=2", "prune_after=null"]
    arguments = [*TINY, *varying, f"cache_dir={tmp_path / 'cache'}", f"output={output}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "generatect.search", *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    while not (output / "1" / "last.ckpt").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for_lock(output / "1" / ".trial.lock")  # its training notices and saves
    ended = command("search", *as_own(arguments))
    assert ended.code == 0, ended.err
    assert [row["status"] for row in rows(output)] == ["done", "done"]
    assert "going on from" in (output / "1" / "log.txt").read_text()
    assert "python -m generatect.train" in ended.out.splitlines()[-1]
    best = min(float(row["best val/loss"]) for row in rows(output))
    assert f"val/loss {best:.5g}; to train with it" in ended.out
    more = command("search", *as_own(arguments))
    assert more.code == 0  # nothing is left to do
    assert len(rows(output)) == 2


def wait_for_lock(path: Path) -> None:
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
