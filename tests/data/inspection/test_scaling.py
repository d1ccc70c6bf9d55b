"""Scaled twice, never, or once: told by where tissue lies."""

import numpy as np
import pytest

from generatect.data.inspection.scaling import seen_scaling


@pytest.mark.parametrize(("shift", "seen"), [(0, ""), (-1024, "twice"), (1024, "never"), (-1000, "twice"), (5, "")])
@pytest.mark.parametrize("seed", range(3))
def test_phantoms(scan, shift, seen, seed):
    assert seen_scaling(scan(seed).voxels_hu[::2, ::2, ::2].astype(np.int32) + shift) == seen


def test_padding_far_below_air_is_no_second_scaling(scan):
    voxels = scan(0).voxels_hu.astype(np.int32)
    voxels[:, :25] = -8192
    assert seen_scaling(voxels) == ""


@pytest.mark.parametrize("hu", [-1000, 0, 1024, -2048])
def test_one_value_alone_is_no_tissue_and_air(hu):
    assert seen_scaling(np.full((4, 4, 4), hu)) in ("", "never")
