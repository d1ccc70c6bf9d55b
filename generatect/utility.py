"""`python -m generatect.utility experiments=utility/phantom`: do synthetic volumes make better classifiers?"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console

from generatect.config.build import build
from generatect.config.check import check_arguments
from generatect.config.command import run_command
from generatect.data.cache import ArrayCache
from generatect.data.inspection.gate import refuse_bad
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.loggers.hidden_paths import without_paths
from generatect.pipeline import TextToCT
from generatect.progress import bars, duration
from generatect.utility_study.cell import STAGE, Recipe, compute_device
from generatect.utility_study.costs import announced
from generatect.utility_study.items import prepared
from generatect.utility_study.real import (
    NOT_REAL,
    ON_BOTH_SIDES,
    RealVolumes,
    labels_of_study,
    refuse_overlap,
    refuse_same_volumes,
    split_real,
)
from generatect.utility_study.report import report
from generatect.utility_study.sets import training_sets
from generatect.utility_study.statistics import judge
from generatect.utility_study.study import Study, run_cells
from generatect.utility_study.synthetic import Synthetic, make_synthetic, read_synthetic

TABLE_WIDTH = 160
LEAST_RESAMPLES = 100
"""Below it the ends of a 95 % interval are single draws."""


def utility(
    *,
    data: dict[str, Any],
    synthetic: dict[str, Any],
    sets: list[str],
    seeds: list[int],
    steps: int,
    labels: list[str],
    test_fraction: float,
    num_train: int | None,
    num_test: int | None,
    model: dict[str, Any],
    preset: dict[str, Any],
    stage: dict[str, Any],
    trainer: dict[str, Any],
    resamples: int,
    seed: int,
    output: str,
    cache_dir: str,
) -> None:
    """Trains CT-Net on real, synthetic and both kinds of volumes, and judges it on real patients, in a table.

    Every classifier is trained for the same number of batches, with the same augmentation and seeds. The same command
    again keeps the classifiers and the synthetic volumes that are there.

    Args:
        data: source of real volumes, with labels.
        synthetic: where the synthetic ones come from; see `Synthetic`.
        sets: what is trained on; see `training_sets`.
        seeds: of the trainings, each set with each.
        steps: batches that each classifier is trained for.
        labels: the findings; none: all labels of the real volumes.
        test_fraction: share of the real patients to judge on, where the data do not say themselves who validates.
        num_train: at most so many real volumes to train on; None takes all.
        num_test: at most so many to judge on; None takes all.
        model: sizes of volumes and of `ctnet`.
        preset: how a volume comes onto the classifier's grid.
        stage: stage `ctnet`.
        trainer: arguments of `lightning.Trainer`.
        resamples: draws of test patients for the intervals.
        seed: of the split, as in the generator's training, and of the resamples.
        output: folder of the results, of the cells, and of volumes where the data have no cache of their own.
        cache_dir: folder of text features of frozen encoders, of converted files, and of facts of headers.

    Raises:
        InputError: whatever of this cannot be used.
    """
    settings, started = without_paths(dict(locals())), time.monotonic()
    check_arguments(Synthetic, synthetic, "synthetic")
    _check(seeds, num_train, num_test, resamples, stage)
    chosen, wanted = training_sets(sets), Synthetic(**synthetic)
    pairs, grid = build(data["pairs"]), build(preset)
    names, on_bad = labels_of_study(pairs, labels), data.get("on_bad", "raise")
    real = split_real(pairs, names, test_fraction=test_fraction, seed=seed, num_train=num_train, num_test=num_test)
    sides = ([item.index for item in side] for side in (real.train, real.test))
    refuse_bad(pairs, *sides, doctor=data.get("doctor", "ignore"), on_bad=on_bad, cache_dir=cache_dir)
    folder = writable_folder(output)
    cache = ArrayCache(data.get("cache_dir") or folder / "volumes")
    skipped = {side: str(folder / f"skipped-{side}.csv") for side in ("train", "test", "synthetic")}

    with bars() as show:
        train = prepared(real.train, grid, cache, "real, to train on", on_bad, skipped["train"], show)
        test = prepared(real.test, grid, cache, "real, to judge on", on_bad, skipped["test"], show)
    refuse_overlap(train, test)
    refuse_same_volumes(train, test, grid, cache, ON_BOTH_SIDES)
    num_synthetic = wanted.num or len(train)
    num_needed = num_synthetic * max(each.num_times for each in chosen)
    model_of_text, made = None, []
    if wanted.root is not None and num_needed:
        made = read_synthetic(wanted, num_needed, names)
    elif num_needed:
        device = str(compute_device(trainer))
        model_of_text = TextToCT.load(wanted.weights, device, cache_dir, wanted.t5)
        made = make_synthetic(model_of_text, wanted, train, num_needed)
    refuse_overlap(made, test)

    recipe = Recipe(stage, model, preset, trainer, names, steps, str(cache.folder))
    study = Study(recipe, grid, chosen, seeds, RealVolumes(train, test), made, num_synthetic, folder)
    print(announced(study))
    with bars() as show:
        made = prepared(made, grid, cache, "synthetic", on_bad, skipped["synthetic"], show)
        refuse_same_volumes(made, [*train, *test], grid, cache, NOT_REAL)
        study = replace(study, synthetic=made)
        scores = run_cells(study, show)
    found = judge(
        scores, study.labels(), names, [item.patient for item in test], resamples, np.random.default_rng(seed)
    )
    notices = [pairs.notice] if getattr(pairs, "notice", None) else []
    if model_of_text is not None and model_of_text.notice not in (None, *notices):
        notices.append(model_of_text.notice)
    written = report(study, found, notices, resamples, settings, folder, Console(width=TABLE_WIDTH))
    print(f"took {duration(time.monotonic() - started)}, wrote {' '.join(map(str, written))}")


def _check(
    seeds: list[int], num_train: int | None, num_test: int | None, resamples: int, stage: dict[str, Any]
) -> None:
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise InputError(f"seeds={seeds}: expected one or more different whole numbers from 0 to {2**32 - 1}")
    for key, value in (("num_train", num_train), ("num_test", num_test)):
        if value is not None and value < 1:
            raise InputError(f"{key}={value}: expected at least 1, or null for all")
    if resamples < LEAST_RESAMPLES:
        raise InputError(f"resamples={resamples}: expected at least {LEAST_RESAMPLES}")
    if stage["name"] != STAGE:
        raise InputError(f"stage={stage['name']}: the study trains classifiers; expected {STAGE}")


if __name__ == "__main__":
    run_command("utility", utility)
