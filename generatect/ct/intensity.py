"""Hounsfield units, the model's [-1, 1], and what a display window shows."""

from typing import TypeVar

import numpy as np
from torch import Tensor

HU_RANGE = (-1000.0, 1000.0)
"""The part of the Hounsfield scale that models see; beyond it is clipped."""

WINDOWS = {"lung": (1500.0, -600.0), "mediastinum": (400.0, 40.0), "bone": (2000.0, 500.0)}
"""Display windows: width and level in HU."""

Values = TypeVar("Values", np.ndarray, Tensor)


def hu_to_model(hu: Values) -> Values:
    """HU → [-1, 1], clipped: -1000 HU is -1, +1000 HU is +1."""
    return hu_to_unit(hu) * 2 - 1


def model_to_hu(values: Values) -> Values:
    """[-1, 1] → HU in [-1000, 1000]; values outside are clipped."""
    return unit_to_hu((values + 1) / 2)


def hu_to_unit(hu: Values) -> Values:
    """HU → [0, 1], clipped."""
    low, high = HU_RANGE
    return (_floating(hu).clip(low, high) - low) / (high - low)


def unit_to_hu(values: Values) -> Values:
    """[0, 1] → HU in [-1000, 1000]; values outside are clipped."""
    low, high = HU_RANGE
    return values.clip(0, 1) * (high - low) + low


def window(hu: Values, width: float, level: float) -> Values:
    """Brightness in [0, 1] of a display window of `width` HU around `level` HU."""
    return ((_floating(hu) - (level - width / 2)) / width).clip(0, 1)


def _floating(hu: Values) -> Values:
    """Integers as float32: NumPy alone would widen them to float64."""
    if isinstance(hu, np.ndarray):
        return hu if np.issubdtype(hu.dtype, np.floating) else hu.astype(np.float32)
    return hu if hu.is_floating_point() else hu.float()
