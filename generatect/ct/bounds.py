"""Which grids are a CT's: one set of bounds for what is read, what is written and what a model may be asked for."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

SPACING_RANGE_MM = (0.1, 200.0)
"""Metres and centimetres lie below, micrometres above. The smallest models take a chest in two slices 150 mm apart."""

MAX_EXTENT_MM = 3000.0
"""Along any axis: longer than any scanner's table, and what a damaged or mistaken spacing soon exceeds."""

AXIS_RANGE = (2, 32767)
"""Voxels along an axis; NIfTI-1 counts them in 16 bits."""

MAX_VOXELS = 1 << 30
"""1024 slices of 1024²: beyond any clinical chest CT; 4 GiB as float32."""

MAX_SHEAR_DEGREES = 0.5
"""By how much the angle between two axes may differ from a right one; resampling takes it for right."""


def size_fault(shape: tuple[int, ...], max_voxels: int = MAX_VOXELS) -> str | None:
    """What is wrong with the number of voxels, and what was expected; None where nothing is.

    Args:
        shape: voxels along three axes, in any order.
        max_voxels: in all.
    """
    low, high = AXIS_RANGE
    if not low <= min(shape) <= max(shape) <= high:
        return f"axes of {_shown(shape)} voxels; expected {low} to {high} along each"
    num_voxels = int(shape[0]) * int(shape[1]) * int(shape[2])
    if num_voxels > max_voxels:
        return f"{num_voxels} voxels ({_shown(shape)}); expected at most {max_voxels}"
    return None


def spacing_fault(spacing_mm: tuple[float, ...] | np.ndarray, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a spacing, and what was expected; None where nothing is.

    Args:
        spacing_mm: along three axes, in any order.
        shape: voxels along the same axes.
    """
    low, high = SPACING_RANGE_MM
    if not (low <= min(spacing_mm) and max(spacing_mm) <= high):  # NaN is in no range
        return f"spacing {_shown(spacing_mm)} mm; expected {low:g} to {high:g} mm (a CT affine in millimetres)"
    extent_mm = np.multiply(spacing_mm, shape[:3])
    if extent_mm.max() > MAX_EXTENT_MM:
        return (
            f"spacing {_shown(spacing_mm)} mm, so that the volume measures {_shown(extent_mm)} mm; expected at most "
            f"{MAX_EXTENT_MM:g} mm along each axis"
        )
    return None


def shear_degrees(affine: Float[np.ndarray, "4 4"]) -> float:
    """Largest deviation from a right angle between two axes of an affine: a tilted gantry's, for instance."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = (axes.T @ axes)[[0, 0, 1], [1, 2, 2]]
    return float(np.degrees(np.arcsin(np.abs(cosines).clip(0, 1))).max())


def _shown(numbers: Iterable[int | float]) -> str:
    return " × ".join(f"{number:.4g}" if number < 1000 else f"{number:.0f}" for number in numbers)
