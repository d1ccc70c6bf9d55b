"""Volumes as bare arrays in `.npz`: what such a file does not say of itself is stated, or recognised, or refused."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from jaxtyping import Float64, Num

from generatect.ct.bounds import MAX_VOXELS, SPACING_RANGE_MM, size_fault, spacing_fault
from generatect.ct.hounsfield import HUDecision, Scaling, to_hu
from generatect.ct.hu_evidence import evidence_in, sample_of
from generatect.ct.nifti_affine import LETTERS
from generatect.ct.orientation import closest_order
from generatect.ct.volume import CTVolume
from generatect.errors import InputError

RANGES = {"hu": Scaling(1.0, 0.0), "unit": Scaling(2000.0, -1000.0), "signed": Scaling(1000.0, 0.0)}
"""What values can mean: HU; 0 to 1 for -1000 to 1000 HU; -1 to 1 for the same."""

BOUNDS = {"hu": (-32768.0, 32767.0), "unit": (-0.1, 1.1), "signed": (-1.1, 1.1)}
"""What a range may hold; a model's output overshoots a little."""

MOST_PACKED = 1032
"""Bytes that one byte of DEFLATE can hold."""

DAMAGE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, TokenError)
"""What Python and NumPy raise on bytes that are no whole archive of plain arrays, encryption and other packings among
it."""

PUBLISHED_AXES, PUBLISHED_SHAPES = "SLP", {(201, 512, 512): (1.5, 0.75, 0.75), (201, 128, 128): (1.5, 3.0, 3.0)}
"""Arrays of GenerateCT: slices first, then the stored axes of a NIfTI made from DICOM, of this shape and spacing."""


@dataclass(frozen=True)
class ArrayForm:
    """What is stated of array files; None is recognised.

    Attributes:
        scaling: stored value → HU, one of `RANGES`.
        axes: where the stored axes run, such as "SLP": up, to the left, to the back.
        spacing_mm_zyx: spacing along the patient's z, y, x.
    """

    scaling: Scaling | None = None
    axes: str | None = None
    spacing_mm_zyx: tuple[float, float, float] | None = None

    @classmethod
    def stated(cls, setting: str, range: str | None, axes: str | None, spacing_mm: Any) -> "ArrayForm":
        """A form as a configuration states it.

        Args:
            setting: what the keys stand below, for messages.
            range: hu, unit or signed.
            axes: three letters, one each of R or L, of A or P, of S or I.
            spacing_mm: along z, y, x.

        Raises:
            InputError: naming the key.
        """
        if range is not None and range not in RANGES:
            raise InputError(f"{setting}.range={range}: expected one of {', '.join(RANGES)}, or null to recognise it")
        if axes is not None and sorted(LETTERS.get(letter, (9,))[0] for letter in axes) != [0, 1, 2]:
            raise InputError(
                f"{setting}.axes={axes}: expected one of R or L, of A or P, of S or I, in stored order: SLP"
            )
        scaling = None if range is None else RANGES[range]
        if spacing_mm is None:
            return cls(scaling, axes)
        low, high = SPACING_RANGE_MM
        lengths = list(spacing_mm) if isinstance(spacing_mm, Sequence) else []
        if len(lengths) != 3 or not all(isinstance(mm, int | float) and low <= mm <= high for mm in lengths):
            raise InputError(
                f"{setting}.spacing_mm={spacing_mm}: expected three lengths of {low:g} to {high:g} mm, along z, y, x"
            )
        z, y, x = (float(mm) for mm in spacing_mm)
        return cls(scaling, axes, (z, y, x))


RECOGNISED = ArrayForm()
"""Nothing is stated."""


@dataclass(frozen=True, eq=False)
class ArrayHeader:
    """What an array file says before its values are read.

    Attributes:
        key: name of the array in the file.
        shape: three axes, those of length 1 before or behind them left out.
        dtype: of the stored values.
        affine: stored index → RAS+ mm, centred on world zero.
    """

    key: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    affine: Float64[np.ndarray, "4 4"]


def read_array_header(path: Path, form: ArrayForm) -> ArrayHeader:
    """Shape, type and place of the one volume in a file; no value is read.

    Raises:
        InputError: no `.npz` with exactly one array of three axes and numbers, or a place that is neither stated nor
            known.
    """
    with _opened(path) as archive:
        key, shape, dtype = _only_volume(archive, path)
    return ArrayHeader(key, shape, dtype, _affine(shape, form, path))


def read_array(path: Path, form: ArrayForm) -> tuple[CTVolume, HUDecision]:
    """The volume of an array file, canonical and in HU, and how its values became HU.

    Nothing in the file is executed: arrays of objects are refused, and no more is read than the header promises.

    Raises:
        InputError: as in `read_array_header`, or values of no clear range.
    """
    header = read_array_header(path, form)
    with _opened(path) as archive, archive.open(f"{header.key}.npy") as file:
        stored = np.lib.format.read_array(file, allow_pickle=False).reshape(header.shape)
        is_whole = not file.read(1)  # reads the checksum, too
    if not is_whole:
        raise InputError(f"{path}: {header.key} holds more than its header says; expected a whole .npz")
    if stored.dtype.kind == "f" and not np.isfinite([stored.min(), stored.max()]).all():
        raise InputError(f"{path}: some values are NaN or infinite; expected finite ones")
    decision = _decide(stored, form.scaling, path)
    order = closest_order(header.affine)
    voxels = np.ascontiguousarray(order.to_canonical(to_hu(stored, decision)))
    return CTVolume(voxels, order.canonical_affine(header.affine, header.shape)), decision


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever damage is met in it is told in one line."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise InputError(f"{path}: cannot be read as .npz (not a file); expected arrays that NumPy saved")
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except DAMAGE as error:
        what = "cannot be read" if isinstance(error, OSError) else "damaged, cannot be read"
        reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or "truncated"
        raise InputError(f"{path}: {what} as .npz ({reason}); expected a whole one that NumPy saved") from error


def _only_volume(archive: zipfile.ZipFile, path: Path) -> tuple[str, tuple[int, int, int], np.dtype]:
    """Key, shape and type of the one array that can be a volume."""
    found = []
    for entry in archive.infolist():
        if not entry.filename.endswith(".npy"):
            continue
        with archive.open(entry) as file:
            shape, dtype = _npy_header(file, entry.filename, path)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{path}: {entry.filename} is packed in a way that NumPy does not; save it with np.savez")
        if math.prod(shape) > MAX_VOXELS:
            raise InputError(
                f"{path}: {entry.filename} declares {math.prod(shape)} values; expected at most {MAX_VOXELS}"
            )
        if math.prod(shape) * dtype.itemsize > MOST_PACKED * entry.compress_size:
            raise InputError(
                f"{path}: {entry.filename} is too short for the {math.prod(shape)} values that it declares"
            )
        axes = [size for size in shape if size > 1]
        if len(axes) == 3:
            found.append((entry.filename.removesuffix(".npy"), (axes[0], axes[1], axes[2]), dtype))
    if len(found) != 1:
        keys = ", ".join(key for key, _, _ in found) or "none"
        raise InputError(f"{path}: expected one array of three axes in it, found {keys}; save the volume alone")
    return found[0]


def _npy_header(file: IO[bytes] | zipfile.ZipExtFile, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
    except (*DAMAGE, KeyError) as error:
        raise InputError(f"{path}: {name} has no header that can be read; expected arrays that NumPy saved") from error
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: {name} holds {dtype}, not plain numbers; save the volume alone, without objects")
    return shape, dtype


def _affine(shape: tuple[int, int, int], form: ArrayForm, path: Path) -> Float64[np.ndarray, "4 4"]:
    known = PUBLISHED_SHAPES.get(shape)
    axes = form.axes or (PUBLISHED_AXES if known else None)
    spacing = form.spacing_mm_zyx or known
    if axes is None or spacing is None:
        what = " and ".join(["its axes"] * (axes is None) + ["its spacing"] * (spacing is None))
        raise InputError(
            f"{path}: an array of {' × '.join(map(str, shape))}, and nothing says {what}; state axes, such as SLP, and "
            "spacing_mm, such as [1.5,0.75,0.75]"
        )
    stored_spacing = [spacing[(2, 1, 0)[LETTERS[letter][0]]] for letter in axes]
    if fault := size_fault(shape) or spacing_fault(np.array(stored_spacing), shape):
        raise InputError(f"{path}: {fault}")
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, letter in enumerate(axes):
        axis, sign = LETTERS[letter]
        affine[axis, column] = sign * stored_spacing[column]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _decide(stored: Num[np.ndarray, "i j k"], stated: Scaling | None, path: Path) -> HUDecision:
    """What the values mean."""
    low, high = float(stored.min()), float(stored.max())
    fitting = {name: scaling for name, scaling in RANGES.items() if BOUNDS[name][0] <= low and high <= BOUNDS[name][1]}
    if stated is not None:
        name = next(name for name, scaling in RANGES.items() if scaling == stated)
        if name not in fitting or (name == "hu" and high - low <= BOUNDS["signed"][1] - BOUNDS["signed"][0]):
            raise InputError(f"{path}: values from {low:g} to {high:g}, which are not {name}; state another range")
        return HUDecision("metadata", stated.slope, stated.intercept, f"as told: values are {name}")
    sample = sample_of(stored)
    plausible = [
        name
        for name, scaling in fitting.items()
        if evidence_in(sample * np.float32(scaling.slope) + np.float32(scaling.intercept)).is_ct
    ]
    if len(plausible) != 1:
        raise InputError(
            f"{path}: values from {low:g} to {high:g}, in which no range has air and soft tissue where a CT has them; "
            "state range: hu, unit (0 to 1) or signed (-1 to 1)"
        )
    scaling = RANGES[plausible[0]]
    why = f"recognised as {plausible[0]}: air and soft tissue are where a CT has them"
    return HUDecision("metadata", scaling.slope, scaling.intercept, why)
