"""What one file says of itself, described in the same words whatever its format."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from generatect.ct.arrays import ArrayForm, read_array_header
from generatect.ct.dicom_series import choose_series, find_series
from generatect.ct.dicom_stack import stack_slices
from generatect.ct.nifti import read_header
from generatect.ct.nifti_header import StoredGrid
from generatect.ct.orientation import AxisOrder, closest_order
from generatect.ct.same_scan import glimpse_of_nifti, glimpse_of_series
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS
from generatect.ct.volume_files import ARRAY, MAX_SLICES, files_below
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.refusals import without_path
from generatect.data.manifest import Record
from generatect.errors import InputError

LETTERS = (("S", "I"), ("P", "A"), ("L", "R"))
"""Where canonical z, y, x run to, and the opposite."""


def header_facts(record: Record, num_bytes: int, assume_axes: str | None = None) -> HeaderFacts:
    """What one file's header says, or why it cannot be read.

    A spacing that no scanner has is a refusal, unless a table gives the true one; then the header's is None.
    """
    try:
        if record.path.is_dir():
            return _series_facts(record.path, num_bytes)
        if record.path.name.endswith(ARRAY):
            return _array_facts(record, num_bytes, assume_axes)
        grid, is_own = _grid(record, assume_axes)
    except InputError as error:
        return HeaderFacts(num_bytes, without_path(error, record.path))
    facts = _geometry(grid.affine, grid.shape)
    return replace(
        facts,
        num_bytes=num_bytes,
        spacing_mm_zyx=facts.spacing_mm_zyx if is_own else None,
        dtype=grid.dtype.name,
        slope=grid.slope,
        intercept=grid.intercept,
        glimpse=glimpse_of_nifti(record.path, spacing_mm_zyx=record.spacing_mm_zyx, assume_axes=assume_axes),
    )


def _grid(record: Record, assume_axes: str | None) -> tuple[StoredGrid, bool]:
    """The checked header, and whether its spacing is its own."""
    try:
        return read_header(record.path, assume_axes=assume_axes), True
    except InputError:
        if record.spacing_mm_zyx is None:
            raise
    return read_header(record.path, spacing_mm_zyx=record.spacing_mm_zyx, assume_axes=assume_axes), False


def _array_facts(record: Record, num_bytes: int, assume_axes: str | None) -> HeaderFacts:
    """Of a bare array: its shape, and the place that is stated or known of it."""
    header = read_array_header(record.path, ArrayForm(record.metadata, assume_axes, record.spacing_mm_zyx))
    return replace(_geometry(header.affine, header.shape), num_bytes=num_bytes, dtype=header.dtype.name)


def _series_facts(folder: Path, num_bytes: int) -> HeaderFacts:
    """Of a DICOM series, whose slices each scale for themselves."""
    found, damaged = find_series(files_below(folder, MAX_SLICES))
    if damaged or not found:
        raise next(iter(damaged.values()), InputError(f"{folder}: no DICOM; expected the slices of one CT series"))
    stack = stack_slices(choose_series(found, None, folder))
    shape = (len(stack.slices), stack.slices[0].rows, stack.slices[0].columns)
    return replace(_geometry(stack.affine, shape), num_bytes=num_bytes, glimpse=glimpse_of_series(stack))


def _geometry(affine: Float64[np.ndarray, "4 4"], shape: tuple[int, ...]) -> HeaderFacts:
    """Facts of an affine, from stored index to RAS+ mm."""
    order = closest_order(affine)
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.abs(CANONICAL_DIRECTIONS_RAS.T @ (affine[:3, :3] / spacing_mm))[range(3), order.stored_axis]
    z, y, x = order.stored_axis
    return HeaderFacts(
        num_bytes=0,
        shape_zyx=(shape[z], shape[y], shape[x]),
        spacing_mm_zyx=(float(spacing_mm[z]), float(spacing_mm[y]), float(spacing_mm[x])),
        axis_codes=axis_codes(order),
        oblique_degrees=float(np.degrees(np.arccos(cosines.clip(0, 1))).max()),
    )


def axis_codes(order: AxisOrder) -> str:
    """Directions towards which stored axes run: "LPS" is left, posterior, superior."""
    towards = [pair[flip] for pair, flip in zip(LETTERS, order.reversed, strict=True)]
    return "".join(towards[order.stored_axis.index(axis)] for axis in range(3))
