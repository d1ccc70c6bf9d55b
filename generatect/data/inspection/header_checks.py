"""What headers show: geometry no chest has, scaling that contradicts itself, odd types."""

from collections.abc import Sequence

import numpy as np

from generatect.data.inspection.facts import HeaderFacts, Triple
from generatect.data.inspection.findings import Finding, found
from generatect.data.inspection.refusals import kind_of_refusal
from generatect.data.manifest import Record

Z_SPACING_MM = (0.3, 5.0)
IN_PLANE_MM = (0.3, 3.0)
Z_EXTENT_MM = (150.0, 600.0)
IN_PLANE_EXTENT_MM = (200.0, 700.0)
PLAUSIBLE_CHEST_MM = (180.0, 500.0)
"""Height that a chest CT nearly always has."""

SCANNER_FIELD_MM = 500.0
"""What scanners see across: a pixel size that makes it larger was not measured."""

MAX_OBLIQUE_DEGREES = 10.0
MAX_DISAGREEMENT = 0.02
OUTLIER_MADS = 8.0
MIN_MAD = 0.05
"""As a share of the median, so that an archive of nearly equal scans calls nothing an outlier that is close by."""

MIN_VOLUMES_FOR_OUTLIERS = 20
TOLERANCE_MM = 1e-3
"""Headers hold float32."""


def check_headers(records: list[Record], facts: Sequence[HeaderFacts]) -> list[Finding]:
    """Findings of all headers.

    Args:
        records: the volumes.
        facts: of each, in the same order.
    """
    findings: list[Finding] = []
    for record, of_file in zip(records, facts, strict=True):
        if of_file.refusal is not None:
            findings.append(found(kind_of_refusal(of_file.refusal, "header-refused"), record.name, of_file.refusal))
            continue
        findings += [found(code, record.name, message) for code, message in _judge(record, of_file)]
    return findings + _outliers(records, facts)


def used_spacing(record: Record, facts: HeaderFacts) -> Triple | None:
    """Spacing that reading the volume gives it: the table's where that has one."""
    return record.spacing_mm_zyx or facts.spacing_mm_zyx


def _judge(record: Record, facts: HeaderFacts) -> list[tuple[str, str]]:
    """(code, message) of whatever is wrong with one readable header."""
    wrong: list[tuple[str, str]] = []
    spacing = used_spacing(record, facts)
    if spacing is not None and facts.shape_zyx is not None:
        wrong += _geometry(spacing, facts.shape_zyx)
    if facts.spacing_mm_zyx is not None and facts.shape_zyx is not None:
        if record.spacing_mm_zyx is not None:
            wrong += _disagreement(facts.spacing_mm_zyx, record.spacing_mm_zyx)
        else:
            wrong += _placeholder(facts.spacing_mm_zyx, facts.shape_zyx)
    if facts.axis_codes is not None and facts.axis_codes[2] not in "SI":
        wrong.append(("axis-order", f"axes {facts.axis_codes}"))
    if facts.oblique_degrees is not None and facts.oblique_degrees > MAX_OBLIQUE_DEGREES:
        wrong.append(("oblique", f"{facts.oblique_degrees:.0f}° between an axis and the patient's"))
    return wrong + _storage(record, facts)


def _geometry(spacing: Triple, shape: tuple[int, int, int]) -> list[tuple[str, str]]:
    wrong = []
    z_mm, *in_plane_mm = spacing
    if _outside(z_mm, Z_SPACING_MM):
        wrong.append(("z-spacing", f"{z_mm:.3g} mm between slices"))
    if any(_outside(mm, IN_PLANE_MM) for mm in in_plane_mm):
        wrong.append(("in-plane-spacing", f"{spacing[1]:.3g} × {spacing[2]:.3g} mm"))
    height_mm, *across_mm = (count * mm for count, mm in zip(shape, spacing, strict=True))
    if _outside(height_mm, Z_EXTENT_MM):
        wrong.append(("z-extent", f"{shape[0]} slices, {height_mm:.0f} mm"))
    if any(_outside(mm, IN_PLANE_EXTENT_MM) for mm in across_mm):
        wrong.append(("field-of-view", f"{across_mm[0]:.0f} × {across_mm[1]:.0f} mm"))
    return wrong


def _disagreement(header: Triple, table: Triple) -> list[tuple[str, str]]:
    if all(abs(a - b) <= MAX_DISAGREEMENT * b for a, b in zip(header, table, strict=True)):
        return []
    return [("spacing-differs", f"header {_shown(header)} mm, table {_shown(table)} mm (z y x)")]


def _placeholder(spacing: Triple, shape: tuple[int, int, int]) -> list[tuple[str, str]]:
    """1 mm is what stands where nobody set anything, and also a common true value: the size it leads to tells."""
    is_one = [abs(mm - 1) <= TOLERANCE_MM for mm in spacing]
    if is_one[0] and not is_one[1] and _outside(float(shape[0]), PLAUSIBLE_CHEST_MM):
        return [("spacing-default", f"exactly 1 mm between slices, {shape[0]} mm in all")]
    if all(is_one) and max(shape[1:]) > SCANNER_FIELD_MM:
        return [("spacing-default", f"exactly 1 mm along every axis, {max(shape[1:])} mm across")]
    return []


def _storage(record: Record, facts: HeaderFacts) -> list[tuple[str, str]]:
    """Type of the voxels, and the two places that may scale them."""
    wrong = []
    if facts.slope is not None and facts.intercept is not None and record.metadata is not None:
        header, table = (facts.slope, facts.intercept), (record.metadata.slope, record.metadata.intercept)
        if header != (1, 0) and not np.allclose(header, table):
            stated, other = (f"slope {slope:g}, intercept {intercept:g}" for slope, intercept in (header, table))
            wrong.append(("double-rescaling-risk", f"header: {stated}; table: {other}"))
    if facts.dtype in ("int8", "uint8"):
        wrong.append(("narrow-type", facts.dtype))
    elif facts.dtype is not None and facts.dtype not in ("int16", "uint16"):
        wrong.append(("wide-type", facts.dtype))
    return wrong


def _outliers(records: list[Record], facts: Sequence[HeaderFacts]) -> list[Finding]:
    """Volumes whose spacing is further from the median than `OUTLIER_MADS` median absolute deviations."""
    known = [
        (record, spacing)
        for record, of_file in zip(records, facts, strict=True)
        if (spacing := used_spacing(record, of_file)) is not None
    ]
    if len(known) < MIN_VOLUMES_FOR_OUTLIERS:
        return []
    values = np.array([spacing for _, spacing in known])
    median = np.median(values, axis=0)
    mad = np.maximum(np.median(np.abs(values - median), axis=0), MIN_MAD * median)
    is_far = (np.abs(values - median) > OUTLIER_MADS * mad).any(axis=1)
    usual = _shown(tuple(median.tolist()))
    return [
        found("spacing-outlier", record.name, f"{_shown(spacing)} mm; the median is {usual} mm (z y x)")
        for (record, spacing), far in zip(known, is_far, strict=True)
        if far
    ]


def _outside(value: float, limits: tuple[float, float]) -> bool:
    """Beyond the limits by more than rounding."""
    return not limits[0] - TOLERANCE_MM <= value <= limits[1] + TOLERANCE_MM


def _shown(spacing: Triple) -> str:
    return " × ".join(f"{mm:.3g}" for mm in spacing)
