"""Whether a volume can be a chest CT at all: a gate for generated ones, no judge of their truth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

from generatect.ct.volume import CTVolume

BODY_HU, AIR_HU = -300.0, -500.0
"""Tissue and bone lie above the first, lungs and the room below the second."""


@dataclass(frozen=True)
class QualityFigures:
    """What is measured of a volume.

    Attributes:
        finite: share of voxels that are numbers.
        lowest_hu, highest_hu: the 0.1st and 99.9th percentile.
        body: share of voxels that are tissue, or air enclosed by it in the axial plane.
        lung: share of the body that is such air.
        spread_hu: standard deviation of the tissue.
        extreme: share of the tissue that has the volume's highest value; much of it: the values are clipped.
        jump: mean difference between neighbouring slices, relative to that between slices drawn at random.
    """

    finite: float
    lowest_hu: float
    highest_hu: float
    body: float
    lung: float
    spread_hu: float
    extreme: float
    jump: float


@dataclass(frozen=True)
class QualityLimits:
    """Bounds of what passes; wide, since a gate that refuses what is rare makes a dataset of averages.

    Args:
        lowest_hu: the darkest that is not yet air; a scan without air has a wrong scale.
        highest_hu: neither below (no bone or contrast anywhere) nor above (beyond what scanners store).
        body: share of the volume.
        lung: share of the body.
        min_spread_hu: tissue of one value is a drawing.
        max_extreme: share of clipped tissue.
        max_jump: slices in order differ less from their neighbours than from others.
    """

    lowest_hu: tuple[float, float] = (-1100.0, -700.0)
    highest_hu: tuple[float, float] = (80.0, 3100.0)
    body: tuple[float, float] = (0.1, 0.98)
    lung: tuple[float, float] = (0.05, 0.75)
    min_spread_hu: float = 15.0
    max_extreme: float = 0.05
    max_jump: float = 0.75


def measure_quality(volume: CTVolume) -> QualityFigures:
    """The figures of a volume; those that need numbers everywhere are NaN where it has others."""
    voxels = volume.voxels_hu
    finite = float(np.isfinite(voxels).mean())
    if finite < 1:
        return QualityFigures(finite, *[float("nan")] * 7)
    lowest, highest = (float(value) for value in np.percentile(voxels, (0.1, 99.9)))
    tissue = voxels > BODY_HU
    lung = _enclosed(tissue) & (voxels < AIR_HU)
    num_tissue, num_lung = int(tissue.sum()), int(lung.sum())
    inside = voxels[tissue].astype(np.float32)
    return QualityFigures(
        finite=finite,
        lowest_hu=lowest,
        highest_hu=highest,
        body=(num_tissue + num_lung) / voxels.size,
        lung=num_lung / max(1, num_tissue + num_lung),
        spread_hu=float(inside.std()) if num_tissue else 0.0,
        extreme=float((inside == inside.max()).mean()) if num_tissue else 0.0,
        jump=_jump(voxels),
    )


def faults(figures: QualityFigures, limits: QualityLimits) -> list[str]:
    """What keeps a volume from passing, each in a few words; empty where it passes."""
    if figures.finite < 1:
        return [f"{1 - figures.finite:.2%} of the voxels are no numbers"]
    found = []
    for what, value, (low, high), unit in (
        ("darkest", figures.lowest_hu, limits.lowest_hu, " HU"),
        ("brightest", figures.highest_hu, limits.highest_hu, " HU"),
        ("body", figures.body, limits.body, " of the volume"),
        ("lung", figures.lung, limits.lung, " of the body"),
    ):
        if not low <= value <= high:
            found.append(f"{what} {value:.3g}{unit}, expected {low:g} to {high:g}")
    if figures.spread_hu < limits.min_spread_hu:
        found.append(f"tissue varies by {figures.spread_hu:.3g} HU, expected at least {limits.min_spread_hu:g}")
    if figures.extreme > limits.max_extreme:
        found.append(f"{figures.extreme:.1%} of the tissue is clipped, expected at most {limits.max_extreme:.1%}")
    if figures.jump > limits.max_jump:
        found.append(f"slices jump by {figures.jump:.2f} of a random order's, expected at most {limits.max_jump:g}")
    return found


def _enclosed(tissue: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Voxels with tissue in front, behind, left and right of them within their slice."""
    sides = []
    for axis in (1, 2):
        sides.append(np.maximum.accumulate(tissue, axis=axis))
        sides.append(np.flip(np.maximum.accumulate(np.flip(tissue, axis), axis=axis), axis))
    return np.logical_and.reduce(sides)


def _jump(voxels: Shaped[np.ndarray, "z y x"]) -> float:
    """1 for slices in random order, towards 0 for slices that change slowly; 0 for fewer than three."""
    slices = voxels.astype(np.float32)
    count = len(slices)
    if count < 3:
        return 0.0
    neighbours = float(np.abs(np.diff(slices, axis=0)).mean())
    apart = [float(np.abs(slices[:-shift] - slices[shift:]).mean()) for shift in range(1, count)]
    weights = np.arange(count - 1, 0, -1)  # pairs at each distance
    average = float(np.average(apart, weights=weights))
    return neighbours / average if average > 0 else 0.0
