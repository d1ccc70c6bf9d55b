"""Copies made on purpose: an audit that does not find these says nothing by finding none."""

import numpy as np

from generatect.ct.resample import AIR_HU
from generatect.ct.volume import CTVolume

SHIFT_MM = 10.0
NOISE_HU = 20.0
OFFSET_HU = 15.0
CONTRAST = 0.03


def altered(volume: CTVolume, draws: np.random.Generator) -> CTVolume:
    """A volume moved by up to 10 mm along each axis, in whole voxels, with other contrast and brightness, and noise."""
    moved = volume.voxels_hu.astype(np.float32)
    for axis, spacing_mm in enumerate(volume.spacing_mm_zyx):
        furthest = int(SHIFT_MM / spacing_mm)
        moved = _moved(moved, axis, int(draws.integers(-furthest, furthest, endpoint=True)))
    contrast, offset_hu = 1 + draws.uniform(-CONTRAST, CONTRAST), draws.uniform(-OFFSET_HU, OFFSET_HU)
    noise = draws.standard_normal(moved.shape, dtype=np.float32) * np.float32(NOISE_HU)
    return CTVolume((moved * contrast + offset_hu + noise).astype(np.float32), volume.affine)


def _moved(voxels_hu: np.ndarray, axis: int, step: int) -> np.ndarray:
    """The voxels moved along an axis, air coming in."""
    rolled = np.roll(voxels_hu, step, axis)
    ahead = np.moveaxis(rolled, axis, 0)
    ahead[slice(0, step) if step > 0 else slice(len(ahead) + step, None)] = AIR_HU
    return rolled
