"""FID and FVD of whole folders through TorchScript detectors, against the protocol written out by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from generatect.data.cache import ArrayCache
from generatect.errors import InputError
from generatect.evaluation.compare import Tools, compare
from generatect.evaluation.detectors import load_detector
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.result import Result
from generatect.evaluation.volumes import read_folder
from generatect.files import sha256_of_file
from tests.evaluation.folders import noise, preset_of, write_folder, write_volume
from tests.evaluation.torchscript import Clips, Images, save

NUM, SHAPE = 6, (20, 16, 16)


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    folder, loaded = tmp_path_factory.mktemp("detectors"), {}
    for kind, module, width in (("images", Images(), 9), ("clips", Clips(), 48)):
        path = save(module, folder / f"{kind}.pt")
        loaded[kind] = load_detector(str(path), kind, sha256_of_file(path), width)
    return loaded


@pytest.fixture(scope="module")
def volumes() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Real ones are the same from slice to slice, so that their random offset is of no account; generated ones not."""
    real = [np.repeat(noise(index, 1, 16, 16), 20, axis=0) + 60 * index for index in range(NUM)]
    fake = [noise(50 + index, *SHAPE) + np.linspace(-500, 300, 20)[:, None, None] for index in range(NUM)]
    return real, [np.rint(voxels) for voxels in fake]


def write_sides(folder: Path, sides: Sequence[list[np.ndarray]]) -> None:
    for side, items in zip(("real", "fake"), sides, strict=True):
        for index, voxels in enumerate(items):
            write_volume(folder / side / f"v{index}.nii.gz", voxels)


@pytest.fixture
def measure(tmp_path, detectors, volumes):
    """Function that computes one metric of both folders under a preset."""
    write_sides(tmp_path, volumes)
    tools = Tools(detectors, None, ArrayCache(tmp_path / "cache"))

    def run(metric: str, preset: EvaluationPreset, **options: object) -> Result:
        real, fake = (read_folder(tmp_path / side, side) for side in ("real", "fake"))
        return compare(real, fake, metrics=[metric], preset=preset, tools=tools, **options)[0]

    return run


def grey(voxels: np.ndarray) -> np.ndarray:
    return np.rint((voxels.clip(-1000, 1000) + 1000) / 2000 * 255)


def frechet(a: np.ndarray, b: np.ndarray, ddof: int = 0) -> float:
    """By the singular values of the cross products of centred features."""
    first, second = ((x - x.mean(0)) / np.sqrt(len(x) - ddof) for x in (a, b))
    overlap = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return np.square(a.mean(0) - b.mean(0)).sum() + np.square(first).sum() + np.square(second).sum() - 2 * overlap


def clip_features(voxels: np.ndarray, first: int = 0, length: int = 16) -> np.ndarray:
    """What the I3D-like detector says: the mean of each channel and slice, in -1..1."""
    return np.tile(grey(voxels[first : first + length]).mean((1, 2)) / 127.5 - 1, 3)


def image_features(voxels: np.ndarray) -> np.ndarray:
    """What the Inception-like detector says of each slice: upper and lower mean and spread of each channel, 0..255."""
    shown = grey(voxels)
    means = [np.tile(part.mean((1, 2))[:, None], 3) for part in (shown[:, :8], shown[:, 8:])]
    return np.hstack([*means, np.tile(shown.reshape(len(shown), -1).std(1, ddof=1)[:, None], 3)])


def test_fvd_of_stylegan_v(measure, volumes):
    real, fake = (np.stack([clip_features(voxels) for voxels in side]) for side in volumes)
    result = measure("fvd", preset_of("stylegan_v"))
    assert result.value == pytest.approx(frechet(real, fake), rel=1e-4)
    assert (result.num_real, result.num_fake, result.num_dropped) == (NUM, NUM, 0)
    assert (result.preset, result.detector.width, result.interval, result.floor) == ("stylegan_v", 48, None, None)


def test_each_choice_of_the_fvd_moves_the_number(measure, volumes):
    """So a change of any of them fails the test above."""
    expected = measure("fvd", preset_of("stylegan_v")).value
    changes = {"fake_offset": "random", "ddof": 1, "hu_range": [-1000.0, 900.0], "clip_length": 15, "max_clips": 5}
    for key, value in changes.items():
        preset = preset_of("stylegan_v", **{key: value})
        if key == "clip_length":
            with pytest.raises(InputError, match="expected \\(1, 48\\)"):
                measure("fvd", preset)
        else:
            assert measure("fvd", preset).value != pytest.approx(expected, rel=1e-3), key
    real, fake = (np.stack([clip_features(voxels) for voxels in side]) for side in volumes)
    one_channel = frechet(real[:, :16], fake[:, :16])
    assert expected == pytest.approx(3 * one_channel, rel=1e-4)
    assert expected != pytest.approx(frechet(127.5 * real, 127.5 * fake), rel=0.5)  # not rescaled


def test_the_order_of_slices_counts(measure, volumes, tmp_path):
    """Volumes as long as a clip leave the offset no choice, so real slices may differ, too."""
    sides = [[np.rint(part[:16] + np.linspace(0, 400, 16)[:, None, None]) for part in side] for side in volumes]
    write_sides(tmp_path, sides)
    real, fake = (np.stack([clip_features(voxels) for voxels in side]) for side in sides)
    backwards = np.stack([clip_features(voxels[::-1]) for voxels in sides[1]])
    result = measure("fvd", preset_of("stylegan_v"))
    assert result.value == pytest.approx(frechet(real, fake), rel=1e-4)
    assert result.value != pytest.approx(frechet(real, backwards), rel=1e-3)


def test_at_most_so_many_clips_of_the_first_files_count(measure, volumes):
    real, fake = (np.stack([clip_features(voxels) for voxels in side[:4]]) for side in volumes)
    result = measure("fvd", preset_of("stylegan_v", max_clips=4))
    assert result.value == pytest.approx(frechet(real, fake), rel=1e-4)
    assert (result.num_real, result.num_fake) == (4, 4)


def test_fid_of_stylegan_v_takes_all_slices(measure, volumes):
    real, fake = (np.concatenate([image_features(voxels) for voxels in side]) for side in volumes)
    assert measure("fid", preset_of("stylegan_v")).value == pytest.approx(frechet(real, fake), rel=1e-4)


def test_fid_of_stylegan_v_takes_generated_slices_in_sorted_order_up_to_a_limit(measure, volumes):
    assert preset_of("stylegan_v").max_fake_images == 50_000
    real, fake = (np.concatenate([image_features(voxels) for voxels in side]) for side in volumes)
    result = measure("fid", preset_of("stylegan_v", max_fake_images=50))
    assert result.value == pytest.approx(frechet(real, fake[:50]), rel=1e-4)
    assert result.value != pytest.approx(frechet(real, fake), rel=1e-3)
    assert (result.num_real, result.num_fake) == (NUM, 3)


def test_shorter_volumes_are_dropped_and_counted(measure, volumes, tmp_path):
    write_volume(tmp_path / "fake" / "short.nii.gz", noise(9, 15, 16, 16))
    write_volume(tmp_path / "fake" / "just.nii.gz", just := noise(10, 16, 16, 16))
    with pytest.raises(InputError, match="grid=fake"):
        measure("fvd", preset_of("stylegan_v"))
    result = measure("fvd", preset_of("stylegan_v"), grid="any")
    real, fake = volumes
    expected = frechet(
        np.stack([clip_features(voxels) for voxels in real]), np.stack([clip_features(v) for v in [just, *fake]])
    )
    assert result.value == pytest.approx(expected, rel=1e-4)
    assert (result.num_fake, result.num_dropped) == (NUM + 1, 1)
    assert any("1 volumes dropped" in note for note in result.notes)
    assert any("different grids" in note for note in result.notes)


def test_robust_says_interval_floor_and_kernel_distance(measure, tmp_path, detectors):
    real, fake = (read_folder(tmp_path / side, side) for side in ("real", "fake"))
    tools = Tools(detectors, None, ArrayCache(tmp_path / "cache"))
    preset = preset_of("robust", resamples=30, floor_splits=10)
    fvd, kvd = compare(real, fake, metrics=["fvd"], preset=preset, tools=tools)
    low, high = fvd.interval
    assert 0 <= low < fvd.value < high
    assert fvd.floor.value > 0
    assert (fvd.floor.num, fvd.floor.of) == (NUM // 2, "real against real")
    assert fvd.floor.interval[0] <= fvd.floor.value <= fvd.floor.interval[1]
    assert fvd.value > fvd.floor.value  # these generated volumes are far from the real ones
    assert kvd.metric == "kvd"
    assert any("covariances are singular" in note for note in fvd.notes)
    assert compare(real, fake, metrics=["fvd"], preset=preset, tools=tools) == [fvd, kvd]


def test_halves_of_one_distribution_lie_at_their_floor(tmp_path, detectors):
    folders = [write_folder(tmp_path / side, 8, seed) for seed, side in enumerate(("real", "fake"))]
    real, fake = (read_folder(folder, folder.name) for folder in folders)
    preset = preset_of("robust", resamples=50, floor_splits=30)
    tools = Tools(detectors, None, ArrayCache(tmp_path / "cache"))
    for result in compare(
        real, fake, metrics=["fid", "kid", "hu_histogram", "z_continuity"], preset=preset, tools=tools
    ):
        low, high = result.floor.interval
        assert result.interval[0] <= high, result.metric
        assert result.interval[1] >= low, result.metric


def test_kid_of_very_many_items_is_a_mean_over_subsets(measure, monkeypatch):
    preset = preset_of("robust", slices_per_volume=None, resamples=5, floor_splits=2)
    whole = measure("kid", preset)
    monkeypatch.setattr("generatect.evaluation.statistics.MAX_KERNEL_ROWS", NUM * 20 - 1)
    monkeypatch.setattr("generatect.evaluation.statistics.SUBSETS", (60, 40))
    result = measure("kid", preset)
    assert result.value == pytest.approx(whole.value, rel=0.1)
    assert result.value != whole.value
    assert (result.interval, result.floor) == (None, None)
    assert any("40 subsets of 60" in note for note in result.notes)


def test_limits_that_leave_too_little_are_refused(measure):
    with pytest.raises(InputError, match="6 real and 1 generated volumes count; expected at least 2"):
        measure("fid", preset_of("stylegan_v", max_fake_images=20))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"real_offset": "middle"}, "real_offset='middle'"),
        ({"clip_length": 0}, "clip_length=0: expected at least 1"),
        ({"ddof": 2}, "ddof=2"),
        ({"resamples": -1}, "resamples=-1"),
        ({"hu_range": [10.0, 10.0]}, "hu_range"),
        ({"clip_window": "brain"}, "clip_window='brain'"),
    ],
)
def test_a_preset_that_cannot_be_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        preset_of("robust", **changes)
