"""Resampling against closed forms, and against the world."""

import numpy as np
import pytest

from generatect.ct.grid import Grid, affine_of
from generatect.ct.resample import axis_weights, resample_like, resample_to_grid
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume
from generatect.errors import InputError


def volume_of(voxels: np.ndarray, spacing=(1.0, 1.0, 1.0), tilt: float = 0.0) -> CTVolume:
    cosine, sine = np.cos(tilt), np.sin(tilt)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]
    )
    centre = np.array([10.0, -20.0, 300.0])
    return CTVolume(voxels, affine_of(voxels.shape, spacing, turn @ CANONICAL_DIRECTIONS_RAS, centre))


def blob(volume: CTVolume, world_mm: np.ndarray, width_mm: float) -> CTVolume:
    """A smooth marker at a world position."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape_zyx), indexing="ij"), axis=-1)
    distance = index @ volume.affine[:3, :3].T + volume.affine[:3, 3] - world_mm
    voxels = np.exp(-(distance**2).sum(-1) / (2 * width_mm**2)) * 1000 - 1000
    return CTVolume(voxels.astype(np.float32), volume.affine)


def centroid_mm(volume: CTVolume) -> np.ndarray:
    """World position of the marker."""
    mass = volume.voxels_hu.astype(np.float64) + 1000
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape_zyx), indexing="ij"), axis=-1)
    return volume.affine[:3, :3] @ (index * mass[..., None]).sum((0, 1, 2)) / mass.sum() + volume.affine[:3, 3]


def test_the_same_grid_is_the_identity():
    voxels = np.random.default_rng(0).normal(0, 300, (5, 6, 7)).astype(np.float32)
    volume = volume_of(voxels, (2.0, 0.7, 0.8), tilt=0.2)
    same = resample_to_grid(volume, Grid((5, 6, 7), (2.0, 0.7, 0.8)))
    np.testing.assert_allclose(same.voxels_hu, voxels, atol=1e-3)
    np.testing.assert_allclose(same.affine, volume.affine, atol=1e-9)


@pytest.mark.parametrize("num_out", [40, 33, 10, 5, 4])
def test_a_ramp_stays_the_same_ramp(num_out):
    """Exact where linear interpolation or whole voxels are at work; else off by at most an eighth of an input voxel."""
    step = 20 / num_out
    ramp = np.arange(20.0)
    positions = (np.arange(num_out) - (num_out - 1) / 2) * step + 9.5
    result = axis_weights(20, num_out, step, positions[0]) @ ramp
    tolerance = 1e-4 if step < 1 or step == int(step) else 0.125
    inside = (positions >= 0) & (positions <= 19)
    np.testing.assert_allclose(result[inside], positions[inside], atol=tolerance)


@pytest.mark.parametrize("num_out", [20, 19, 13, 7, 3, 1])
def test_shrinking_keeps_the_mean(num_out):
    values = np.random.default_rng(1).normal(size=20)
    step = 20 / num_out
    result = axis_weights(20, num_out, step, (step - 1) / 2) @ values
    assert result.mean() == pytest.approx(values.mean(), abs=1e-6)


def test_shrinking_by_a_whole_factor_is_the_block_mean():
    voxels = np.random.default_rng(2).normal(0, 300, (4, 6, 8)).astype(np.float32)
    small = resample_to_grid(volume_of(voxels), Grid((2, 2, 4), (2.0, 3.0, 2.0)))
    np.testing.assert_allclose(small.voxels_hu, voxels.reshape(2, 2, 2, 3, 4, 2).mean((1, 3, 5)), atol=1e-3)


def test_without_antialias_neighbours_are_interpolated():
    weights = axis_weights(20, 5, 4.0, 1.5, antialias=False)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert ((weights > 0).sum(1) == 2).all()


def test_outside_is_air_and_inside_untouched():
    voxels = np.random.default_rng(3).integers(-500, 500, (4, 4, 4)).astype(np.int16)
    wide = resample_to_grid(volume_of(voxels), Grid((8, 4, 2), (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(wide.voxels_hu[2:6], voxels[:, :, 1:3], atol=1e-3)
    np.testing.assert_allclose(wide.voxels_hu[[0, 1, 6, 7]], -1000, atol=1e-3)
    assert resample_to_grid(volume_of(voxels), Grid((8, 4, 4), (1.0, 1.0, 1.0)), fill_hu=7.0).voxels_hu[0, 0, 0] == 7


def test_a_voxel_half_outside_is_half_air():
    ones = volume_of(np.full((2, 2, 2), 1000, np.int16))
    coarse = resample_to_grid(ones, Grid((1, 2, 2), (4.0, 1.0, 1.0)))
    np.testing.assert_allclose(coarse.voxels_hu, 0, atol=1e-3)


@pytest.mark.parametrize("grid", [Grid((20, 33, 33), (3.0, 2.0, 2.0)), Grid((70, 40, 61), (0.9, 1.9, 1.1))])
def test_a_marker_in_a_tilted_anisotropic_scan_keeps_its_place_in_the_world(grid):
    volume = volume_of(np.zeros((30, 60, 50), np.int16), (2.0, 1.0, 1.3), tilt=0.3)
    marker = volume.centre_mm + np.array([3.0, -5.0, 4.0])
    scan = blob(volume, marker, 4.0)
    result = resample_to_grid(scan, grid)
    np.testing.assert_allclose(result.directions, volume.directions, atol=1e-9)
    np.testing.assert_allclose(result.spacing_mm_zyx, grid.spacing_mm_zyx, atol=1e-9)
    assert np.linalg.norm(centroid_mm(result) - marker) < 0.5 * min(grid.spacing_mm_zyx)
    back = resample_like(result, volume)
    np.testing.assert_allclose(back.affine, volume.affine)
    assert np.linalg.norm(centroid_mm(back) - marker) < 0.5 * min(volume.spacing_mm_zyx)


def test_there_and_back_restores_a_smooth_volume():
    volume = volume_of(np.zeros((24, 30, 28), np.int16), (2.0, 1.0, 1.2), tilt=0.1)
    smooth = blob(volume, volume.centre_mm + np.array([2.0, 1.0, -3.0]), 9.0)
    finer = resample_to_grid(smooth, Grid((60, 60, 60), (0.8, 0.5, 0.56)))
    assert np.abs(resample_like(finer, smooth).voxels_hu - smooth.voxels_hu).max() < 30


@pytest.mark.parametrize("grid", [Grid((11, 9, 13), (4.0, 7.0, 3.1)), Grid((90, 70, 50), (0.6, 0.9, 1.4))])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_work_in_blocks_is_the_whole_matrix_product(grid, dtype):
    voxels = np.random.default_rng(5).integers(-1024, 3071, (57, 66, 43)).astype(dtype)
    volume = volume_of(voxels, (0.9, 0.8, 1.1))
    matrices = []
    for num_in, num_out, mm_in, mm_out in zip(
        voxels.shape, grid.shape_zyx, volume.spacing_mm_zyx, grid.spacing_mm_zyx, strict=True
    ):
        step = mm_out / mm_in
        matrices.append(axis_weights(num_in, num_out, step, (num_in - 1) / 2 - step * (num_out - 1) / 2))
    expected = np.einsum("az,by,cx,zyx->abc", *matrices, voxels.astype(np.float64) + 1000, optimize=True) - 1000
    np.testing.assert_allclose(resample_to_grid(volume, grid).voxels_hu, expected, atol=2e-3)


def test_clipping_on_the_way_is_clipping_beforehand():
    voxels = np.random.default_rng(6).normal(0, 1500, (9, 8, 7)).astype(np.float32)
    grid, before = Grid((4, 5, 6), (2.0, 2.0, 1.5)), voxels.copy()
    clipped = resample_to_grid(volume_of(voxels.clip(-1000, 1000)), grid)
    on_the_way = resample_to_grid(volume_of(voxels), grid, clip_hu=(-1000.0, 1000.0))
    np.testing.assert_array_equal(on_the_way.voxels_hu, clipped.voxels_hu)
    np.testing.assert_array_equal(voxels, before)


def test_axes_that_are_not_parallel_are_refused():
    voxels = np.random.default_rng(4).normal(size=(6, 7, 8)).astype(np.float32)
    with pytest.raises(InputError, match="axis directions"):
        resample_like(volume_of(voxels, tilt=0.0), volume_of(voxels, tilt=0.3))


def test_grids_say_what_they_cover():
    grid = Grid((10, 20, 40), (3.0, 2.0, 1.0))
    assert grid.fov_mm_zyx == (30.0, 40.0, 40.0)
    assert (grid.num_voxels, grid.voxel_volume) == (8000, 6.0)
    volume = CTVolume(np.zeros(grid.shape_zyx, np.int16), grid.affine())
    np.testing.assert_allclose(volume.centre_mm, 0, atol=1e-12)
    # z to superior, y to posterior, x to the patient's left, in RAS+
    np.testing.assert_array_equal(grid.affine()[:3, :3], [[0, 0, -1], [0, -2, 0], [3, 0, 0]])
    for shape, spacing in (((0, 2, 2), (1.0, 1.0, 1.0)), ((2, 2, 2), (1.0, 0.0, 1.0))):
        with pytest.raises(InputError, match="grid"):
            Grid(shape, spacing)
