"""What has to be known to read the table, and the files of the results."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from generatect.data.pairs import Pairs
from generatect.loggers.code_version import code_version
from generatect.sidecar import write_sidecar
from generatect.utility_study.cell import compute_device
from generatect.utility_study.items import Item, content_of
from generatect.utility_study.statistics import LEAST, Score, judged
from generatect.utility_study.study import Study
from generatect.utility_study.synthetic import MadePairs
from generatect.utility_study.table import (
    Findings,
    sheets,
    show_sheets,
    verdicts,
    write_markdown,
    write_spreadsheet,
)

NAMES = ("utility.csv", "utility.md", "utility.json")


def report(
    study: Study,
    scores: Sequence[Score],
    notices: Sequence[str],
    resamples: int,
    settings: dict[str, Any],
    folder: Path,
    console: Console,
) -> list[Path]:
    """Prints the table and writes it in every form; returns the files.

    Args:
        study: what was compared.
        scores: what came of it.
        notices: of data and weights.
        resamples: draws of test patients.
        settings: of the command, without paths.
        folder: of the files.
        console: for the table.
    """
    labels, names = study.labels(), study.recipe.labels
    findings = Findings(dict(zip(names, labels.sum(axis=0).tolist(), strict=True)), len(labels))
    found = sheets(scores, study.sizes(), findings)
    said = [*verdicts(scores), *caption(study, resamples), *notices]
    show_sheets(found, said, console)
    spreadsheet, page, everything = (folder / name for name in NAMES)
    write_spreadsheet(spreadsheet, scores, study.sizes(), findings)
    write_markdown(page, found, said)
    content = {
        "caption": said,
        "protocol": protocol(study, resamples),
        "scores": [plain(score) for score in scores],
        "settings": settings,
        "code": {**code_version(compute_device(study.recipe.trainer), 1), "threads": torch.get_num_threads()},
    }
    write_sidecar(everything, content)
    return [spreadsheet, page, everything]


def caption(study: Study, resamples: int) -> list[str]:
    """How the numbers came to be, a sentence each."""
    recipe, train, test = study.recipe, study.real.train, study.real.test
    z, y, x = study.grid.grid.shape_zyx
    lines = [
        f"Real volumes: {len(train)} of {num_patients(train)} patients to train on, {len(test)} of "
        f"{num_patients(test)} others to judge on.",
        f"Every classifier was trained for {recipe.steps} batches of {recipe.batch_size}, with the same augmentation, "
        f"from seed{'s' * (len(study.seeds) != 1)} {', '.join(map(str, study.seeds))}, on {z} × {y} × {x} voxels.",
        f"In brackets: 95 % interval over {resamples} resamples of the test patients, of the mean over the seeds; "
        "±: standard deviation over the seeds. Neither covers the choice of the real volumes to train on.",
    ]
    if study.synthetic:
        lines.append(
            "Synthetic volumes: made of the reports of the real volumes to train on, each used once before any again, "
            "and labelled with what the report says."
            if isinstance(study.synthetic[0].source, MadePairs)
            else f"Synthetic volumes: the first {len(study.synthetic)} of their dataset, labelled as its table says."
        )
    unjudged = [name for name, is_judged in zip(recipe.labels, judged(study.labels()), strict=True) if not is_judged]
    if unjudged:
        lines.append(f"–: not judged, fewer than {LEAST} test volumes have it, or lack it: {', '.join(unjudged)}.")
    return lines


def protocol(study: Study, resamples: int) -> dict[str, Any]:
    """Everything that the numbers depend on, as plain values."""
    first: Pairs | None = study.synthetic[0].source if study.synthetic else None
    return {
        "num_train": len(study.real.train),
        "num_train_patients": num_patients(study.real.train),
        "num_test": len(study.real.test),
        "num_test_patients": num_patients(study.real.test),
        "num_synthetic": len(study.synthetic),
        "sets": {name: {"real": real, "synthetic": made} for name, (real, made) in study.sizes().items()},
        "seeds": list(study.seeds),
        "steps": study.recipe.steps,
        "batch_size": study.recipe.batch_size,
        "resamples": resamples,
        "train_sha256": content_of(study.real.train),
        "test_sha256": content_of(study.real.test),
        "synthetic_sha256": content_of(study.synthetic),
        "weights_sha256": first.model.hashes if isinstance(first, MadePairs) else None,
    }


def num_patients(items: Sequence[Item]) -> int:
    """How many different patients they are of."""
    return len({item.patient for item in items})


def plain(score: Score) -> dict[str, Any]:
    """A score as JSON holds it."""
    return {
        "training_set": score.training_set,
        "finding": score.finding,
        "metric": score.metric,
        "score": None if score.score is None else asdict(score.score),
        "minus_real": None if score.difference is None else asdict(score.difference),
    }
