"""Pairs of an archive: how each file is read, and what their hash follows."""

import gzip
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.grid import Grid
from generatect.ct.hounsfield import Scaling
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.manifest import Layout, Manifest, Record
from generatect.data.pairs import Pairs
from generatect.errors import InputError


@dataclass
class Listed:
    """A layout that lists what it is given."""

    records: list[Record]

    def read(self) -> Manifest:
        return Manifest(self.records)


@pytest.fixture
def records(tmp_path) -> list[Record]:
    """A gzip file and a plain one."""
    grid = Grid((4, 6, 6), (3.0, 2.0, 2.0))
    voxels = np.random.default_rng(0).integers(-1000, 1000, grid.shape_zyx).astype(np.int16)
    for name in ("a.nii.gz", "b.nii"):
        write_nifti(tmp_path / name, CTVolume(voxels, grid.affine()))
    return [Record(name, tmp_path / name, "p", "Clear.") for name in ("a.nii.gz", "b.nii")]


def prints(records: list[Record], **options) -> list[str]:
    pairs = ArchivePairs(layout=Listed(records), **options)
    return [pairs.fingerprint(index) for index in range(len(pairs))]


def test_it_is_what_it_says(records):
    assert isinstance(Listed(records), Layout)
    assert isinstance(ArchivePairs(layout=Listed(records)), Pairs)


def test_what_the_record_says_is_how_the_file_is_read(records):
    spacing, scaling = (1.5, 0.75, 0.5), Scaling(0.5, -24.5)
    pairs = ArchivePairs(
        layout=Listed([replace(record, metadata=scaling, spacing_mm_zyx=spacing) for record in records]),
        hu_policy="metadata",
    )
    stored = nib.load(records[0].path).get_fdata()
    for index in range(2):
        volume, decision = pairs.read(index)
        assert (decision.policy, decision.slope, decision.intercept) == ("metadata", 0.5, -24.5)
        assert volume.spacing_mm_zyx == pytest.approx(spacing)
        assert np.array_equal(volume.voxels_hu, stored.transpose(2, 1, 0) * 0.5 - 24.5)


def test_fingerprints_follow_content_not_place_or_date(records):
    before = prints(records)
    assert prints(records) == before
    os.utime(records[0].path, ns=(1, 1))
    os.utime(records[1].path, ns=(1, 1))
    assert prints(records) == before
    for index in range(2):
        volume = ArchivePairs(layout=Listed(records), hu_policy="already_hu").volume(index)
        changed = volume.voxels_hu.copy()
        changed[1, 1, 1] += 1
        write_nifti(records[index].path, CTVolume(changed, volume.affine))
        os.utime(records[index].path, ns=(1, 1))
        assert prints(records)[index] != before[index]


def test_fingerprints_follow_how_a_file_is_read(records):
    changes = [{"metadata": Scaling(1.0, 0.0)}, {"metadata": Scaling(1.0, 0.5)}, {"spacing_mm_zyx": (1.0, 1.0, 1.0)}]
    found = [prints([replace(record, **change) for record in records])[0] for change in ({}, *changes)]
    found += [prints(records, hu_policy="already_hu")[0], prints(records, assume_axes="LPS")[0]]
    assert len(set(found)) == len(found)


NOISE = np.random.default_rng(0).integers(-1000, 1000, (32, 200, 200)).astype(np.int16)
"""2.4 MB, of which the ends are sampled."""


def in_one_member(content: bytes) -> bytes:
    return gzip.compress(content, 0)


def in_three_members(content: bytes) -> bytes:
    """As bgzip does, and whoever concatenates."""
    third = len(content) // 3
    parts = (content[:third], content[third:-third], content[-third:])
    return b"".join(gzip.compress(part, 0) for part in parts)


def padded(content: bytes) -> bytes:
    return gzip.compress(content, 0) + bytes(2 << 20)


@pytest.mark.parametrize("store", [bytes, in_one_member, in_three_members, padded])
def test_a_change_in_the_middle_of_a_long_file_is_noticed_even_if_size_and_date_stay(tmp_path, store):
    path = tmp_path / "scan.nii"
    write_nifti(path, CTVolume(NOISE, Grid(NOISE.shape, (3.0, 2.0, 2.0)).affine()))
    content = bytearray(path.read_bytes())
    path.write_bytes(store(content))
    os.utime(path, ns=(1, 1))
    size, before = path.stat().st_size, prints([Record("scan", path, "p", "x")])
    content[len(content) // 2] ^= 1
    path.write_bytes(store(content))
    os.utime(path, ns=(1, 1))
    assert path.stat().st_size == size
    assert prints([Record("scan", path, "p", "x")]) != before


def test_a_copied_folder_keeps_the_caches_of_compressed_volumes(tmp_path):
    for name, store in (("one", in_one_member), ("three", in_three_members)):
        path = tmp_path / f"{name}.nii.gz"
        write_nifti(tmp_path / "scan.nii", CTVolume(NOISE, Grid(NOISE.shape, (3.0, 2.0, 2.0)).affine()))
        path.write_bytes(store((tmp_path / "scan.nii").read_bytes()))
        copy = Record("copy", Path(shutil.copy(path, tmp_path / f"{name}-copy.nii.gz")), "p", "x")
        assert (prints([Record("a", path, "p", "x")]) == prints([copy])) == (name == "one")


def test_what_cannot_be_used_is_one_line(records, tmp_path):
    with pytest.raises(InputError, match="hu_policy=twice"):
        ArchivePairs(layout=Listed(records), hu_policy="twice")
    with pytest.raises(InputError, match="cannot be read"):
        prints([Record("gone", tmp_path / "gone.nii", "p", "x")])
