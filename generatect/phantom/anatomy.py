"""What all organs share: tissues, the patient's frame, and the space inside the ribs.

Positions are millimetres in the average chest, (z, y, x) = (up, back, patient's left), times the patient's scale.
Tissues have the HU of an arterial-phase scan: blood 180, liver 60, muscle 55, fat -100.
"""

import numpy as np

from generatect.phantom.patient import Patient
from generatect.phantom.shapes import Canvas, Field, Point, separable

AIR_HU = -1000.0
BLOOD_HU = 180.0
FAT_HU = -100.0
MUSCLE_HU = 55.0
LIVER_HU = 60.0
CAVITY_MM = (131.0, 90.0)
"""Half width and half depth of the space inside the ribs."""

APEX_MM = 124.0
AORTA_RADIUS_MM = 14.5
AORTA_MM = (
    (-22, -20, 4),
    (8, -27, -10),
    (38, -20, -14),
    (54, -4, -5),
    (58, 12, 8),
    (52, 32, 20),
    (36, 44, 26),
    (-60, 44, 24),
    (-160, 40, 12),
)
"""Course of the aorta from its root over the arch (points 3 to 6) to the diaphragm."""


def axes_along(direction: Point) -> np.ndarray:
    """Orthonormal axes (columns, zyx) whose first points along a direction."""
    first = np.asarray(direction, float) / np.linalg.norm(direction)
    second = np.cross(first, (1.0, 0.0, 0.0))
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def tube(patient: Patient, *points: Point) -> np.ndarray:
    """Points of the average chest in the patient."""
    return np.array(points, dtype=float) * patient.scale


def aorta_radius(patient: Patient) -> float:
    """Radius in mm; grows with age."""
    return (AORTA_RADIUS_MM + 0.04 * (patient.age - 57)) * patient.scale


def column(half_width: float, half_depth: float, power: float, center_y: float = 0.0) -> tuple[Field, Field]:
    """Fields over y and x of an upright superelliptic column, to be completed by a field over z."""
    return (lambda y: np.abs((y - center_y) / half_depth) ** power), (lambda x: np.abs(x / half_width) ** power)


def _apex(top_mm: float) -> Field:
    """Field over z that closes the thorax towards the neck."""
    return lambda z: np.maximum(0, (z - 5) / (top_mm - 5)) ** 2.6


def thorax(canvas: Canvas, patient: Patient, margin_mm: float = 0.0) -> np.ndarray:
    """Coverage of the space inside the ribs, or of a shell's outer face `margin_mm` further out."""
    half_width, half_depth = (extent * patient.scale + margin_mm for extent in CAVITY_MM)
    fields = column(half_width, half_depth, 2.3, -3 * patient.scale)
    return separable(canvas, _apex(APEX_MM * patient.scale + 0.6 * margin_mm), *fields)
