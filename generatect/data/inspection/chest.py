"""Body and lungs on a coarse copy of a volume: enough to tell a chest from something else.

Every few millimetres one voxel is taken, which is quick, and neighbours are averaged against noise.

Body. Tissue is what lies above -300 HU. Erosion in plane takes away thin shells such as the table's; the largest
connected rest, grown back and filled slice by slice, is the body, but for air from which a slice's edge can be reached
within the slice. Where tissue lies along much of the slices' edges, the volume is a crop, and all of it is body but for
pure air at the edges.

Lungs. What lies between -980 and -500 HU in the body and is a few voxels thick: neither gas of the gut, which is purer
air, nor the rim around it, which is thin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped

from generatect.ct.volume import CTVolume

COARSE_MM = 4.5
TISSUE_ABOVE_HU, AIR_BELOW_HU, PURE_AIR_BELOW_HU = -300, -500, -980
CROPPED_EDGE = 0.2
"""Share of tissue along the edges of slices from which on a volume is a crop."""

IN_PLANE, EVERYWHERE = (1, 2), (0, 1, 2)
MM3_PER_LITRE = 1e6


@dataclass(frozen=True)
class Chest:
    """Sizes of what is in a volume.

    Attributes:
        body_litres: largest piece of tissue with all that it encloses.
        lungs_litres: aerated lung inside it.
    """

    body_litres: float
    lungs_litres: float


def coarse(volume: CTVolume) -> tuple[Shaped[np.ndarray, "z y x"], float]:
    """View of every n-th voxel along each axis, about `COARSE_MM` apart, and the volume in mm³ that each stands for."""
    steps = [max(1, round(COARSE_MM / mm)) for mm in volume.spacing_mm_zyx]
    z, y, x = steps
    return volume.voxels_hu[::z, ::y, ::x], float(np.prod(np.multiply(steps, volume.spacing_mm_zyx)))


def measure_chest(hu: Shaped[np.ndarray, "z y x"], voxel_mm3: float) -> Chest:
    """Body and lungs of a coarse volume.

    Args:
        hu: canonical voxels about `COARSE_MM` apart.
        voxel_mm3: volume of one.
    """
    tissue, smooth = hu > TISSUE_ABOVE_HU, _smooth(hu)
    edges = np.concatenate([tissue[:, [0, -1], :].ravel(), tissue[:, :, [0, -1]].ravel()])
    if edges.mean() > CROPPED_EDGE:
        body = ~_reaching_edges(smooth < PURE_AIR_BELOW_HU)
    else:
        core = _largest(_erode(tissue))
        around = _reaching_edges(~_grow(_grow(core)))
        body = ~(around | _reaching_edges(hu < AIR_BELOW_HU))
    lungs = _grow(_erode(body & (smooth > PURE_AIR_BELOW_HU) & (smooth < AIR_BELOW_HU)))
    litres = voxel_mm3 / MM3_PER_LITRE
    return Chest(float(body.sum()) * litres, float(lungs.sum()) * litres)


def connected(mask: Bool[np.ndarray, "z y x"], axes: Sequence[int] = EVERYWHERE) -> Int32[np.ndarray, "z y x"]:
    """Label of each connected piece: equal within a piece, different between pieces, 0 outside the mask.

    Every voxel starts with a label of its own, and the largest one wins by sweeping to and fro along the axes until
    nothing changes.

    Args:
        mask: the pieces.
        axes: along which neighbours touch; (1, 2) leaves slices apart.
    """
    labels = np.where(mask, np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape), np.int32(0))
    while True:
        before = labels.copy()
        for axis in axes:
            forward = np.moveaxis(labels, axis, 0)
            for lines in (forward, forward[::-1]):
                for line, following in pairwise(lines):
                    np.maximum(following, line, out=following, where=following > 0)
        if np.array_equal(labels, before):
            return labels


def _largest(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The largest connected piece."""
    labels = connected(mask)
    names, counts = np.unique(labels[mask], return_counts=True)
    return labels == names[counts.argmax()] if names.size else mask


def _reaching_edges(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Those pieces of each slice that touch its edge."""
    labels = connected(mask, IN_PLANE)
    edges = np.concatenate([labels[:, [0, -1], :].ravel(), labels[:, :, [0, -1]].ravel()])
    return mask & np.isin(labels, edges)


def _smooth(hu: Shaped[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
    """Average of each voxel and its two neighbours along every axis in turn; edges count twice."""
    mean = hu.astype(np.float32)
    for axis in EVERYWHERE:
        padded = np.pad(mean, [(int(axis == other),) * 2 for other in EVERYWHERE], mode="edge")
        lines = np.moveaxis(padded, axis, 0)
        mean = np.moveaxis((lines[:-2] + lines[1:-1] + lines[2:]) / 3, 0, axis)
    return mean


def _grow(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """One voxel further in plane, corners included."""
    for axis in IN_PLANE:
        mask = np.moveaxis(mask, axis, 0)
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        mask = np.moveaxis(grown, 0, axis)
    return mask


def _erode(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """One voxel less in plane; the edge of a slice takes nothing away."""
    return ~_grow(~mask)
