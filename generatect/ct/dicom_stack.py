"""The slices of a series as one stack: sorted by position, and refused where they are not one even, straight stack."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from generatect.ct.bounds import MAX_SHEAR_DEGREES, SPACING_RANGE_MM, size_fault, spacing_fault
from generatect.ct.dicom_header import SliceHeader
from generatect.ct.dicom_series import REFUSED, Series
from generatect.errors import InputError

MAX_FILE_BYTES = 1 << 27
"""Of one slice: 4096² of four bytes, twice over."""

SAME_PLACE_MM = 0.01
ROUNDING_MM, UNEVEN, MAX_UNEVEN = 0.1, 0.05, 0.25
"""A slice may lie this far from its even place: twice what one decimal leaves, or a twentieth of the usual distance;
never a quarter of it."""

MAX_SLOPE, MAX_INTERCEPT = 1e4, 1e6


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of a scan in order.

    Attributes:
        folder: named in errors.
        slices: inferior to superior.
        affine: (slice, row, column, 1) → RAS+ mm.
    """

    folder: Path
    slices: tuple[SliceHeader, ...]
    affine: Float64[np.ndarray, "4 4"]


def stack_slices(series: Series) -> Stack:
    """The slices in order along their normal, whatever their names and numbers, with the affine their tags give.

    Raises:
        InputError: not an axial CT in HU; a tag is missing; slices differ in size or orientation, two lie at one place,
            one is missing, or the gantry was tilted.
    """
    folder = series.folder
    if series.kind != "axial":
        raise InputError(f"{folder}: {REFUSED[series.kind]}")
    if series.num_slices < 2:
        raise InputError(f"{folder}: a series of a single slice; expected at least two")
    for header in series.slices:
        _check_alone(header)
    first = min(series.slices, key=lambda header: header.position_mm)  # the same one whatever the names
    for header in series.slices:
        _check_alike(header, first, folder)
    shape = (series.num_slices, first.rows, first.columns)
    fault = size_fault(shape)
    if fault is not None:
        raise InputError(f"{folder}: {fault}")

    along_row, down_column = np.array(first.orientation).reshape(2, 3)
    normal = np.cross(along_row, down_column)
    normal *= np.sign(normal[2])  # towards the head
    slices = tuple(sorted(series.slices, key=lambda header: float(np.dot(header.position_mm, normal))))
    positions = np.array([header.position_mm for header in slices])
    _check_distances(folder, slices, positions @ normal)
    origin, step = _line_through(positions)
    _check_even_and_straight(folder, positions, origin, step, normal)
    affine_lps = np.eye(4)
    affine_lps[:3, 0] = step
    affine_lps[:3, 1] = down_column * first.spacing_mm[0]
    affine_lps[:3, 2] = along_row * first.spacing_mm[1]
    affine_lps[:3, 3] = origin
    fault = spacing_fault(np.linalg.norm(affine_lps[:3, :3], axis=0), shape)
    if fault is not None:
        raise InputError(f"{folder}: {fault}")
    return Stack(folder, slices, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps)


def _check_alone(header: SliceHeader) -> None:
    """What each slice must state about itself."""
    low, high = SPACING_RANGE_MM
    spacing, slope, intercept = header.spacing_mm, header.slope, header.intercept
    if header.num_bytes > MAX_FILE_BYTES:
        raise InputError(f"{header.path}: {header.num_bytes} bytes; expected at most {MAX_FILE_BYTES} for one slice")
    if min(header.rows, header.columns) < 2:
        raise InputError(f"{header.path}: {header.rows} rows, {header.columns} columns; expected an image")
    if header.unreadable:
        raise InputError(
            f"{header.path}: {' and '.join(header.unreadable)} cannot be read as numbers; expected decimal points "
            "and no commas: export the series anew"
        )
    if not spacing or not low <= min(spacing) <= max(spacing) <= high:
        raise InputError(f"{header.path}: PixelSpacing is {spacing or 'missing'}; expected two of {low} to {high} mm")
    if np.isnan(slope) or np.isnan(intercept):
        raise InputError(f"{header.path}: RescaleSlope or RescaleIntercept is missing, so its HU are unknown")
    if not 0 < slope <= MAX_SLOPE or abs(intercept) > MAX_INTERCEPT:
        raise InputError(f"{header.path}: RescaleSlope {slope:g}, RescaleIntercept {intercept:g}; expected those of HU")
    if not header.is_hu:
        raise InputError(f"{header.path}: RescaleType is not HU (a spectral map?); expected a CT in HU")


def _check_alike(header: SliceHeader, first: SliceHeader, folder: Path) -> None:
    """What all slices must share."""
    other = first.path.relative_to(folder)
    if (header.rows, header.columns) != (first.rows, first.columns):
        raise InputError(
            f"{header.path}: {header.rows} × {header.columns} pixels, but {other} has {first.rows} × "
            f"{first.columns}; expected slices of one size"
        )
    if not np.allclose(header.spacing_mm, first.spacing_mm, rtol=1e-4):
        raise InputError(f"{header.path}: PixelSpacing differs from {other}; expected one spacing")
    if not np.allclose(header.orientation, first.orientation, atol=1e-3):
        raise InputError(f"{header.path}: ImageOrientationPatient differs from {other}; expected one")


def _check_distances(folder: Path, slices: tuple[SliceHeader, ...], along_mm: Float64[np.ndarray, "n"]) -> None:
    """One slice at each place, and none missing."""
    distances = np.diff(along_mm)
    same = np.flatnonzero(distances < SAME_PLACE_MM)
    if len(same):
        one, other = slices[same[0]].path, slices[same[0] + 1].path
        raise InputError(
            f"{one} and {other}: two slices at {along_mm[same[0]]:g} mm ({len(same)} such pairs); expected one at each "
            "place: remove the copy, or part the series that are mixed"
        )
    usual = float(np.percentile(distances, 50, method="lower"))  # of two that differ, the larger one is a gap
    low, high = SPACING_RANGE_MM
    if not low <= usual <= high:
        raise InputError(f"{folder}: slices {usual:g} mm apart; expected {low} to {high} mm")
    gaps = np.flatnonzero(distances > 1.5 * usual)
    if len(gaps):
        at = int(gaps[distances[gaps].argmax()])
        raise InputError(
            f"{folder}: a slice is missing: between {along_mm[at]:g} and {along_mm[at + 1]:g} mm the slices are "
            f"{distances[at]:g} mm apart, usually {usual:g} mm ({len(gaps)} such places); copy the series anew"
        )


def _line_through(positions: Float64[np.ndarray, "n 3"]) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Where the first slice of an even stack lies and the step to the next: the least squares of all positions.

    Positions that were rounded put neighbours at uneven distances, and yet each slice next to its even place.
    """
    middle = (len(positions) - 1) / 2
    index = np.arange(len(positions)) - middle
    step = index @ positions / (index @ index)
    return positions.mean(axis=0) - middle * step, step


def _check_even_and_straight(
    folder: Path,
    positions: Float64[np.ndarray, "n 3"],
    origin: Float64[np.ndarray, "3"],
    step: Float64[np.ndarray, "3"],
    normal: np.ndarray,
) -> None:
    """Slices at even distances, upon each other, not shifted like a sheared pack of cards."""
    usual = float(np.linalg.norm(step))
    offsets = positions - origin - np.arange(len(positions))[:, None] * step
    along = np.abs(offsets @ normal)
    if along.max() > min(max(ROUNDING_MM, UNEVEN * usual), MAX_UNEVEN * usual):
        raise InputError(
            f"{folder}: the spacing is uneven: the slice at {positions[along.argmax()] @ normal:g} mm lies "
            f"{along.max():.2g} mm from its place in an even stack of {usual:.4g} mm; expected one reconstruction with "
            "even slices"
        )
    tilt = np.degrees(np.arccos(np.clip(step @ normal / usual, -1, 1)))
    if tilt > MAX_SHEAR_DEGREES:
        raise InputError(
            f"{folder}: the slices are tilted by {tilt:.1f}° against their stack (gantry tilt); straighten them "
            "first, as dcm2niix does"
        )
    astray = np.linalg.norm(offsets, axis=1)
    if astray.max() > max(0.1, 0.1 * usual):
        raise InputError(
            f"{folder}: a slice lies {astray.max():.2g} mm from where an even, straight stack has it (at "
            f"{positions[astray.argmax()] @ normal:g} mm); expected one reconstruction"
        )
