"""Partial volume: coverages add up to the true volume, and a coarse rendering is the average of a fine one."""

import numpy as np
import pytest

from generatect.phantom.shapes import Canvas, capsule, ellipsoid, separable


def canvas(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Canvas:
    axes = tuple(
        ((np.arange(size) - (size - 1) / 2) * step).astype(np.float32)
        for size, step in zip(shape, spacing, strict=True)
    )
    return Canvas(np.zeros(shape, dtype=np.float32), axes, spacing)


FINE = ((96, 96, 96), (1.0, 1.0, 1.0))
COARSE = ((8, 12, 12), (12.0, 8.0, 8.0))
TILT = np.linalg.qr(np.array(((1.0, 0.4, 0.2), (-0.3, 1.0, 0.5), (0.1, -0.6, 1.0))))[0]


@pytest.mark.parametrize(("shape", "spacing"), [FINE, COARSE])
def test_volumes_of_shapes_are_the_closed_forms(shape, spacing):
    grid = canvas(shape, spacing)
    voxel = np.prod(spacing)
    assert ellipsoid(grid, (3, -2, 1), (20, 28, 24), TILT).sum() * voxel == pytest.approx(
        4 / 3 * np.pi * 20 * 28 * 24, rel=0.02
    )
    tube = np.pi * 10**2 * np.hypot(30, 20) + 4 / 3 * np.pi * 10**3
    assert capsule(grid, (-15, 0, -10), (15, 0, 10), 10.0).sum() * voxel == pytest.approx(tube, rel=0.06)
    cylinder = separable(grid, np.zeros_like, lambda y: (y / 20) ** 2, lambda x: (x / 25) ** 2)
    assert cylinder.sum() * voxel == pytest.approx(np.pi * 20 * 25 * 96, rel=0.02)


def test_coarse_coverage_is_the_average_of_the_fine_one():
    fine = ellipsoid(canvas(*FINE), (3, -2, 1), (20, 28, 24), TILT)
    coarse = ellipsoid(canvas(*COARSE), (3, -2, 1), (20, 28, 24), TILT)
    average = fine.reshape(8, 12, 12, 8, 12, 8).mean((1, 3, 5))
    assert np.abs(coarse - average).max() < 0.12
    assert np.sqrt(np.square(coarse - average).mean()) < 0.02


def test_a_box_of_the_canvas_is_a_view_of_the_voxels_it_touches():
    grid = canvas((5, 5, 5), (2.0, 2.0, 2.0))
    part = grid.box((-1.5, -0.9, 2), (-1.1, 0.9, 90))
    assert part is not None
    assert part.voxels_hu.shape == (1, 1, 2)
    part.voxels_hu[:] = 1
    assert grid.voxels_hu[1, 2, 3:].sum() == 2 == grid.voxels_hu.sum()
    assert grid.box((50, 0, 0), (60, 1, 1)) is None
