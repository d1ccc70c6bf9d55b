"""A phantom case on any grid."""

import numpy as np

from generatect.ct.grid import Grid
from generatect.ct.volume import CTVolume
from generatect.phantom import lesions, organs, trunk
from generatect.phantom.anatomy import AIR_HU, thorax
from generatect.phantom.case import PhantomCase
from generatect.phantom.shapes import Canvas

BLOCK_VOXELS = 1 << 19
"""Whole slices are painted in blocks of about this many voxels, small enough for a processor's cache."""


def render(case: PhantomCase, grid: Grid, noise_hu: float = 0.0, seed: int | None = None) -> CTVolume:
    """The scan of a case, canonical, centred on world zero.

    Args:
        case: patient and findings.
        grid: shape and spacing; voxels hold the average of the tissue within them.
        noise_hu: standard deviation of the white noise in a voxel of this grid.
        seed: seed of the noise; None takes the case's.

    Returns:
        Volume of float32 HU, from -1000 upwards (noise goes below).
    """
    axes = tuple(
        ((np.arange(size) - (size - 1) / 2) * spacing).astype(np.float32)
        for size, spacing in zip(grid.shape_zyx, grid.spacing_mm_zyx, strict=True)
    )
    voxels_hu = np.full(grid.shape_zyx, AIR_HU, dtype=np.float32)
    num_slices, num_rows, num_columns = grid.shape_zyx
    step = max(1, BLOCK_VOXELS // (num_rows * num_columns))
    for start in range(0, num_slices, step):
        block = slice(start, start + step)
        paint_case(Canvas(voxels_hu[block], (axes[0][block], axes[1], axes[2]), grid.spacing_mm_zyx), case)
    if noise_hu > 0:
        generator = np.random.default_rng([case.seed if seed is None else seed, 4])
        voxels_hu += np.float32(noise_hu) * generator.standard_normal(grid.shape_zyx, dtype=np.float32)
    return CTVolume(voxels_hu, grid.affine())


def paint_case(canvas: Canvas, case: PhantomCase) -> None:
    """Paint the patient from outside to inside; what comes later covers what came before."""
    patient = case.patient
    found = {finding.name: finding for finding in case.findings}
    trunk.paint_trunk(canvas, patient)
    cavity = thorax(canvas, patient)
    trunk.paint_ribs(canvas, patient)

    emphysema = found.get("Emphysema")
    organs.paint_lungs(canvas, patient, cavity, 100 + 30 * emphysema.grade if emphysema else 0.0)
    if finding := found.get("Consolidation"):
        lesions.paint_consolidation(canvas, patient, finding, cavity)
    if finding := found.get("Lung nodule"):
        lesions.paint_nodule(canvas, patient, finding, cavity)
    if finding := found.get("Pleural effusion"):
        lesions.paint_pleural_effusion(canvas, patient, finding, cavity)

    organs.paint_mediastinum(canvas, patient)
    organs.paint_abdomen(canvas, patient, cavity)
    if finding := found.get("Lymphadenopathy"):
        lesions.paint_lymph_nodes(canvas, patient, finding)
    enlarged, fluid = found.get("Cardiomegaly"), found.get("Pericardial effusion")
    organs.paint_heart(
        canvas,
        patient,
        enlargement=1.28 + 0.12 * enlarged.grade if enlarged else 1.0,
        fluid_mm=18 + 8 * fluid.grade if fluid else 0.0,
    )
    if finding := found.get("Hiatal hernia"):
        lesions.paint_hiatal_hernia(canvas, patient, finding)
    if finding := found.get("Arterial wall calcification"):
        lesions.paint_calcification(canvas, patient, finding)
    organs.paint_great_vessels(canvas, patient)
    organs.paint_airways(canvas, patient)
    trunk.paint_spine(canvas, patient)
    if found.get("Medical material"):
        lesions.paint_pacemaker(canvas, patient)
