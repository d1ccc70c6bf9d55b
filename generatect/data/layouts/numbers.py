"""Numbers that a table or a JSON gives for a volume; everything else in them stays unread."""

import math
import re

from generatect.ct.hounsfield import Scaling

_PAIR = re.compile(r"[\[(]\s*([^\s,\]]+)\s*,\s*([^\s,\]]+)\s*[\])]")


def parse_number(cell: object) -> float | None:
    """A finite number; None where a cell or a JSON value is none."""
    if not isinstance(cell, str | int | float) or isinstance(cell, bool):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def parse_scaling(slope: object, intercept: object) -> Scaling | None:
    """Slope and intercept, fractions included; None unless both are numbers and the slope is above 0."""
    slope_number, intercept_number = parse_number(slope), parse_number(intercept)
    if slope_number is None or intercept_number is None or slope_number <= 0:
        return None
    return Scaling(slope_number, intercept_number)


def parse_spacing(in_plane: str, between_slices: str) -> tuple[float, float, float] | None:
    """Spacing along z, y, x in mm; None unless all three are above 0.

    Args:
        in_plane: such as "[0.8, 0.8]": between rows (y), then between columns (x), as in DICOM's PixelSpacing.
        between_slices: such as "1.5".
    """
    pair = _PAIR.fullmatch(in_plane.strip())
    z, y, x = (parse_number(cell) for cell in (between_slices, *(pair.groups() if pair else ("", ""))))
    if z is None or y is None or x is None or min(z, y, x) <= 0:
        return None
    return z, y, x
