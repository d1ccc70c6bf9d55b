"""What differs between two volumes, and how they lie to each other."""

import numpy as np
import pytest

from generatect.ct.difference import difference, offset_mm
from generatect.ct.grid import Grid
from generatect.ct.volume import CTVolume
from generatect.errors import InputError


def volume(shape=(6, 8, 10), shift_zyx=(0, 0, 0), seed=0, spacing=(2.0, 1.0, 1.0)) -> CTVolume:
    affine = Grid(shape, spacing).affine()
    affine[:3, 3] += affine[:3, :3] @ np.array(shift_zyx)
    voxels = np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)
    return CTVolume(voxels, affine)


def test_on_one_grid_it_is_a_subtraction():
    first, second = volume(seed=0), volume(seed=1)
    changed = difference(first, second)
    np.testing.assert_array_equal(changed.voxels_hu, second.voxels_hu.astype(int) - first.voxels_hu)
    np.testing.assert_array_equal(changed.affine, first.affine)
    assert not difference(first, first).voxels_hu.any()


def test_where_the_second_holds_nothing_nothing_differs():
    """A volume shifted by whole voxels agrees with itself where both are, and is not air elsewhere."""
    whole = volume(shape=(8, 9, 10))
    part = CTVolume(whole.voxels_hu[2:7, 1:6, 3:10], whole.affine.copy())
    part.affine[:3, 3] += whole.affine[:3, :3] @ np.array([2, 1, 3])
    assert not difference(whole, part).voxels_hu.any()
    brighter = CTVolume(part.voxels_hu + np.int16(7), part.affine)
    expected = np.zeros(whole.shape_zyx, np.int16)
    expected[2:7, 1:6, 3:10] = 7
    np.testing.assert_array_equal(difference(whole, brighter).voxels_hu, expected)


def test_the_two_directions_are_opposite():
    first, second = volume(seed=0), volume(seed=1)
    forth, back = difference(first, second), difference(second, first)
    np.testing.assert_array_equal(forth.voxels_hu, -back.voxels_hu)


def test_other_axes_are_refused():
    first = volume()
    turned = first.affine.copy()
    turned[:3, :3] = first.affine[:3, [0, 2, 1]]
    with pytest.raises(InputError, match="different axis directions"):
        difference(first, CTVolume(first.voxels_hu, turned))


def test_volumes_of_one_place_share_their_millimetres_and_others_their_centres():
    first = volume()
    near, far = volume(shift_zyx=(1, 2, 0)), volume(shift_zyx=(50, 0, 0))
    assert not offset_mm(first, near).any()
    assert not offset_mm(first, volume(shape=(3, 4, 5))).any()
    np.testing.assert_allclose(offset_mm(first, far), far.centre_mm - first.centre_mm)
    np.testing.assert_allclose(offset_mm(first, far), [0, 0, 100])
