"""`python -m generatect.search stage=ctvit KEY="interval(0.1,0.9)" trials=20 …`: looks for better settings."""

import inspect
import re
import shlex
import sys
from typing import Literal

from generatect.config.command import run_command
from generatect.config.compose import compose_and_check
from generatect.config.source import hints_in_source
from generatect.config.sweep import JobRecord, print_table, write_summary
from generatect.config.words import as_it_stands, is_setting, quoted
from generatect.errors import InputError
from generatect.files import writable_folder


def search(
    *,
    training: list[str],
    space: dict[str, str],
    trials: int,
    metric: str,
    direction: Literal["minimize", "maximize"],
    prune_after: int | None,
    sampler_seed: int,
    output: str,
) -> None:
    """Trains with one setting after the other, drawn by Optuna from what the earlier ones reached.

    The same command again goes on: a trial that was cut is taken up at its last checkpoint. Two such commands with one
    `output`, say one a GPU, share the work.

    Args:
        training: overrides of `generatect.train`; those in Hydra's sweep grammar vary.
        space: more that varies: key → what it may be, in the same grammar.
        trials: number of trainings.
        metric: what a trial is judged by: its best value at a validation.
        direction: whether less or more of it is better.
        prune_after: trials that must have come as far before one may be given up for being worse than their median.
        sampler_seed: of what is drawn.
        output: folder of the study and of the trials.

    Raises:
        InputError: nothing varies, a setting that no training has, or a folder with another search in it.
    """
    try:
        from generatect.tuning.space import as_override, example, split_overrides
        from generatect.tuning.study import Search
        from generatect.tuning.trial import SearchInterrupted, run_trial
    except ImportError as error:
        raise InputError("search: needs Optuna; pip install 'generatect[sweeps]'") from error

    if not metric.startswith("val/"):
        raise InputError(f"metric={metric}: expected one of validation, such as val/loss")
    fixed, varied = split_overrides([*training, *(f"{key}={value}" for key, value in space.items())])
    for key in ("resume", "fresh"):
        if any(item.lstrip("+").partition("=")[0] == key for item in (*fixed, *varied)):
            raise InputError(f"{key}: a search goes on by itself; leave it out, and give another output to search anew")
    if not varied:
        raise InputError("search: nothing varies; give a setting as a choice (KEY=A,B) or KEY=interval(LOW,HIGH)")
    compose_and_check("train", [*fixed, *(as_override(key, example(of)) for key, of in varied.items())])
    folder = writable_folder(output)
    settings = {
        "training": sorted(fixed),
        "space": {key: repr(varied[key]) for key in sorted(varied)},
        "metric": metric,
        "direction": direction,
    }
    found = Search(folder, settings, varied, direction, sampler_seed)
    while (begun := found.begin(trials)) is not None:
        trial, where, lock = begun
        overrides = [*fixed, *(as_override(key, value) for key, value in trial.params.items())]
        record = JobRecord(int(where.name), overrides, output=str(where))
        try:
            run_trial(record, trial, found, lock, metric, direction, prune_after)
        except SearchInterrupted as interrupted:
            print(f"search: {interrupted}; the same command goes on", file=sys.stderr)
            sys.exit(128 + interrupted.signal)
        finally:
            record.write()
            write_summary(folder)
        value = record.best.get(metric)
        print(f"trial {record.number}: {record.status}" + (f", {metric} {value:.5g}" if value is not None else ""))
    records = write_summary(folder)
    print_table(records, folder, metric)
    best = found.best()
    if best is None:
        raise InputError(f"search: none of {len(records)} trials came to its end; {folder}/N/log.txt say why")
    settings = [*fixed, *(as_override(key, value) for key, value in best.params.items())]
    print(f"best: trial {best.user_attrs['folder']}, {metric} {best.value:.5g}; to train with it:")
    print(f"python -m generatect.train {shlex.join(settings)} output=outputs/best")


def as_own(arguments: list[str]) -> list[str]:
    """The command line with all settings of the training put into `training`."""
    own = [item for item in arguments if not is_setting(item) or re.split(r"[=./@]", item.lstrip("+~"))[0] in OWN]
    hints = hints_in_source("generatect.train.train") or {}
    training = [as_it_stands(item, hints, sweeps=True) for item in arguments if item not in own]
    return [*own, f"training=[{','.join(map(quoted, training))}]"]


OWN = {*inspect.signature(search).parameters, "hydra"} - {"training"}
"""Settings of the search itself, and Hydra's."""

if __name__ == "__main__":
    sys.argv[1:] = as_own(sys.argv[1:])
    run_command("search", search)
