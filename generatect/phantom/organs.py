"""The organs inside the ribs: lungs, mediastinum, heart, great vessels, airways, and what lies under the diaphragm."""

import numpy as np

from generatect.phantom.anatomy import (
    AIR_HU,
    AORTA_MM,
    BLOOD_HU,
    FAT_HU,
    LIVER_HU,
    aorta_radius,
    axes_along,
    column,
    tube,
)
from generatect.phantom.patient import Patient
from generatect.phantom.shapes import Canvas, Point, ellipsoid, paint_ellipsoid, paint_tube, separable
from generatect.phantom.vessels import AVERAGE_EXTENT_MM, lung_vessels

HEART_CENTER_MM = (-38.0, -20.0, 20.0)
HEART_RADII_MM = (63.0, 45.0, 44.0)
HEART_AXES = axes_along((-0.42, -0.48, 0.77))
HILUM_MM = {"right": (8.0, 12.0, -30.0), "left": (12.0, 12.0, 32.0)}


def paint_lungs(canvas: Canvas, patient: Patient, cavity: np.ndarray, loss_hu: float = 0.0) -> None:
    """Parenchyma, denser towards the back, with branching vessels; emphysema takes `loss_hu`, most in the apices."""
    z, y, _ = canvas.open_axes
    lung = patient.lung_hu + 0.22 * y - loss_hu * np.clip(0.85 + z / 300, 0.5, 1.2)
    lung = np.maximum(lung, -985)
    for side, sign in (("right", -1), ("left", 1)):
        origin = np.array(HILUM_MM[side]) * patient.scale
        extent = np.array(AVERAGE_EXTENT_MM) * (1, 1, sign) * patient.scale
        vessels = lung_vessels(canvas, 2 * patient.tree + (sign > 0), origin, extent)
        lung = lung + vessels * (60 - lung)
    canvas.paint(cavity, lung)


def paint_mediastinum(canvas: Canvas, patient: Patient) -> None:
    """The fatty column between the lungs, wider at the top."""
    scale = patient.scale

    def flare(z: np.ndarray) -> np.ndarray:
        return 0.2 - 0.5 * np.clip((z - 40) / 110, 0, 1)

    fields = column(36 * scale, 104 * scale, 2.0)
    part = canvas.box((-400, -108 * scale, -50 * scale), (400, 108 * scale, 50 * scale))
    if part is not None:
        part.paint(separable(part, flare, *fields), -70.0)


def paint_abdomen(canvas: Canvas, patient: Patient, cavity: np.ndarray) -> None:
    """Both diaphragm domes with liver, stomach and spleen under them."""
    scale, breath = patient.scale, patient.breath_mm
    part = canvas.box((-400, -400, -400), (-40 * scale + breath, 400, 400))
    if part is None:
        return
    cavity = cavity[: part.voxels_hu.shape[0]]
    domes = []
    for top, center_x, bend in ((-48, -66, 0.0102), (-60, 68, 0.0110)):
        domes.append(
            separable(
                part,
                lambda z, top=top: 1 + (z - top * scale - breath) / 60,
                lambda y: 0.0112 / scale / 60 * np.square(y + 12 * scale),
                lambda x, center=center_x, bend=bend: bend / scale / 60 * np.square(x - center * scale),
            )
        )
    right, left = domes
    below = np.maximum(right, left) * cavity
    part.paint(below, FAT_HU)
    lift = np.array((breath, 0, 0))

    def organ(center: Point, radii: Point, hu: float, coverage: np.ndarray) -> None:
        within = ellipsoid(part, np.array(center) * scale + lift, np.array(radii) * scale)
        part.paint(within * coverage, hu)

    organ((-120, -4, -60), (84, 88, 104), LIVER_HU, below)
    organ((-112, -12, 70), (52, 52, 46), 35.0, below)
    organ((-104, -38, 68), (32, 20, 34), -950.0, below)
    organ((-118, 50, 92), (52, 32, 36), 75.0, below)


def paint_heart(canvas: Canvas, patient: Patient, enlargement: float = 1.0, fluid_mm: float = 0.0) -> None:
    """Heart, tilted to the left, in a layer of fat; `fluid_mm` of effusion fills the pericardium round it."""
    scale = patient.scale
    size = patient.heart_scale * enlargement
    center = np.array(HEART_CENTER_MM) * scale + np.array((0, 0, 36 * (enlargement - 1)))
    radii = np.array(HEART_RADII_MM) * scale * size
    if fluid_mm:
        paint_ellipsoid(canvas, center + np.array((4, 0, -4)), radii + fluid_mm, 8.0, HEART_AXES)
    paint_ellipsoid(canvas, center, radii + 4, -90.0, HEART_AXES)
    paint_ellipsoid(canvas, center, radii, 100.0, HEART_AXES)

    def chamber(offset: Point, chamber_radii: Point) -> None:
        place = center + HEART_AXES @ (np.array(offset) * radii)
        paint_ellipsoid(canvas, place, np.array(chamber_radii) * radii, BLOOD_HU, HEART_AXES)

    chamber((0.2, 0.36, 0.28), (0.58, 0.36, 0.38))
    chamber((0.15, -0.42, -0.3), (0.62, 0.36, 0.42))
    chamber((-0.62, 0.1, 0.3), (0.26, 0.5, 0.46))
    chamber((-0.6, -0.4, -0.3), (0.28, 0.4, 0.44))


def paint_great_vessels(canvas: Canvas, patient: Patient) -> None:
    """Aorta with its branches, vena cava and pulmonary arteries."""
    scale = patient.scale
    paint_tube(canvas, tube(patient, (16, -26, 14), (22, -12, 20), (22, 10, 40)), 11.5 * scale, BLOOD_HU)
    paint_tube(canvas, tube(patient, (20, -12, 14), (12, 6, -34)), 10.5 * scale, BLOOD_HU)
    paint_tube(canvas, tube(patient, (96, -14, -20), (-5, -10, -26)), 8.5 * scale, BLOOD_HU)
    for start, stop in (((56, -4, -6), (160, -4, -22)), ((58, 4, 4), (160, 0, 16)), ((56, 16, 12), (160, 14, 30))):
        paint_tube(canvas, tube(patient, start, stop), 5 * scale, BLOOD_HU)
    paint_tube(canvas, tube(patient, *AORTA_MM), aorta_radius(patient), BLOOD_HU)


def paint_airways(canvas: Canvas, patient: Patient) -> None:
    """Oesophagus, trachea and the large bronchi with their walls."""
    scale = patient.scale
    paint_tube(canvas, tube(patient, (160, 28, 4), (40, 32, 4), (-100, 26, 8)), 6 * scale, 35.0)
    airways = (
        (9.0, ((160, 4, 0), (90, 12, -1), (36, 18, 0))),
        (6.8, ((36, 18, 0), (14, 21, -28))),
        (4.8, ((14, 21, -28), (-14, 28, -38))),
        (6.2, ((36, 18, 0), (10, 23, 34))),
        (4.4, ((10, 23, 34), (-18, 32, 44))),
    )
    for wall, hu in ((1.6, 30.0), (0.0, AIR_HU)):
        for radius, points in airways:
            paint_tube(canvas, tube(patient, *points), (radius + wall) * scale, hu)
