"""The slices of a series as one stack: sorted by position, and refused where they are not one even, straight stack."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from generatect.ct.dicom_header import SliceHeader
from generatect.ct.dicom_series import REFUSED, Series
from generatect.ct.nifti_affine import SPACING_RANGE_MM
from generatect.ct.nifti_header import MAX_VOXELS
from generatect.errors import InputError

MAX_FILE_BYTES = 1 << 27
"""Of one slice: 4096² of four bytes, twice over."""

SAME_PLACE_MM = 0.01
UNEVEN = 0.05
"""Share of the usual distance by which that of two neighbouring slices may differ."""

MAX_TILT_DEGREES = 0.5
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
        _check_alike(header, first)
    num_voxels = first.rows * first.columns * series.num_slices
    if num_voxels > MAX_VOXELS:
        raise InputError(f"{folder}: {num_voxels} voxels; expected at most {MAX_VOXELS}")

    along_row, down_column = np.array(first.orientation).reshape(2, 3)
    normal = np.cross(along_row, down_column)
    normal *= np.sign(normal[2])  # towards the head
    slices = tuple(sorted(series.slices, key=lambda header: float(np.dot(header.position_mm, normal))))
    positions = np.array([header.position_mm for header in slices])
    _check_distances(folder, slices, positions @ normal)
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    _check_straight(folder, positions, step, normal)
    affine_lps = np.eye(4)
    affine_lps[:3, 0] = step
    affine_lps[:3, 1] = down_column * first.spacing_mm[0]
    affine_lps[:3, 2] = along_row * first.spacing_mm[1]
    affine_lps[:3, 3] = positions[0]
    return Stack(folder, slices, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps)


def _check_alone(header: SliceHeader) -> None:
    """What each slice must state about itself."""
    low, high = SPACING_RANGE_MM
    spacing, slope, intercept = header.spacing_mm, header.slope, header.intercept
    if header.num_bytes > MAX_FILE_BYTES:
        raise InputError(f"{header.path}: {header.num_bytes} bytes; expected at most {MAX_FILE_BYTES} for one slice")
    if min(header.rows, header.columns) < 2:
        raise InputError(f"{header.path}: {header.rows} rows, {header.columns} columns; expected an image")
    if not spacing or not low <= min(spacing) <= max(spacing) <= high:
        raise InputError(f"{header.path}: PixelSpacing is {spacing or 'missing'}; expected two of {low} to {high} mm")
    if np.isnan(slope) or np.isnan(intercept):
        raise InputError(f"{header.path}: RescaleSlope or RescaleIntercept is missing, so its HU are unknown")
    if not 0 < slope <= MAX_SLOPE or abs(intercept) > MAX_INTERCEPT:
        raise InputError(f"{header.path}: RescaleSlope {slope:g}, RescaleIntercept {intercept:g}; expected those of HU")
    if not header.is_hu:
        raise InputError(f"{header.path}: RescaleType is not HU (a spectral map?); expected a CT in HU")


def _check_alike(header: SliceHeader, first: SliceHeader) -> None:
    """What all slices must share."""
    if (header.rows, header.columns) != (first.rows, first.columns):
        raise InputError(
            f"{header.path}: {header.rows} × {header.columns} pixels, but {first.path.name} has {first.rows} × "
            f"{first.columns}; expected slices of one size"
        )
    if not np.allclose(header.spacing_mm, first.spacing_mm, rtol=1e-4):
        raise InputError(f"{header.path}: PixelSpacing differs from {first.path.name}; expected one spacing")
    if not np.allclose(header.orientation, first.orientation, atol=1e-3):
        raise InputError(f"{header.path}: ImageOrientationPatient differs from {first.path.name}; expected one")


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
    uneven = np.flatnonzero(np.abs(distances - usual) > UNEVEN * usual)
    if len(uneven):
        at = int(uneven[np.abs(distances[uneven] - usual).argmax()])
        reason = "a slice is missing" if distances[at] > 1.5 * usual else "the spacing is uneven"
        raise InputError(
            f"{folder}: {reason}: between {along_mm[at]:g} and {along_mm[at + 1]:g} mm the slices are "
            f"{distances[at]:g} mm apart, usually {usual:g} mm ({len(uneven)} such places); copy the series anew"
        )


def _check_straight(
    folder: Path, positions: Float64[np.ndarray, "n 3"], step: Float64[np.ndarray, "3"], normal: np.ndarray
) -> None:
    """Slices upon each other, not shifted like a sheared pack of cards."""
    tilt = np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1)))
    if tilt > MAX_TILT_DEGREES:
        raise InputError(
            f"{folder}: the slices are tilted by {tilt:.1f}° against their stack (gantry tilt); straighten them "
            "first, as dcm2niix does"
        )
    astray = np.linalg.norm(positions - positions[0] - np.arange(len(positions))[:, None] * step, axis=1)
    if astray.max() > max(0.1, 0.1 * np.linalg.norm(step)):
        raise InputError(
            f"{folder}: a slice lies {astray.max():.2g} mm from where an even, straight stack has it (at "
            f"{positions[astray.argmax()] @ normal:g} mm); expected one reconstruction"
        )
