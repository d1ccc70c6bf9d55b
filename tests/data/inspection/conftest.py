"""Archives for the doctor: real phantom scans, and a way to spoil each of them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.phantom.case import sample_case
from generatect.phantom.render import render

GRID = Grid((80, 128, 128), (301.5 / 80, 3.0, 3.0))
SLOPE_AT, SPACING_AT = 112, 80
"""Places in a NIfTI-1 header: slope and intercept, and the four numbers of the sform's third row."""

SFORM_Z_AT = 312


class FixedLayout:
    """A layout whose manifest is given."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def read(self) -> Manifest:
        return self.manifest


@pytest.fixture(scope="session")
def scan() -> Callable[[int], CTVolume]:
    """Function that renders a phantom at 4 × 3 × 3 mm, as int16 HU."""
    rendered: dict[int, CTVolume] = {}

    def one(seed: int) -> CTVolume:
        if seed not in rendered:
            volume = render(sample_case(seed, 0.2, seed), GRID, noise_hu=20.0)
            rendered[seed] = CTVolume(np.rint(volume.voxels_hu).astype(np.int16), volume.affine)
        return rendered[seed]

    return one


@pytest.fixture(scope="session")
def pairs_of() -> Callable[..., ArchivePairs]:
    """Function that makes pairs of records."""

    def make(records: list[Record], left_out: list[LeftOut] | None = None, **options) -> ArchivePairs:
        return ArchivePairs(layout=FixedLayout(Manifest(records, left_out or [])), **options)

    return make


def patch_header(path: Path, at: int, *numbers: float) -> None:
    """Writes float32 numbers into the header of a `.nii` or `.nii.gz`."""
    is_gzip = path.suffix == ".gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if is_gzip else path.read_bytes())
    struct.pack_into(f"<{len(numbers)}f", content, at, *numbers)
    path.write_bytes(gzip.compress(content, 1) if is_gzip else bytes(content))


def set_scaling(path: Path, slope: float, intercept: float) -> None:
    patch_header(path, SLOPE_AT, slope, intercept)


def set_z_spacing(path: Path, mm: float) -> None:
    """Changes the distance of slices wherever a header of `write_nifti` states it."""
    patch_header(path, SPACING_AT + 8, mm)  # pixdim[3]
    patch_header(path, SFORM_Z_AT + 8, mm)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def break_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)


def store_again(path: Path, copy: Path) -> None:
    """The same content, compressed in another way."""
    copy.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 6))


def water(like: CTVolume) -> CTVolume:
    """A tub of water in air: a body without lungs."""
    _, y, x = (np.arange(size) - (size - 1) / 2 for size in like.shape_zyx)
    inside = (y[:, None] / 35) ** 2 + (x[None, :] / 50) ** 2 < 1
    noise = np.random.default_rng(0).integers(-10, 11, like.shape_zyx)
    return CTVolume((np.where(inside, 0, -1000) + noise).astype(np.int16), like.affine)


def white_ring(like: CTVolume) -> CTVolume:
    """What a round field of view leaves open, read as unsigned."""
    _, y, x = (np.linspace(-1, 1, size) for size in like.shape_zyx)
    return CTVolume(np.where(y[:, None] ** 2 + x[None, :] ** 2 > 1, np.int16(32767), like.voxels_hu), like.affine)


def leaning(like: CTVolume) -> CTVolume:
    """Slices of a gantry tilted by 15°, each shifted along y against the one below."""
    affine = like.affine.copy()
    affine[1, 0] = np.linalg.norm(affine[:3, 0]) * np.tan(np.deg2rad(15))
    return CTVolume(like.voxels_hu, affine)


@pytest.fixture(scope="session")
def spoil():
    """What can be done to a file, by name."""
    return {
        "scaling": set_scaling,
        "z spacing": set_z_spacing,
        "truncate": truncate,
        "checksum": break_checksum,
        "store again": store_again,
        "water": water,
        "white ring": white_ring,
        "leaning": leaning,
        "write": write_nifti,
    }
