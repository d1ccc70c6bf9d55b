"""Damaged and malicious files: never a crash, a hang or a gigabyte, and hardly ever another patient than was stored."""

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.grid import affine_of
from generatect.ct.nifti import read_header, read_nifti, write_nifti
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume
from generatect.errors import InputError

NUM_MUTATIONS = 10_000
MAX_CHANGED_SHARE = 0.02
NUM_CUTS = 100
GZIP_HEADER = b"\x1f\x8b\x08" + bytes(7)


@pytest.fixture(scope="module")
def volume() -> CTVolume:
    """A small scan: air, lung and tissue with noise, every axis of another length and spacing, tilted."""
    rng = np.random.default_rng(0)
    shape = (10, 14, 12)
    kind = rng.choice([-1000, -850, 40], shape, p=[0.4, 0.2, 0.4])
    voxels = (kind + rng.normal(0, 25, shape)).clip(-1024, 3071).astype(np.int16)
    around_x, around_z = np.deg2rad(9), np.deg2rad(4)
    tilt = np.array([[1, 0, 0], [0, np.cos(around_x), -np.sin(around_x)], [0, np.sin(around_x), np.cos(around_x)]])
    turn = np.array([[np.cos(around_z), -np.sin(around_z), 0], [np.sin(around_z), np.cos(around_z), 0], [0, 0, 1]])
    directions = turn @ tilt @ CANONICAL_DIRECTIONS_RAS
    return CTVolume(voxels, affine_of(shape, (2.5, 0.8, 0.7), directions, np.array([12.5, -80.0, 301.0])))


@pytest.fixture(scope="module")
def sound(volume, tmp_path_factory) -> Path:
    """Our own file, compressed."""
    path = tmp_path_factory.mktemp("sound") / "scan.nii.gz"
    write_nifti(path, volume)
    return path


def in_child(*arguments: object) -> dict:
    """What a child process makes of hostile files; there too a warning is an error."""
    child = Path(__file__).with_name("hostile_child.py")
    command = [sys.executable, "-W", "error", str(child), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_nifti(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def header_of(shape: tuple[int, int, int]) -> bytes:
    """A valid header of an int16 volume."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(np.diag([-1.0, -1.0, 1.0, 1.0]), code=1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + bytes(4)


def zeros_without_end(start: bytes) -> bytes:
    """16 GiB of zeros behind `start`, as 16 MB of gzip: one compressed block, repeated."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    first = compressor.compress(start) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(bytes(1 << 24)) + compressor.flush(zlib.Z_FULL_FLUSH)
    size = len(start) + (1 << 34)
    trailer = bytes(4) + (size % (1 << 32)).to_bytes(4, "little")
    return GZIP_HEADER + first + block * 1024 + compressor.flush() + trailer


def test_mutated_headers_never_crash_and_hardly_ever_deceive(volume, tmp_path):
    write_nifti(tmp_path / "one.nii", volume)
    (tmp_path / "one.nii").rename(tmp_path / "one.original")
    image = nib.Nifti2Image(volume.voxels_hu, volume.affine)
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    nib.save(image, tmp_path / "two.nii")
    (tmp_path / "two.nii").rename(tmp_path / "two.original")

    seen = in_child("fuzz", tmp_path, NUM_MUTATIONS, 0)
    assert seen["crashes"] == []
    assert seen["hangs"] == 0
    assert seen["bad_refusals"] == []
    assert seen["accepted"] + seen["refused"] == NUM_MUTATIONS
    assert min(seen["accepted"], seen["refused"]) > NUM_MUTATIONS / 10  # neither refused nor accepted wholesale
    assert seen["changed"] <= MAX_CHANGED_SHARE * NUM_MUTATIONS
    assert seen["peak_bytes"] <= 1 << 30


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(lambda: zeros_without_end(b""), "not a NIfTI", id="16 GiB of zeros"),
        pytest.param(lambda: zeros_without_end(header_of((12, 14, 10))), "more data", id="16 GiB after a scan"),
        pytest.param(lambda: zeros_without_end(header_of((1024, 1024, 1000))), "too few", id="2 GB declared of 16 GiB"),
        pytest.param(lambda: gzip.compress(header_of((1024, 1024, 1000))), "truncated", id="2 GB declared of nothing"),
        pytest.param(lambda: header_of((1024, 1024, 1000)), "truncated", id="2 GB declared of nothing, plain"),
        pytest.param(lambda: gzip.compress(header_of((32767,) * 3)), "35181150961663 voxels", id="32767³, compressed"),
        pytest.param(lambda: header_of((32767,) * 3), "35181150961663 voxels", id="32767³, plain"),
        pytest.param(lambda: header_of((32767,) * 3)[:62], "not a NIfTI", id="62 bytes"),
    ],
)
def test_bombs_are_refused_at_once_and_in_little_memory(content, reason, tmp_path):
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(content())
    seen = in_child("read", path)
    assert reason in seen["message"]
    assert str(path) in seen["message"]
    assert seen["seconds"] <= 1
    assert seen["extra_bytes"] <= 200e6


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_every_truncation_is_found(sound, tmp_path, name):
    whole = sound.read_bytes() if name.endswith(".gz") else gzip.decompress(sound.read_bytes())
    path = tmp_path / name
    path.write_bytes(whole)
    read_nifti(path)
    for num_bytes in np.random.default_rng(1).integers(0, len(whole), NUM_CUTS):
        path.write_bytes(whole[:num_bytes])
        refusal(path)


def test_every_wrong_checksum_is_found(sound, tmp_path):
    rng, whole, path = np.random.default_rng(2), sound.read_bytes(), tmp_path / "scan.nii.gz"
    for _ in range(NUM_CUTS):
        path.write_bytes(whole[:-8] + rng.bytes(4) + whole[-4:])
        assert "damaged" in refusal(path)


def test_every_damaged_compressed_byte_is_found(sound, tmp_path):
    rng, whole, path = np.random.default_rng(3), sound.read_bytes(), tmp_path / "scan.nii.gz"
    for position in rng.integers(len(GZIP_HEADER), len(whole), NUM_CUTS):
        content = bytearray(whole)
        content[position] ^= 0xFF
        path.write_bytes(content)
        refusal(path)


def test_the_header_alone_tells_what_the_size_on_disk_tells(sound, tmp_path):
    path = tmp_path / "scan.nii"
    whole = gzip.decompress(sound.read_bytes())
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="truncated"):
        read_header(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(InputError, match="more data"):
        read_header(path)
