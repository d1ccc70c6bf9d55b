"""What any command writes, every command that takes volumes reads: the same voxels at the same places."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from generatect.ct.bounds import MAX_EXTENT_MM, SPACING_RANGE_MM, size_fault, spacing_fault
from generatect.ct.dicom_export import write_series
from generatect.ct.grid import Grid
from generatect.ct.nifti import read_nifti, read_nifti_with_layout, write_nifti
from generatect.ct.preset import PhysicalPreset, ReleasedPreset
from generatect.ct.scan import Reading, read_scan
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.inspection.header_facts import header_facts
from generatect.data.inspection.voxels import inspect_volume
from generatect.data.layouts.folder import FolderLayout
from generatect.data.manifest import Record
from generatect.errors import InputError
from generatect.evaluation.volumes import read_folder
from generatect.phantom.pairs import PhantomPairs
from generatect.privacy.folder import read_audited
from generatect.web.examples import Examples
from generatect.web.folders import Folders
from generatect.web.library import Library

PUBLISHED = {
    "published, low": ReleasedPreset().grid,
    "published, high": PhysicalPreset(num_slices=201, size=128, upscaled_size=512).upscaled_grid,
    "phantom": PhysicalPreset(num_slices=17, size=48, upscaled_size=192).upscaled_grid,
}


def as_training_sees_it(path: Path) -> CTVolume:
    """What `train`, `prepare`, `utility` and the doctor read, through a table."""
    table = path.with_name("volumes.csv")
    table.write_text(f"volume,patient,text\n{path.name},p,Clear.\n")
    return ArchivePairs(layout=FolderLayout(root=str(path.parent), table=str(table))).volume(0)


def as_the_page_sees_it(path: Path) -> CTVolume:
    folders = Folders([str(path.parent)])
    return Library(path.parent, folders, Examples(Grid((2, 2, 2), (1.0, 1.0, 1.0))), Reading()).volume(
        f"files/0/{path.name}"
    )


def as_evaluation_sees_it(path: Path) -> np.ndarray:
    return next(volume for volume in read_folder(path.parent, "fake").volumes if volume.path == path).read_hu()


def as_the_audit_sees_it(path: Path) -> CTVolume:
    return read_scan(next(volume for volume in read_audited(path.parent, "train").volumes if volume.path == path).path)


READERS: dict[str, Callable[[Path], CTVolume | np.ndarray]] = {
    "reconstruct and render": lambda path: read_scan(path).volume,
    "train, prepare, doctor and utility": as_training_sees_it,
    "serve": as_the_page_sees_it,
    "evaluate": as_evaluation_sees_it,
    "audit": lambda path: as_the_audit_sees_it(path).volume,
    "reproduce": lambda path: read_nifti(path, hu_policy="unchecked"),
}


def assert_every_reader_agrees(path: Path) -> CTVolume:
    """Reads a file with all of them, and gives what they read."""
    first = read_scan(path).volume
    for name, reader in READERS.items():
        seen = reader(path)
        voxels_hu = seen if isinstance(seen, np.ndarray) else seen.voxels_hu
        assert np.array_equal(voxels_hu, first.voxels_hu), name
        if not isinstance(seen, np.ndarray):
            assert np.array_equal(seen.affine, first.affine), name
    facts = header_facts(Record("a", path, "p", "Clear."), path.stat().st_size)
    assert facts.refusal is None
    assert facts.shape_zyx == first.shape_zyx
    assert facts.spacing_mm_zyx == pytest.approx(first.spacing_mm_zyx)
    assert inspect_volume(first, read_scan(path).hu).refusal is None
    return first


@pytest.fixture(scope="module")
def written(command, tiny_weights, tmp_path_factory) -> dict[str, Path]:
    """What each command that writes volumes has written, at the smallest sizes."""
    root = tmp_path_factory.mktemp("written")

    def run(name: str, *settings: str, output: str) -> Path:
        ended = command(name, *settings, f"output={root / output}")
        assert ended.code == 0, ended.err
        return root / output

    phantoms = root / "phantoms"
    phantoms.mkdir()
    for index in range(2):
        volume = PhantomPairs(num=2, seed=3, native_shape_zyx=(5, 32, 32)).volume(index)
        write_nifti(phantoms / f"{index}.nii.gz", volume, description="PHANTOM generatect")
    (root / "prompts.csv").write_text("name,prompt\na,Clear.\nb,Nodule.\n")
    quick = (f"weights={tiny_weights}", "device=cpu")
    steps = ("tokens.steps=1", "upscale.steps=1", "gate=null", "dicom=true")
    generated = run("generate", f"prompts={root / 'prompts.csv'}", *quick, *steps, output="g")
    reconstructed = run("reconstruct", f"input={phantoms}", *quick, output="r")
    from_dicom = run("reconstruct", f"input={generated / 'a'}", *quick, output="d")
    imported = run("import_dicom", f"input={generated / 'a'}", output="i")
    return {
        "phantom": phantoms / "1.nii.gz",
        "generate": generated / "a.nii.gz",
        "reconstruct": reconstructed / "1.nii.gz",
        "reconstruct of DICOM": from_dicom / "a.nii.gz",
        "import_dicom of generate": next(imported.glob("*.nii.gz")),
    }


def test_whatever_the_smallest_models_write_is_read_by_all(written):
    seen = {name: assert_every_reader_agrees(path) for name, path in written.items()}
    assert seen["generate"].spacing_mm_zyx == pytest.approx((60.3, 12, 12))
    series = read_scan(written["generate"].parent / "a").volume
    for other in (series, seen["import_dicom of generate"]):
        assert np.array_equal(other.voxels_hu, seen["generate"].voxels_hu)
        np.testing.assert_allclose(other.affine, seen["generate"].affine, atol=1e-4)


def test_commands_that_take_volumes_take_those_of_the_smallest_models(written, command, tiny_weights, tmp_path):
    for name, path in written.items():
        output = tmp_path / path.parent.name
        ended = command("render", f"input={path}", "views=[montage]", f"output={output}")
        assert ended.code == 0, f"{name}: {ended.err}"
    folders = (f"real={written['phantom'].parent}", f"fake={written['generate'].parent}")
    rest = ("grid=fake", "metrics=[hu_histogram]", "evaluation.floor_splits=0", f"cache_dir={tmp_path}", "device=cpu")
    ended = command("evaluate", *folders, *rest, f"output={tmp_path / 'evaluated'}")
    assert ended.code == 0, ended.err
    ended = command("reproduce", f"file={written['generate']}", f"weights={tiny_weights}", "device=cpu")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_published_grids_hold_is_read_by_all(tmp_path, name):
    grid = PUBLISHED[name]
    _, y, x = (np.linspace(-1, 1, size) for size in grid.shape_zyx)
    plane = np.where((y[:, None] / 0.6) ** 2 + (x[None, :] / 0.8) ** 2 < 1, np.int16(40), np.int16(-1000))
    plane[:, : len(x) // 3] += 7  # left is not right
    voxels = np.broadcast_to(plane, grid.shape_zyx) + np.arange(grid.shape_zyx[0], dtype=np.int16)[:, None, None]
    written, path = CTVolume(voxels, grid.affine()), tmp_path / "a.nii.gz"
    write_nifti(path, written)
    seen = assert_every_reader_agrees(path)
    assert np.array_equal(seen.voxels_hu, written.voxels_hu)
    np.testing.assert_allclose(seen.affine, written.affine, atol=1e-4)

    _, layout = read_nifti_with_layout(path)  # as `reconstruct` gives it back
    write_nifti(tmp_path / "b.nii", seen, layout)
    assert np.array_equal(read_nifti(tmp_path / "b.nii").affine, seen.affine)
    if grid.shape_zyx[1] <= 128:
        write_series(tmp_path / "series", written, identity="a", description="a")
        series = read_scan(tmp_path / "series").volume
        assert np.array_equal(series.voxels_hu, written.voxels_hu)
        np.testing.assert_allclose(series.affine, written.affine, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        ((1, 4, 4), (1.0, 1.0, 1.0)),
        ((4, 4, 4), (1.0, 0.05, 1.0)),
        ((4, 4, 4), (SPACING_RANGE_MM[1] * 1.01, 1.0, 1.0)),
        ((40, 4, 4), (MAX_EXTENT_MM / 39, 1.0, 1.0)),
        ((2, 2, 40_000), (1.0, 1.0, 0.2)),
    ],
)
def test_what_would_not_be_read_is_not_written_nor_asked_of_a_model(tmp_path, shape, spacing_mm):
    assert size_fault(shape) or spacing_fault(spacing_mm, shape)
    voxels = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    with pytest.raises(InputError, match=r"a\.nii: a volume to write has"):
        write_nifti(tmp_path / "a.nii", CTVolume(voxels, Grid(shape, spacing_mm).affine()))
    assert not list(tmp_path.iterdir())
    z, y, x = (count * mm for count, mm in zip(shape, spacing_mm, strict=True))
    with pytest.raises(InputError, match=r"preset num_slices="):
        PhysicalPreset(num_slices=shape[0], size=shape[1], upscaled_size=shape[2], fov_mm_zyx=(z, min(x, y), min(x, y)))


def test_the_bounds_themselves_are_written_and_read(tmp_path):
    low, high = SPACING_RANGE_MM
    rng = np.random.default_rng(0)
    for shape, spacing_mm in (((2, 2, 2), (low * 1.001, low * 1.001, high)), ((14, 2, 2), (high * 0.999, 1.0, 1.0))):
        volume = CTVolume(rng.integers(-1000, 1000, shape).astype(np.int16), Grid(shape, spacing_mm).affine())
        write_nifti(tmp_path / "a.nii", volume)
        assert np.array_equal(read_nifti(tmp_path / "a.nii").voxels_hu, volume.voxels_hu)
