"""What detectors get to see: values, places, order and channels."""

import numpy as np
import pytest
import torch

from generatect.ct.intensity import WINDOWS
from generatect.evaluation.clips import clips, shown_slices, slices, to_grey
from tests.evaluation.folders import noise, preset_of

STAIRS = np.broadcast_to((np.arange(40) * 50.0 - 1000)[:, None, None], (40, 6, 4)).astype(np.float32)
"""Slice k is flat: its grey value says k."""
GREYS = np.rint((np.arange(40) * 50.0) / 2000 * 255)


def first_slices(batch: torch.Tensor) -> list[int]:
    """Index of the slice that each clip begins with."""
    return [int(np.flatnonzero(grey == GREYS)[0]) for grey in batch[:, 0, 0, 0, 0].numpy()]


def test_the_range_becomes_0_to_255_rounded_and_clipped():
    hu = np.array([[[-2000, -1000, -996.1, -996.0, 0, 1000, 4000]]], dtype=np.float32)
    assert to_grey(hu, (-1000.0, 1000.0)).ravel().tolist() == [0, 0, 0, 1, 128, 255, 255]
    assert to_grey(np.array([[[-160, 240]]], dtype=np.int16), (-160.0, 240.0)).ravel().tolist() == [0, 255]


def test_a_clip_is_consecutive_slices_upwards_in_three_equal_channels():
    batch = clips(STAIRS, preset_of("stylegan_v"), "fake", "a")
    assert batch.shape == (1, 3, 16, 6, 4)
    assert batch.dtype == torch.uint8
    np.testing.assert_array_equal(batch[0, 0, :, 0, 0], GREYS[:16])
    assert torch.equal(batch[:, 0], batch[:, 1])
    assert torch.equal(batch[:, 0], batch[:, 2])


def test_stylegan_v_begins_generated_clips_at_the_first_slice_and_real_ones_anywhere():
    preset = preset_of("stylegan_v")
    fake = {first_slices(clips(STAIRS, preset, "fake", str(key)))[0] for key in range(200)}
    real = [first_slices(clips(STAIRS, preset, "real", str(key)))[0] for key in range(400)]
    assert fake == {0}
    assert set(real) == set(range(40 - 16 + 1))  # the last possible one, too
    assert np.mean(real) == pytest.approx(12, abs=1.1)


def test_robust_treats_both_sides_alike():
    preset = preset_of("robust")
    for key in map(str, range(20)):
        assert torch.equal(clips(STAIRS, preset, "fake", key), clips(STAIRS, preset, "real", key))
    assert len({first_slices(clips(STAIRS, preset, "fake", str(key)))[0] for key in range(50)}) > 10


def test_offsets_depend_on_volume_and_seed_alone():
    first = [first_slices(clips(STAIRS, preset_of("robust"), "real", key))[0] for key in "abcdefgh"]
    assert first == [first_slices(clips(STAIRS, preset_of("robust"), "real", key))[0] for key in "abcdefgh"]
    assert first != [first_slices(clips(STAIRS, preset_of("robust", seed=1), "real", key))[0] for key in "abcdefgh"]


def test_several_clips_and_a_volume_of_one_length_and_one_that_is_too_short():
    preset = preset_of("robust", clips_per_volume=3)
    assert clips(STAIRS, preset, "real", "a").shape[0] == 3
    assert first_slices(clips(STAIRS[:16], preset, "real", "a")) == [0, 0, 0]
    assert clips(STAIRS[:15], preset, "real", "a").shape == (0, 3, 16, 6, 4)


def test_all_slices_in_order_or_some_of_them_in_order():
    everything = slices(STAIRS, preset_of("stylegan_v"), "a")
    assert everything.shape == (40, 3, 6, 4)
    np.testing.assert_array_equal(everything[:, 2, 0, 0], GREYS)
    some = slices(STAIRS, preset_of("robust"), "a")[:, 0, 0, 0].tolist()
    assert len(some) == len(set(some)) == 16
    assert some == sorted(some)
    assert some != slices(STAIRS, preset_of("robust"), "b")[:, 0, 0, 0].tolist()
    assert len(slices(STAIRS[:5], preset_of("robust"), "a")) == 5


def test_planes_cut_across_their_axes():
    voxels, preset = noise(0, 5, 6, 7), preset_of("stylegan_v")
    grey = to_grey(voxels, preset.hu_range)
    for axis, plane in enumerate(("axial", "coronal", "sagittal")):
        found = slices(voxels, preset, "a", plane)
        np.testing.assert_array_equal(found[:, 1], np.moveaxis(grey, axis, 0))


def test_clip_sees_evenly_spaced_slices_in_a_window():
    shown = shown_slices(STAIRS, preset_of("robust", clip_slices=4, clip_window="mediastinum"))
    width, level = WINDOWS["mediastinum"]
    expected = (STAIRS[[5, 15, 25, 35], 0, 0] - (level - width / 2)) / width
    np.testing.assert_array_equal(shown[:, 0, 0, 0], np.rint(expected.clip(0, 1) * 255))
    assert len(shown_slices(STAIRS, preset_of("stylegan_v"))) == 40
