"""The ten findings as shapes; each function paints one, within `cavity` where it belongs to lung or pleura."""

from itertools import pairwise

import numpy as np

from generatect.phantom.anatomy import AORTA_MM, aorta_radius, tube
from generatect.phantom.findings import Finding
from generatect.phantom.patient import Patient
from generatect.phantom.shapes import Canvas, Point, capsule, ellipsoid, paint_ellipsoid, paint_tube, separable

SIGNS = {"right": -1, "left": 1}


def _paint_within(
    canvas: Canvas, cavity: np.ndarray, center_mm: Point, radii_mm: Point, hu: float, softness: float = 1.0
) -> None:
    coverage = ellipsoid(canvas, center_mm, radii_mm) * softness
    canvas.paint(coverage * cavity, hu)


def paint_consolidation(canvas: Canvas, patient: Patient, finding: Finding, cavity: np.ndarray) -> None:
    """A lobe without air: apex and back of the lung (upper) or above the diaphragm (lower)."""
    sign = SIGNS[finding.side]
    jitter = 6 * np.array(finding.shift)
    center, radii = {
        "upper": ((62, 22, sign * 78), (42, 52, 46)),
        "lower": ((-20, 20, sign * 84), (36, 46, 44)),
    }[finding.place]
    radii = np.array(radii) * patient.scale * (0.92 + 0.16 * finding.grade)
    _paint_within(canvas, cavity, np.array(center) * patient.scale + jitter, radii, 35.0, 0.86 + 0.1 * finding.grade)


def paint_nodule(canvas: Canvas, patient: Patient, finding: Finding, cavity: np.ndarray) -> None:
    """A round soft-tissue lesion of 36 to 52 mm in the front of the lung."""
    sign = SIGNS[finding.side]
    center = {"upper": (46, -38, sign * 68), "lower": (-4, -34, sign * 100)}[finding.place]
    radius = 19 + 6 * finding.grade + finding.shift[0]
    jitter = 4 * np.array(finding.shift)
    _paint_within(canvas, cavity, np.array(center) * patient.scale + jitter, (radius,) * 3, 45.0)


def paint_pleural_effusion(canvas: Canvas, patient: Patient, finding: Finding, cavity: np.ndarray) -> None:
    """Fluid that has run to the back of the supine patient: a crescent, deepest at the base."""
    scale = patient.scale
    level = (52 - 26 * finding.grade + 3 * finding.shift[0]) * scale
    for side, sign in SIGNS.items():
        if finding.is_on(side):
            fluid = separable(
                canvas,
                lambda z: 1 + (level + 0.34 * (z + 40 * scale)) / 50,
                lambda y: -y / 50,
                lambda x, sign=sign: _meniscus(sign * x, scale),
            )
            canvas.paint(fluid * cavity, 10.0)


def _meniscus(outwards_mm: np.ndarray, scale: float) -> np.ndarray:
    """Field over x of one side's fluid: it climbs along the chest wall and keeps off the midline."""
    climb = np.square(np.maximum(0, outwards_mm - 55 * scale) / (62 * scale))
    return np.maximum(0, 12 - outwards_mm) - 0.8 * climb


def paint_lymph_nodes(canvas: Canvas, patient: Patient, finding: Finding) -> None:
    """Enlarged nodes beside the trachea, before the arch and under the carina."""
    size = (0.9 + 0.25 * finding.grade) * patient.scale
    for center, radii in (((52, 2, -36), (26, 22, 20)), ((44, -34, 14), (24, 20, 28)), ((2, 34, -4), (18, 13, 24))):
        place = np.array(center) * patient.scale + 2 * np.array(finding.shift)
        paint_ellipsoid(canvas, place, np.array(radii) * size, 60.0)


def paint_hiatal_hernia(canvas: Canvas, patient: Patient, finding: Finding) -> None:
    """Stomach behind the heart, a bubble of air in front of its contents."""
    radius = (29 + 8 * finding.grade + finding.shift[0]) * patient.scale
    center = np.array((-60, 34, 0)) * patient.scale + 3 * np.array(finding.shift)
    paint_ellipsoid(canvas, center, (radius * 1.05, radius * 0.95, radius * 1.15), 40.0)
    bubble = center - np.array((-0.1, 0.35, 0)) * radius
    paint_ellipsoid(canvas, bubble, (0.62 * radius, 0.42 * radius, 0.72 * radius), -950.0)


def paint_calcification(canvas: Canvas, patient: Patient, finding: Finding) -> None:
    """Plaques in the wall of the aorta: a bright tube beside its lumen, which is painted over it afterwards."""
    radius = aorta_radius(patient)
    points = tube(patient, *AORTA_MM)
    thick = (2.6 + 1.6 * finding.grade) * patient.scale
    for first, last, aside in ((1, 6, (0.55, 0.1, 0.75)), (6, 8, (0, 0.2, 0.9))):
        shifted = points[first : last + 1] + thick * np.array(aside)
        for start, stop in pairwise(shifted):
            part = canvas.box(np.minimum(start, stop) - radius - thick, np.maximum(start, stop) + radius + thick)
            if part is not None:
                part.paint(capsule(part, start, stop, radius + 0.6 * thick), 850.0)


def paint_pacemaker(canvas: Canvas, patient: Patient) -> None:
    """A generator under the skin of the left chest, its lead through the vena cava into the right ventricle."""
    scale = patient.scale
    angle = 0.35
    tangent = np.array(((1, 0, 0), (0, np.cos(angle), -np.sin(angle)), (0, np.sin(angle), np.cos(angle)))).T
    center = (72 * scale, -101 * scale - 0.3 * patient.fat_mm, 76 * scale)
    paint_ellipsoid(canvas, center, (26, 10, 30), 3000.0, tangent)
    lead = tube(
        patient, (84, -102, 70), (108, -70, 62), (96, -14, -14), (20, -10, -25), (-25, -22, -14), (-56, -46, 26)
    )
    paint_tube(canvas, lead, 1.6, 2500.0)
