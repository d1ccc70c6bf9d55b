"""What is measured once is kept; what stops goes on; what cannot be read is listed."""

import numpy as np
import pytest

from generatect.ct.arrays import ArrayForm
from generatect.ct.grid import Grid
from generatect.ct.scan import Reading
from generatect.data.cache import ArrayCache
from generatect.errors import InputError
from generatect.evaluation.features import Measure, Task, identities, measure_all, measured
from generatect.evaluation.volumes import read_folder
from tests.evaluation.folders import noise, write_folder, write_volume


def silent(*_: object) -> None:
    pass


class Counting:
    """A measure that counts how often it is made, and may stop like a killed process."""

    def __init__(self, stop_after: int | None = None, **depends_on: object) -> None:
        self.made, self.stop_after = [], stop_after
        self.measure = Measure("mean", depends_on, self.make)

    def make(self, voxels_hu, volume) -> np.ndarray:
        if len(self.made) == self.stop_after:
            raise KeyboardInterrupt
        self.made.append(volume.name)
        return np.array([voxels_hu.mean(), voxels_hu.size])


@pytest.fixture
def folder(tmp_path):
    return read_folder(write_folder(tmp_path / "real", 4, 0, (5, 6, 7)), "real")


def tasks(folder, counting: Counting, grid: Grid | None = None) -> list[Task]:
    return [Task(volume, [counting.measure], grid) for volume in folder.volumes]


def test_an_interrupted_pass_goes_on_where_it_was(folder, tmp_path):
    cache, first, second = ArrayCache(tmp_path / "cache"), Counting(stop_after=2), Counting()
    with pytest.raises(KeyboardInterrupt):
        measure_all(tasks(folder, first), cache, silent, silent)
    said = []
    measure_all(tasks(folder, second), cache, said.append, silent)
    assert (first.made, second.made) == (["v0", "v1"], ["v2", "v3"])
    assert said[0] == "2 of 4 volumes have been measured before"
    values = measured(tasks(folder, second), "mean", cache)
    assert [value[0] for value in values] == pytest.approx(
        [noise(i, 5, 6, 7).mean() + 40 * i for i in range(4)], abs=0.01
    )


def test_only_what_changed_is_measured_again(folder, tmp_path):
    cache, again = ArrayCache(tmp_path / "cache"), Counting(detector="a")
    measure_all(tasks(folder, Counting(detector="a")), cache, silent, silent)
    write_volume(tmp_path / "real" / "v2.nii.gz", noise(77, 5, 6, 7))
    changed = read_folder(tmp_path / "real", "real")
    assert changed.sha256 != folder.sha256
    measure_all(tasks(changed, again), cache, silent, silent)
    assert again.made == ["v2"]
    other = Counting(detector="b")
    measure_all(tasks(changed, other), cache, silent, silent)
    assert len(other.made) == 4


def test_another_grid_is_another_measurement(folder, tmp_path):
    cache, counting = ArrayCache(tmp_path / "cache"), Counting()
    small = Grid((3, 4, 5), (3.0, 2.0, 2.0))
    measure_all(tasks(folder, counting), cache, silent, silent)
    measure_all(tasks(folder, counting, small), cache, silent, silent)
    assert len(counting.made) == 8
    assert measured(tasks(folder, counting, small), "mean", cache)[0][1] == 3 * 4 * 5


def test_a_file_that_is_read_in_another_way_is_another_measurement(tmp_path):
    """Axes or HU policy that were stated wrong at first must not stay in the numbers, nor in who is whose copy."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 6), np.int16)
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / "v0.npz", voxels)
    write_folder(tmp_path / "files", 1, 0, (5, 6, 7))
    cache = ArrayCache(tmp_path / "cache")

    def seen(folder) -> tuple[float, str]:
        corner = Measure("corner", {}, lambda voxels_hu, _: np.array([voxels_hu[0, 0, 1]]))
        wanted = [Task(volume, [corner], None) for volume in folder.volumes]
        measure_all(wanted, cache, silent, silent)
        return float(measured(wanted, "corner", cache)[0][0]), identities(folder.volumes, cache)[0]

    forms = [ArrayForm.stated("arrays", "hu", axes, [1, 1, 1]) for axes in ("SPL", "SLP")]
    (first, one), (second, other) = (seen(read_folder(tmp_path / "arrays", "real", arrays=form)) for form in forms)
    assert (first, second) == (voxels[0, 0, 1], voxels[0, 1, 0])
    assert one != other
    readings = [Reading("header"), Reading("unchecked")]
    made = Counting()
    for reading in readings:
        folder = read_folder(tmp_path / "files", "real", reading=reading)
        measure_all(tasks(folder, made), cache, silent, silent)
    assert made.made == ["v0", "v0"]


def test_files_that_cannot_be_read_are_all_listed_after_the_others_were_measured(folder, tmp_path):
    for name in ("v0", "v2"):
        content = (tmp_path / "real" / f"{name}.nii.gz").read_bytes()
        (tmp_path / "real" / f"{name}.nii.gz").write_bytes(content[:-30])
    counting = Counting()
    with pytest.raises(InputError, match="2 of 4 volumes cannot be used") as refused:
        measure_all(tasks(folder, counting), ArrayCache(tmp_path / "cache"), silent, silent)
    assert counting.made == ["v1", "v3"]
    assert all(name in str(refused.value) for name in ("v0.nii.gz", "v2.nii.gz"))
    assert "\n" not in str(refused.value)


def test_the_cost_is_said_after_the_first_volume(folder, tmp_path):
    said, shown = [], []
    cache = ArrayCache(tmp_path / "cache")
    measure_all(tasks(folder, Counting()), cache, said.append, lambda *step: shown.append(step))
    assert len(said) == 1
    assert "4 volumes to measure: mean: about" in said[0]
    assert shown[-1] == ("volumes", 4, 4)


def test_a_volume_too_short_for_a_clip_keeps_an_empty_array(folder, tmp_path):
    cache = ArrayCache(tmp_path / "cache")
    empty = Measure("clips", {}, lambda voxels_hu, volume: np.zeros((0, 12), np.float32))
    wanted = [Task(volume, [empty], None) for volume in folder.volumes]
    measure_all(wanted, cache, silent, silent)
    assert [array.shape for array in measured(wanted, "clips", cache)] == [(0, 12)] * 4


def test_a_file_that_is_replaced_before_it_is_measured_spoils_nothing(tmp_path):
    real, path = write_folder(tmp_path / "real", 3, 0, (5, 6, 7)), tmp_path / "real" / "v1.nii.gz"
    cache, content = ArrayCache(tmp_path / "cache"), path.read_bytes()
    before = read_folder(real, "real")
    write_volume(path, noise(99, 5, 6, 7))
    with pytest.raises(InputError, match=r"v1\.nii\.gz: has changed since this command began"):
        measure_all(tasks(before, Counting()), cache, silent, silent)
    path.write_bytes(content)
    measure_all(tasks(read_folder(real, "real"), Counting()), cache, silent, silent)
    assert measured(tasks(before, Counting()), "mean", cache)[1][0] == pytest.approx(
        noise(1, 5, 6, 7).mean() + 40, abs=0.01
    )


def test_what_is_damaged_in_the_cache_is_measured_again(folder, tmp_path):
    cache, again = ArrayCache(tmp_path / "cache"), Counting()
    measure_all(tasks(folder, Counting()), cache, silent, silent)
    expected = np.array(measured(tasks(folder, again), "mean", cache))  # a copy: the files are mapped
    names = identities(folder.volumes, cache)
    for path in (tmp_path / "cache").rglob("*.npy"):
        content = bytearray(path.read_bytes())
        content[128] ^= 1  # the first value
        path.write_bytes(content)
    measure_all(tasks(folder, again), cache, silent, silent)
    assert again.made == ["v0", "v1", "v2", "v3"]
    assert np.array_equal(measured(tasks(folder, again), "mean", cache), expected)
    assert identities(folder.volumes, cache) == names
