"""Text obedience where the truth is known: the phantom's detectors on volumes whose prompts are understood."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from generatect.ct.grid import Grid
from generatect.ct.nifti import read_nifti
from generatect.errors import InputError
from generatect.metrics.auroc import Auroc
from generatect.metrics.obedience import Change, counterfactual_change, obedience
from generatect.phantom.counterfactual import Counterfactual
from generatect.phantom.detectors import Detectors, truth
from generatect.phantom.findings import FINDINGS, LABELS, SIDED
from generatect.phantom.pairs import PhantomPairs
from generatect.phantom.report import Report

DETECTOR_SEED = 900
"""As in `generatect.prove`: series of phantoms share no case, and training uses small seeds."""


@dataclass(frozen=True)
class FindingRow:
    """How well one finding obeys.

    Attributes:
        finding: its name, with its side where only one is asked about.
        generated: AUROC between volumes whose prompt names it and those whose prompt denies it; None: too few.
        real: AUROC of the same detector between real volumes that have it and real ones that have not: its own power,
            which no generated volume can exceed.
        shuffled: as `generated`, but with the prompts of other volumes: what a model that does not listen reaches.
    """

    finding: str
    generated: Auroc | None
    real: Auroc | None
    shuffled: Auroc | None

    def plain(self) -> dict[str, Any]:
        """Values for JSON."""
        parts = {"generated": self.generated, "real": self.real, "shuffled": self.shuffled}
        return {"finding": self.finding} | {
            key: None if value is None else value._asdict() for key, value in parts.items()
        }


@dataclass(frozen=True)
class ShownPair:
    """What one changed finding changed.

    Attributes:
        pair: the prompts.
        with_finding: volume of the prompt that names it.
        without_finding: volume of the prompt that denies it.
        change: where and how much they differ.
        is_seen: whether the finding's detector scores the first volume higher; None without a detector.
    """

    pair: Counterfactual
    with_finding: Path
    without_finding: Path
    change: Change
    is_seen: bool | None

    def plain(self) -> dict[str, Any]:
        """Values for JSON, without the prompts."""
        return {"finding": self.pair.finding, "side": self.pair.side, "is_seen": self.is_seen, **self.change._asdict()}


def fitted_detectors(grid: Grid, num_fit: int, kept: Path) -> Detectors:
    """Detectors on a grid, fitted once and kept in a file."""
    try:
        detectors = Detectors.load(kept)
        if detectors.grid == grid:
            return detectors
    except (InputError, OSError, ValueError, KeyError):  # absent, or damaged
        pass
    detectors = Detectors.fit(grid, num=num_fit, seed=DETECTOR_SEED)
    kept.parent.mkdir(parents=True, exist_ok=True)
    detectors.save(kept)
    return detectors


def measure_findings(
    detectors: Detectors,
    pairs: PhantomPairs,
    indices: Sequence[int],
    real: Sequence[Path],
    generated: Sequence[Path],
) -> list[FindingRow]:
    """AUROC of every finding, and of both sides of those that have one, in the order of `FINDINGS`.

    Args:
        detectors: read the volumes.
        pairs: the phantoms and what their reports say.
        indices: which of them.
        real: low-resolution files of these phantoms.
        generated: low-resolution files made from the reports of the first of them.
    """
    reports = [pairs.report(index) for index in indices[: len(generated)]]
    has = dict(zip(LABELS, np.stack([truth(pairs.case(index)) for index in indices]).T > 0, strict=True))
    scores, own_scores = (_scores(detectors, paths) for paths in (generated, real))
    named, denied = _mentions(reports)
    order = np.random.default_rng(0).permutation(len(reports))
    lacks = {label: ~has[label.partition("/")[0]] for label in named}
    obeyed = obedience(scores, named, denied)
    power = obedience(own_scores, {label: has[label] for label in named}, lacks)
    shuffled = obedience(scores, *({label: kind[label][order] for label in named} for kind in (named, denied)))
    return [FindingRow(_said(label), obeyed[label], power[label], shuffled[label]) for label in named]


def measure_pairs(
    pairs: Sequence[Counterfactual], paths: Sequence[tuple[Path, Path]], detectors: Detectors | None
) -> list[ShownPair]:
    """What changed in each pair of volumes."""
    shown = []
    for pair, (with_path, without_path) in zip(pairs, paths, strict=True):
        first, second = (read_nifti(path, hu_policy="already_hu") for path in (with_path, without_path))
        change = counterfactual_change(first.voxels_hu, second.voxels_hu, first.spacing_mm_zyx, pair.side)
        is_seen = None
        if detectors is not None:
            label = f"{pair.finding}/{pair.side}" if pair.side else pair.finding
            scores = [detectors.scores(volume.voxels_hu.astype(np.float32))[label] for volume in (first, second)]
            is_seen = scores[0] > scores[1]
        shown.append(ShownPair(pair, with_path, without_path, change, is_seen))
    return shown


def _scores(detectors: Detectors, paths: Sequence[Path]) -> dict[str, np.ndarray]:
    rows = [detectors.scores(read_nifti(path, hu_policy="already_hu").voxels_hu.astype(np.float32)) for path in paths]
    return {label: np.array([row[label] for row in rows]) for label in LABELS}


def _mentions(reports: Sequence[Report]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Finding or FINDING/SIDE → which prompts name it (on that side alone), and which deny it."""
    named, denied = {}, {}
    for name in FINDINGS:
        is_denied = np.array([report.mentions[name] == "denied" for report in reports])
        for side in ("", *(("left", "right") if name in SIDED else ())):
            label = f"{name}/{side}" if side else name
            is_named = [r.sides[name] == side if side else r.mentions[name] == "named" for r in reports]
            named[label], denied[label] = np.array(is_named), is_denied
    return named, denied


def _said(label: str) -> str:
    return label.replace("/", ", ")
