"""The body wall: table, fat, breasts, muscles, ribs and spine."""

import numpy as np

from generatect.phantom.anatomy import CAVITY_MM, FAT_HU, MUSCLE_HU, axes_along, column, thorax, tube
from generatect.phantom.patient import Patient
from generatect.phantom.shapes import Canvas, paint_ellipsoid, paint_tube, separable

RIB_PITCH_MM, RIB_HEIGHT_MM, RIB_SLOPE = 27.0, 12.0, 0.38
VERTEBRA_MM = 25.0


def paint_trunk(canvas: Canvas, patient: Patient) -> None:
    """Table, skin and fat, breasts, muscles."""
    scale, fat = patient.scale, patient.fat_mm
    half_width, half_depth = 150 * scale, 109 * scale
    _paint_table(canvas, half_depth + fat + 2)

    def waist(z: np.ndarray) -> np.ndarray:
        return 0.05 + 0.16 * np.square((z - 35) / 150)

    body = separable(canvas, waist, *column((half_width + fat) * 1.02, (half_depth + fat) * 1.02, 2.4))
    canvas.paint(body, FAT_HU)
    if patient.sex == "female":
        for side in (-1, 1):
            center = (8 * scale, -(half_depth + 0.55 * fat) * 0.84, side * 72 * scale)
            paint_ellipsoid(canvas, center, (52 * scale, 26 + 0.9 * fat, 55 * scale), FAT_HU)
            paint_ellipsoid(canvas, center, (26 * scale, 16 + 0.5 * fat, 26 * scale), 0.0)
    muscle = separable(canvas, waist, *column(half_width * 1.02, half_depth * 1.02, 2.4))
    canvas.paint(muscle, MUSCLE_HU)


def _paint_table(canvas: Canvas, top_mm: float) -> None:
    """A curved board: a thin shell of carbon fibre round foam; the same in every slice."""
    _, y, x = canvas.open_axes
    depth = (y - top_mm + np.square(x) / 1500) / np.float32(canvas.spacing_mm[1])
    edge = {at: np.clip(0.5 + depth - at / canvas.spacing_mm[1], 0, 1) for at in (0, 3, 15, 18)}
    canvas.paint(edge[0] - edge[18], -150.0)
    canvas.paint(edge[3] - edge[15], -900.0)


def paint_ribs(canvas: Canvas, patient: Patient) -> None:
    """Oblique ribs, cartilage towards the breastbone, and the breastbone, shoulder blades and collar bones.

    To be followed by `paint_lungs`, which clears the inside.
    """
    scale = patient.scale
    z, y, _ = canvas.open_axes
    slant = z - RIB_SLOPE * y
    window = float(np.hypot(canvas.spacing_mm[0], RIB_SLOPE * canvas.spacing_mm[1]))
    pitch, height = RIB_PITCH_MM * scale, RIB_HEIGHT_MM * scale
    is_bone = 1 / (1 + np.exp(-(y + 48 * scale) / 6))
    # The whole inside, not the shell: the lungs cover the rest, and edges shared with them stay free of muscle.
    ribs = thorax(canvas, patient, 11 * scale) * _stripes(slant, window, pitch, height)
    canvas.paint(ribs, 120 + (patient.bone_hu + 280) * is_bone)
    if max(canvas.spacing_mm) < 4:
        marrow = np.maximum(thorax(canvas, patient, 8.5 * scale) - thorax(canvas, patient, 3 * scale), 0)
        marrow *= _stripes(slant - 2.5 * scale, window, pitch, height - 5 * scale)
        canvas.paint(marrow, 120 + (patient.bone_hu - 60) * is_bone)
    front = -(CAVITY_MM[1] + 9) * scale
    paint_ellipsoid(canvas, (25 * scale, front, 0), (78 * scale, 8 * scale, 20 * scale), patient.bone_hu)
    for side in (-1, 1):
        blade = axes_along((0.0, 0.74, side * 0.67))
        center = (62 * scale, 81 * scale, side * 108 * scale)
        paint_ellipsoid(canvas, center, (5.5 * scale, 34 * scale, 58 * scale), patient.bone_hu + 200, blade)
        ends = tube(patient, (98, -90, side * 20), (118, -74, side * 62), (124, -44, side * 112))
        paint_tube(canvas, ends, 6.5 * scale, patient.bone_hu + 200)


def paint_spine(canvas: Canvas, patient: Patient) -> None:
    """Vertebral bodies with discs, the canal, laminae and spinous processes."""
    scale = patient.scale
    part = canvas.box((-400, 35 * scale, -45 * scale), (400, 125 * scale, 45 * scale))
    if part is None:
        return
    z, y, _ = part.open_axes
    pitch = VERTEBRA_MM * scale
    bodies = _stripes(z, part.spacing_mm[0], pitch, 0.78 * pitch)
    back = _stripes(z + 0.45 * y, part.spacing_mm[0], pitch, 0.62 * pitch)
    for half_width, half_depth, center, pattern, hu in (
        (34, 7, 96, back, patient.bone_hu + 120),
        (4.5, 12, 102, back, patient.bone_hu + 150),
        (18.5, 15.5, 69, 1.0, 90.0),
        (19.5, 16.5, 69, bodies, patient.bone_hu + 260),
        (17, 14, 69, bodies, patient.bone_hu - 40),
        (9.5, 8.5, 91, 1.0, 15.0),
    ):
        coverage = separable(part, np.zeros_like, *column(half_width * scale, half_depth * scale, 2.4, center * scale))
        part.paint(coverage * pattern, hu)


def _stripes(position_mm: np.ndarray, width_mm: float, pitch_mm: float, height_mm: float) -> np.ndarray:
    """Mean over a window of `width_mm` of a pattern that is 1 for `height_mm` in every `pitch_mm`."""

    def integral(t: np.ndarray) -> np.ndarray:
        periods = np.floor(t / pitch_mm)
        return periods * height_mm + np.minimum(t - periods * pitch_mm, height_mm)

    return (integral(position_mm + width_mm / 2) - integral(position_mm - width_mm / 2)) / np.float32(width_mm)
