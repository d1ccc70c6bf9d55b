"""A file that is replaced is shown anew, one that is removed is gone: what is kept is kept of one content."""

import os
import shutil

import numpy as np
import pytest

from generatect.ct.grid import Grid
from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.scan import Reading
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import sha256_of_file
from generatect.sidecar import write_sidecar
from generatect.web.examples import Examples
from generatect.web.folders import Folders
from generatect.web.history import made
from generatect.web.library import ChangedError, Library
from tests.dicom_writer import save, series_of
from tests.web.conftest import noisy


def brighter(hu: int, num_slices: int = 12) -> CTVolume:
    volume = noisy((num_slices, 24, 20))
    return CTVolume(volume.voxels_hu + np.int16(hu), volume.affine)


@pytest.fixture
def library(tmp_path):
    output, browsed = tmp_path / "output", tmp_path / "browsed"
    output.mkdir()
    browsed.mkdir()
    return Library(output, Folders([str(browsed)]), Examples(Grid((4, 16, 16), (20.0, 20.0, 20.0))), Reading())


def put(library: Library, where: str, volume: CTVolume, text: str) -> str:
    folder = library.output if where == "made" else library.folders.roots[0]
    path = folder / "scan.nii.gz"
    write_nifti(path, volume)
    write_sidecar(folder / "scan.json", {"notice": "SYNTHETIC", "prompt": text, "volume_sha256": sha256_of_file(path)})
    return "made/scan" if where == "made" else "files/0/scan.nii.gz"


@pytest.mark.parametrize("where", ["made", "files"])
def test_voxels_picture_difference_and_report_are_of_the_file_as_it_is_now(library, where):
    volume_id = put(library, where, brighter(0), "Before.")
    picture, state = library.thumbnail(volume_id), library.state(volume_id)
    unlike = library.change("phantom/1", volume_id).voxels_hu
    assert library.about(volume_id).text == "Before."
    put(library, where, brighter(300, num_slices=15), "After.")
    assert library.volume(volume_id).shape_zyx == (15, 24, 20)
    np.testing.assert_array_equal(library.volume(volume_id).voxels_hu, brighter(300, num_slices=15).voxels_hu)
    assert library.about(volume_id).text == "After."
    assert library.about(volume_id).doubt is None
    assert library.thumbnail(volume_id) != picture
    assert (library.change("phantom/1", volume_id).voxels_hu != unlike).any()
    assert library.state(volume_id) != state
    with pytest.raises(ChangedError, match="has changed since it was opened"):
        library.volume(volume_id, state)
    (library.output if where == "made" else library.folders.roots[0]).joinpath("scan.nii.gz").unlink()
    for ask in (library.volume, library.thumbnail, library.about, library.state):
        with pytest.raises(InputError, match="There is no such"):
            ask(volume_id)


def test_a_copy_that_keeps_size_and_date_is_another_content(library, tmp_path):
    """As `cp -p` and `rsync -t` leave it: scans of one shape have one size where they are not compressed."""
    path, other = library.folders.roots[0] / "scan.nii", tmp_path / "other.nii"
    write_nifti(path, brighter(0))
    write_nifti(other, brighter(300))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    before = library.volume("files/0/scan.nii")
    shutil.copy2(other, path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (other.stat().st_size, other.stat().st_mtime_ns)
    np.testing.assert_array_equal(library.volume("files/0/scan.nii").voxels_hu, before.voxels_hu + 300)


def test_one_slice_of_a_dicom_series_is_replaced(library):
    folder = library.folders.roots[0] / "series"
    folder.mkdir()
    datasets = series_of()
    save(folder, datasets)
    before = library.volume("files/0/series").voxels_hu
    pixels = np.frombuffer(datasets[1].PixelData, np.int16) + 7
    datasets[1].PixelData = pixels.astype(np.int16).tobytes()
    save(folder, datasets)
    after = library.volume("files/0/series").voxels_hu
    assert [int((now != then).sum()) for now, then in zip(after, before, strict=True)].count(0) == len(before) - 1


def test_a_sidecar_of_other_voxels_is_shown_with_a_doubt(library):
    """As between the two writes of a volume that is made again, or where only one of the files was copied."""
    volume_id = put(library, "made", brighter(0), "Of the first.")
    assert library.about(volume_id).doubt is None
    write_nifti(library.output / "scan.nii.gz", brighter(300))
    about = library.about(volume_id)
    assert about.text == "Of the first."
    assert "SHA-256" in about.doubt


def test_a_history_entry_has_the_state_of_its_file(library):
    volume_id = put(library, "made", brighter(0), "Before.")
    (entry,) = made(library.output)
    assert (entry["volume"], entry["state"], entry["title"]) == (volume_id, library.state(volume_id), "Before.")
    put(library, "made", brighter(1), "After.")
    (later,) = made(library.output)
    assert later["state"] != entry["state"]
    assert later["title"] == "After."


def test_what_is_kept_is_read_once(library):
    volume_id = put(library, "made", brighter(0), "x")
    assert library.volume(volume_id) is library.volume(volume_id)
    assert read_nifti(library.output / "scan.nii.gz").shape_zyx == library.volume(volume_id).shape_zyx
