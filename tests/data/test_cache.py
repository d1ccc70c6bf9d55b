"""Arrays made once: what is read is what was made, whatever happens to the files."""

import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from generatect.ct import intensity
from generatect.ct.grid import Grid
from generatect.ct.intensity import hu_to_model
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.array_file import ArrayFile, DamagedFile, write_array
from generatect.data.cache import ArrayCache, CacheError
from generatect.data.inputs import ModelInputs, to_model_range
from generatect.data.manifest import Manifest, Record
from generatect.data.reconstructions import Reconstructions
from generatect.data.tokens import VolumeTokens
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs
from tests.data.tiny import PRESET, make_tokenizer

ARRAYS = [
    np.arange(24, dtype=np.int16).reshape(4, 3, 2),
    np.arange(24, dtype=np.uint16).reshape(4, 3, 2).transpose(2, 0, 1),  # not as it lies in memory
    np.linspace(0, 1, 6, dtype=np.float16).reshape(1, 6),
    np.arange(5, dtype=np.uint8),
    np.array(7, dtype=np.int32),
    np.zeros((0, 3), dtype=np.int16),
    np.zeros((3, 0), dtype=np.float32),
]


def damages(content: bytes) -> dict[str, bytes]:
    """One file damaged in every way that a disk, a copy or a person damages files."""
    flipped = {f"bit {place}": _flip(content, place) for place in range(0, len(content), 7)}
    cut = {f"cut to {size}": content[:size] for size in (0, 1, 19, 20, 128, len(content) - 3)}
    return {**flipped, **cut, "longer": content + b"x", "other": b"x" * len(content), "zeros": bytes(len(content))}


def _flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def _is_whole(path: Path) -> bool:
    try:
        ArrayFile(path, "key").whole()
    except DamagedFile:
        return False
    return True


class TestFile:
    @pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
    def test_what_is_written_is_read(self, tmp_path, array):
        write_array(tmp_path / "a.npy", array, "key")
        for read in (ArrayFile(tmp_path / "a.npy", "key").whole(), np.load(tmp_path / "a.npy")):
            assert read.dtype == array.dtype
            np.testing.assert_array_equal(read, array)

    def test_planes_are_those_asked_for(self, tmp_path):
        array = np.random.default_rng(0).integers(-1000, 1000, (9, 4, 5)).astype(np.int16)
        write_array(tmp_path / "a.npy", array, "key")
        for indices in ([3], [8, 0, 0], [], range(9)):
            np.testing.assert_array_equal(ArrayFile(tmp_path / "a.npy", "key").planes(indices), array[list(indices)])

    def test_any_damage_is_noticed(self, tmp_path):
        path, array = tmp_path / "a.npy", np.arange(120, dtype=np.int16).reshape(5, 4, 6)
        write_array(path, array, "key")
        assert _is_whole(path)
        for name, content in damages(path.read_bytes()).items():
            path.write_bytes(content)
            assert not _is_whole(path), name

    def test_a_plane_is_read_beside_a_damaged_one(self, tmp_path):
        path, array = tmp_path / "a.npy", np.arange(120, dtype=np.int16).reshape(5, 4, 6)
        write_array(path, array, "key")
        path.write_bytes(_flip(path.read_bytes(), 128 + 3 * 48))  # in plane 3, behind the header
        np.testing.assert_array_equal(ArrayFile(path, "key").planes([0, 1, 2, 4]), array[[0, 1, 2, 4]])
        with pytest.raises(DamagedFile, match="plane 3"):
            ArrayFile(path, "key").planes([0, 3])

    def test_a_file_of_another_key_is_foreign(self, tmp_path):
        write_array(tmp_path / "a.npy", np.ones(3), "key")
        with pytest.raises(DamagedFile):
            ArrayFile(tmp_path / "a.npy", "another key")


class TestCache:
    def test_what_is_made_once_is_read_afterwards(self, tmp_path):
        made = []

        def make() -> np.ndarray:
            made.append(1)
            return np.arange(6, dtype=np.int16).reshape(2, 3)

        cache = ArrayCache(tmp_path)
        for _ in range(3):
            np.testing.assert_array_equal(cache.get(("a", "b"), make), np.arange(6).reshape(2, 3))
            np.testing.assert_array_equal(cache.planes(("a", "b"), make, [1]), [[3, 4, 5]])
        assert len(made) == 1
        assert ("a", "b") in cache
        assert ("ab",) not in cache
        assert ("a", "c") not in cache

    def test_a_damaged_entry_is_made_again(self, tmp_path):
        cache, old, new = ArrayCache(tmp_path), np.ones((3, 20), np.int16), np.full((3, 20), 2, np.int16)
        cache.put(("a",), old)
        path = cache.path(("a",))
        content = path.read_bytes()
        for name, damaged in damages(content).items():
            path.write_bytes(damaged)
            np.testing.assert_array_equal(cache.get(("a",), lambda: new), new, err_msg=name)
            path.write_bytes(damaged)
            np.testing.assert_array_equal(cache.planes(("a",), lambda: new, [0, 1, 2]), new, err_msg=name)

    def test_a_pickle_is_not_loaded(self, tmp_path):
        cache = ArrayCache(tmp_path)
        cache.path(("a",)).parent.mkdir()
        np.save(cache.path(("a",)), np.array([{"x": 1}], dtype=object), allow_pickle=True)
        assert ("a",) not in cache
        np.testing.assert_array_equal(cache.get(("a",), lambda: np.zeros(2)), np.zeros(2))

    def test_an_entry_copied_to_another_place_is_not_taken_for_its_own(self, tmp_path):
        cache = ArrayCache(tmp_path)
        cache.put(("a",), np.ones(2))
        cache.path(("b",)).parent.mkdir(exist_ok=True)
        cache.path(("b",)).write_bytes(cache.path(("a",)).read_bytes())
        assert ("b",) not in cache
        np.testing.assert_array_equal(cache.get(("b",), lambda: np.zeros(2)), np.zeros(2))

    def test_a_failed_make_leaves_nothing(self, tmp_path):
        def fail() -> np.ndarray:
            raise InputError("unreadable")

        cache = ArrayCache(tmp_path)
        with pytest.raises(InputError):
            cache.get(("a",), fail)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_disk_that_takes_no_more_is_named_and_nothing_half_written_stays(self, tmp_path):
        cache, limits = ArrayCache(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            with pytest.raises(CacheError, match=f"cache_dir={tmp_path}: cannot be written"):
                cache.put(("a",), np.zeros(50_000, np.int16))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_more_arrays_than_files_may_be_open(self, tmp_path):
        cache = ArrayCache(tmp_path)
        for number in range(80):
            cache.put((str(number),), np.full(3, number))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, limits[1]))
        try:
            values = [int(cache.read((str(number),))[0]) for number in range(80)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert values == list(range(80))

    def test_an_array_gone_from_the_cache_is_named(self, tmp_path):
        cache = ArrayCache(tmp_path)
        with pytest.raises(CacheError, match="is gone"):
            cache.read(("a",))

    def test_many_writers_of_one_entry_leave_one_whole_entry(self, tmp_path):
        cache = ArrayCache(tmp_path)
        array = np.arange(20_000, dtype=np.int16).reshape(100, 200)
        script = (
            "import sys, numpy as np; from generatect.data.cache import ArrayCache\n"
            "cache, array = ArrayCache(sys.argv[1]), np.arange(20_000, dtype=np.int16).reshape(100, 200)\n"
            "for _ in range(40): cache.put(('a',), array)"
        )
        writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
        cache.put(("a",), array)
        while writer.poll() is None:
            cache.put(("a",), array)
            np.testing.assert_array_equal(cache.read(("a",)), array)
        assert writer.returncode == 0
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [cache.path(("a",))]


class TestUnfinished:
    def unfinished(self, cache: ArrayCache, pid: int) -> str:
        """What a process of that number leaves when it is killed while it writes."""
        path = cache.path((str(pid),))
        path.parent.mkdir(exist_ok=True)
        own = f"..{path.name}.by-{os.uname().nodename}-{pid}.part.abcd.part"
        (path.parent / own).write_bytes(b"x")
        return own

    def test_that_of_the_dead_goes_and_that_of_the_living_stays(self, tmp_path):
        cache = ArrayCache(tmp_path)
        cache.put(("a",), np.ones(3))
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        self.unfinished(cache, dead.pid)
        living = self.unfinished(cache, os.getpid())
        assert cache.remove_unfinished() == 1
        assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {cache.path(("a",)).name, living}

    def test_a_process_not_yet_buried_is_dead(self, tmp_path):
        cache = ArrayCache(tmp_path)
        zombie = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
        assert zombie.stdout.read() == b""  # ended, and not waited for
        zombie.stdout.close()
        self.unfinished(cache, zombie.pid)
        for _ in range(1000):
            if cache.remove_unfinished():
                break
            threading.Event().wait(0.01)
        assert not list(tmp_path.rglob("*.part"))
        zombie.wait()

    def test_that_of_another_machine_goes_when_it_has_lain_for_an_hour(self, tmp_path):
        cache = ArrayCache(tmp_path)
        folder = tmp_path / "ab"
        folder.mkdir()
        old, new, features = (
            folder / f".x.{end}.part" for end in ("npy.by-elsewhere-1", "npy.by-elsewhere-2", "safetensors.q")
        )
        for path in (old, new, features):
            path.write_bytes(b"x")
        for path in (old, features):
            os.utime(path, (0, 0))
        assert cache.remove_unfinished() == 2
        assert list(folder.iterdir()) == [new]

    def test_what_else_lies_in_the_folder_stays(self, tmp_path):
        cache = ArrayCache(tmp_path)
        other = tmp_path / "hub" / ".download.part"
        other.parent.mkdir()
        other.write_bytes(b"x")
        os.utime(other, (0, 0))
        assert cache.remove_unfinished() == 0
        assert other.exists()


class TestInputs:
    def test_the_source_is_asked_what_a_volume_depends_on_once_and_after_each_reading(self, tmp_path):
        class Counting(PhantomPairs):
            asked = 0

            def fingerprint(self, index: int) -> str:
                self.asked += 1
                return super().fingerprint(index)

        pairs = Counting(num=1)
        inputs = ModelInputs(pairs, PRESET, ArrayCache(tmp_path))
        for _ in range(3):
            inputs.volume(0), inputs.slices(0, [1], upscaled=True)
        assert pairs.asked == 1 + 2

    def test_volumes_pass_through_it_within_half_a_hounsfield_unit(self, tmp_path):
        pairs = PhantomPairs(num=1)
        direct = ModelInputs(pairs, PRESET, None).volume(0)
        cached = ModelInputs(pairs, PRESET, ArrayCache(tmp_path)).volume(0)
        assert (direct - cached).abs().max() <= 0.5001 / 1000

    @pytest.mark.parametrize("upscaled", [False, True])
    def test_slices_are_those_of_the_volume(self, tmp_path, upscaled):
        inputs = ModelInputs(PhantomPairs(num=1), PRESET, ArrayCache(tmp_path))
        whole = to_model_range(inputs.make(0, upscaled))
        for z_indices in ([4, 0, 2], [1]):
            assert torch.equal(inputs.slices(0, z_indices, upscaled), whole[z_indices])
        if not upscaled:
            assert torch.equal(inputs.volume(0)[0], whole)

    @pytest.mark.parametrize("hu_range", [(-1000.0, 1000.0), (-1024.0, 2000.0)])
    def test_every_stored_value_becomes_what_the_equation_says(self, monkeypatch, hu_range):
        monkeypatch.setattr(intensity, "HU_RANGE", hu_range)
        hu = np.arange(hu_range[0], hu_range[1] + 1).astype(np.int16).reshape(1, 1, -1)
        expected = hu_to_model(torch.from_numpy(hu.astype(np.float64)))
        actual = to_model_range(hu)
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual.double(), expected, atol=2e-7, rtol=0)

    def test_another_hounsfield_range_invalidates_everything(self, tmp_path, monkeypatch):
        cache = ArrayCache(tmp_path)

        def there() -> list[bool]:
            inputs = ModelInputs(PhantomPairs(num=1), PRESET, cache)
            tokens = VolumeTokens(inputs, make_tokenizer(0), "sha", cache)
            reconstructions = Reconstructions(inputs, make_tokenizer(0), "sha", cache)
            return [inputs.is_cached(0), inputs.is_cached(0, upscaled=True), 0 in tokens, 0 in reconstructions]

        inputs = ModelInputs(PhantomPairs(num=1), PRESET, cache)
        inputs.keep(0), inputs.keep(0, upscaled=True)
        VolumeTokens(inputs, make_tokenizer(0), "sha", cache).read(0)
        Reconstructions(inputs, make_tokenizer(0), "sha", cache).keep(0)
        assert there() == [True] * 4
        low, high = intensity.HU_RANGE
        for other in ((low, high - 1), (low - 24, high)):
            monkeypatch.setattr(intensity, "HU_RANGE", other)
            assert there() == [False] * 4

    def test_a_file_that_has_gone_is_named(self, tmp_path):
        class Gone(PhantomPairs):
            def fingerprint(self, index: int) -> str:
                raise FileNotFoundError(2, "No such file or directory", "somewhere")

        with pytest.raises(InputError, match="phantom-000000: cannot be read"):
            ModelInputs(Gone(num=1), PRESET, ArrayCache(tmp_path)).volume(0)

    def test_a_file_replaced_before_it_is_read_spoils_nothing(self, tmp_path):
        path, grid = tmp_path / "a.nii.gz", Grid((6, 8, 8), (5.0, 4.0, 4.0))
        draws = np.random.default_rng(0).integers(-900, 900, (2, *grid.shape_zyx)).astype(np.int16)

        @dataclass
        class One:
            def read(self) -> Manifest:
                return Manifest([Record("a", path, "p", "Clear.")])

        def write(number: int) -> None:
            write_nifti(path, CTVolume(draws[number], grid.affine()))

        def inputs() -> ModelInputs:
            return ModelInputs(ArchivePairs(layout=One(), hu_policy="already_hu"), PRESET, ArrayCache(tmp_path / "c"))

        write(0)
        asked = inputs()
        uncached = ModelInputs(asked.pairs, PRESET, None)
        asked.key(0), uncached.key(0)
        write(1)
        with pytest.raises(InputError, match="has changed"):  # tokens would be kept by the key
            uncached.volume(0)
        with pytest.raises(InputError, match="a: the file has changed while it was in use"):
            asked.volume(0)
        assert np.array_equal(asked.volume(0).numpy(), inputs().volume(0).numpy())  # asked anew
        write(0)
        first = ModelInputs(asked.pairs, PRESET, None).volume(0)
        torch.testing.assert_close(inputs().volume(0), first, atol=0.51e-3, rtol=0)
