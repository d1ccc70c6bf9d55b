"""Body and lungs: told from everything that is not a chest."""

from collections import deque

import numpy as np
import pytest

from generatect.ct.nifti import read_nifti
from generatect.ct.volume import CTVolume
from generatect.data.inspection.chest import coarse, connected, measure_chest
from generatect.data.inspection.voxel_checks import LUNGS_LITRES


def flooded(mask: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Labels of connected pieces, by visiting one neighbour after the other."""
    labels, number = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        number += 1
        labels[start], queue = number, deque([start])
        while queue:
            place = queue.popleft()
            for axis in axes:
                for step in (-1, 1):
                    other = tuple(p + step * (axis == i) for i, p in enumerate(place))
                    inside = all(0 <= p < size for p, size in zip(other, mask.shape, strict=True))
                    if inside and mask[other] and not labels[other]:
                        labels[other] = number
                        queue.append(other)
    return labels


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2)])
@pytest.mark.parametrize("density", [0.3, 0.5, 0.7])
def test_connected_pieces_are_those_of_a_plain_flood(axes, density):
    mask = np.random.default_rng(3).random((6, 11, 13)) < density
    ours, truth = connected(mask, axes), flooded(mask, axes)
    assert ((ours > 0) == mask).all()
    pairs = {(int(a), int(b)) for a, b in zip(ours[mask], truth[mask], strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_a_winding_corridor_is_one_piece():
    mask = np.zeros((1, 21, 21), bool)
    mask[0, ::2] = True
    mask[0, 1::4, -1] = mask[0, 3::4, 0] = True
    assert len(np.unique(connected(mask)[mask])) == 1


def measured(volume: CTVolume):
    return measure_chest(*coarse(volume))


@pytest.mark.parametrize("seed", range(4))
def test_phantoms_have_a_body_and_lungs(scan, seed):
    volume = scan(seed)
    chest = measured(volume)
    tissue = np.count_nonzero(volume.voxels_hu > -300) * np.prod(volume.spacing_mm_zyx) / 1e6
    assert chest.body_litres == pytest.approx(tissue + chest.lungs_litres, rel=0.15)
    assert 1.0 < chest.lungs_litres < 6.0


def test_real_chests_have_lungs_and_a_real_abdomen_has_not(real_ct_dir):
    assert measured(read_nifti(real_ct_dir / "chest_a.nii.gz")).lungs_litres > 1.0
    assert measured(read_nifti(real_ct_dir / "chest_b.nii.gz")).lungs_litres > 1.0
    abdomen = measured(read_nifti(real_ct_dir / "abdomen.nii.gz"))
    assert abdomen.lungs_litres < LUNGS_LITRES[0] / 1.5
    assert abdomen.body_litres > 10


def test_water_on_a_hollow_table_has_no_lungs(scan, spoil):
    volume = spoil["water"](scan(0))
    assert measured(volume).lungs_litres == 0
    voxels = volume.voxels_hu.copy()
    voxels[:, 104:116, 10:118] = 0  # a shell, just below the body, with foam in it
    voxels[:, 105:115, 11:117] = -900
    with_table = measured(CTVolume(voxels, volume.affine))
    assert with_table.lungs_litres == 0
    assert with_table.body_litres == pytest.approx(measured(volume).body_litres, rel=0.02)


@pytest.mark.parametrize("hu", [-1000, 0])
def test_nothing_but_air_or_nothing_but_water(scan, hu):
    volume = scan(0)
    chest = measured(CTVolume(np.full(volume.shape_zyx, hu, np.int16), volume.affine))
    assert chest.lungs_litres == 0
    assert (chest.body_litres > 0) == (hu == 0)


def test_noise_and_resolution_change_little(scan):
    volume = scan(1)
    noise = np.random.default_rng(1).normal(0, 60, volume.shape_zyx)
    noisy = CTVolume((volume.voxels_hu + noise).astype(np.int16), volume.affine)
    assert measured(noisy).lungs_litres == pytest.approx(measured(volume).lungs_litres, rel=0.2)
