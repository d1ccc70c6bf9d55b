"""Soft-edged shapes on a grid: how much of every voxel lies inside.

A shape is a field f over world millimetres, inside where f < 1. Over one voxel f is taken as uniformly distributed with
its true mean m and variance v, so the fraction inside is clip(1/2 + (1 - m) / sqrt(12 v), 0, 1). For quadratic fields
both moments are exact and cheap; shapes fade out when they get smaller than a voxel, and a coarse rendering is close to
the area average of a fine one.

World axes are (z, y, x) = (inferior → superior, anterior → posterior, patient right → left) in mm from the centre.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Point = Sequence[float | int] | np.ndarray
Field = Callable[[np.ndarray], np.ndarray]
SUBSAMPLES = ((np.arange(4, dtype=np.float32) - 1.5) / 4)[:, None]


@dataclass(frozen=True)
class Canvas:
    """A block of voxels with the world coordinates of its centres.

    Attributes:
        voxels_hu: [z, y, x] float32, painted in place.
        axes_mm: coordinates of the voxel centres along z, y and x, 1-D float32.
        spacing_mm: voxel edges along z, y and x.
    """

    voxels_hu: np.ndarray
    axes_mm: tuple[np.ndarray, np.ndarray, np.ndarray]
    spacing_mm: tuple[float, float, float]

    def box(self, low_mm: Point, high_mm: Point) -> "Canvas | None":
        """The part of the canvas (a view) whose voxels touch a box; None if there is none."""
        cuts, axes = [], []
        for axis, spacing, low, high in zip(self.axes_mm, self.spacing_mm, low_mm, high_mm, strict=True):
            origin = axis.item(0)
            start = max(0, math.ceil((low - origin) / spacing - 0.5))
            stop = min(len(axis), math.floor((high - origin) / spacing + 0.5) + 1)
            if start >= stop:
                return None
            cuts.append(slice(start, stop))
            axes.append(axis[start:stop])
        return Canvas(self.voxels_hu[tuple(cuts)], tuple(axes), self.spacing_mm)

    @property
    def open_axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates shaped [z, 1, 1], [y, 1] and [x], ready to broadcast."""
        z, y, x = self.axes_mm
        return z[:, None, None], y[:, None], x

    def paint(self, coverage: np.ndarray, hu: float | np.ndarray) -> None:
        """Replace the covered fraction of every voxel by tissue of the given HU."""
        voxels = self.voxels_hu
        change = np.subtract(hu, voxels, dtype=np.float32)
        change *= coverage
        voxels += change


def inside(mean: np.ndarray, width_squared: np.ndarray) -> np.ndarray:
    """Fraction of each voxel where f < 1, of the mean of f and 12 times its variance; overwrites both."""
    width = np.sqrt(width_squared, out=width_squared)
    np.subtract(1, mean, out=mean)
    mean /= width
    mean += 0.5
    np.maximum(mean, 0, out=mean)
    return np.minimum(mean, 1, out=mean)


def separable(canvas: Canvas, field_z: Field, field_y: Field, field_x: Field) -> np.ndarray:
    """Coverage of f(z) + f(y) + f(x) < 1, the moments of each term taken from samples within the voxel."""
    means, widths = [], []
    for axis, spacing, field in zip(canvas.axes_mm, canvas.spacing_mm, (field_z, field_y, field_x), strict=True):
        samples = field(axis + np.float32(spacing) * SUBSAMPLES)
        mean = np.add.reduce(samples) / 4
        samples = samples - mean
        samples *= samples
        means.append(mean)
        # Variance times 12; four equidistant samples see 15/16 of the variance of a ramp.
        widths.append(np.add.reduce(samples) * 3.2)
    total = (means[0][:, None] + means[1])[:, :, None] + means[2]
    width = (widths[0][:, None] + widths[1] + 1e-9)[:, :, None] + widths[2]
    return inside(total, width)


def _quadratic(matrix: np.ndarray, canvas: Canvas, center_mm: Point, constant: float) -> np.ndarray:
    """(p - center)ᵀ matrix (p - center) + constant at every voxel centre; matrix symmetric."""
    z, y, x = (axis - np.float32(center) for axis, center in zip(canvas.axes_mm, center_mm, strict=True))
    m = matrix.astype(np.float32)
    plane = (m[0, 0] * z * z + np.float32(constant))[:, None] + m[1, 1] * y * y
    if m[0, 1]:
        plane += 2 * m[0, 1] * z[:, None] * y
    across = m[2, 2] * x * x
    if m[0, 2] or m[1, 2]:
        slope = 2 * (m[0, 2] * z[:, None] + m[1, 2] * y)
        total = slope[:, :, None] * x
        total += plane[:, :, None]
        total += across
        return total
    return plane[:, :, None] + across


def _moments(matrix: np.ndarray, spacing_mm: Point) -> tuple[float, float]:
    """What a voxel's extent adds to the mean of pᵀ matrix p, and the constant part of 12 times its variance."""
    (zz, zy, zx), (_, yy, yx), (_, _, xx) = matrix.tolist()
    z, y, x = (spacing * spacing for spacing in spacing_mm)
    diagonal = (zz * z) ** 2 + (yy * y) ** 2 + (xx * x) ** 2
    mixed = zy * zy * z * y + zx * zx * z * x + yx * yx * y * x
    return (zz * z + yy * y + xx * x) / 12, diagonal / 15 + mixed / 3


def ellipsoid(canvas: Canvas, center_mm: Point, radii_mm: Point, axes: np.ndarray | None = None) -> np.ndarray:
    """Coverage of an ellipsoid; the columns of `axes` (orthonormal, zyx) are its principal directions."""
    basis = np.eye(3) if axes is None else axes
    matrix = (basis / np.square(radii_mm)) @ basis.T
    offset, curved = _moments(matrix, canvas.spacing_mm)
    mean = _quadratic(matrix, canvas, center_mm, offset)
    gradient = matrix * np.array(canvas.spacing_mm)
    return inside(mean, _quadratic(4 * gradient @ gradient.T, canvas, center_mm, curved))


def capsule(canvas: Canvas, start_mm: Point, stop_mm: Point, radius_mm: float) -> np.ndarray:
    """Coverage of a tube with round ends."""
    line = [float(stop - start) for start, stop in zip(start_mm, stop_mm, strict=True)]
    length_squared = max(sum(step * step for step in line), 1e-6)
    z, y, x = (axis - float(start) for axis, start in zip(canvas.axes_mm, start_mm, strict=True))
    pull = [step / length_squared for step in line]
    along = ((pull[0] * z)[:, None] + pull[1] * y)[:, :, None] + pull[2] * x
    np.maximum(along, 0, out=along)
    np.minimum(along, 1, out=along)
    # Squared distance from the axis over the squared radius: the moments are those of a cylinder's quadratic form.
    inverse = 1 / (radius_mm * radius_mm)
    squares = [spacing * spacing * inverse for spacing in canvas.spacing_mm]
    shares = [1 - step * step / length_squared for step in line]
    mean_offset = sum(share * square for share, square in zip(shares, squares, strict=True)) / 12
    curved = sum((share * square) ** 2 for share, square in zip(shares, squares, strict=True)) / 15 + 1e-9
    mean: np.ndarray | float = mean_offset
    width: np.ndarray | float = curved
    for coordinate, step, square in zip((z[:, None, None], y[:, None], x), line, squares, strict=True):
        offset = coordinate - step * along
        offset *= offset
        offset *= inverse
        mean = mean + offset
        offset *= 4 * square
        width = width + offset
    return inside(np.asarray(mean), np.asarray(width))


def paint_ellipsoid(
    canvas: Canvas, center_mm: Point, radii_mm: Point, hu: float, axes: np.ndarray | None = None
) -> None:
    """Paint an ellipsoid, touching only its bounding box."""
    reach = np.asarray(radii_mm, float) if axes is None else np.sqrt(np.square(axes) @ np.square(radii_mm))
    part = canvas.box(np.asarray(center_mm) - reach, np.asarray(center_mm) + reach)
    if part is not None:
        part.paint(ellipsoid(part, center_mm, radii_mm, axes), hu)


def paint_tube(canvas: Canvas, points_mm: Sequence[Point] | np.ndarray, radius_mm: float, hu: float) -> None:
    """Paint a chain of capsules, touching only their bounding boxes."""
    points = [[float(value) for value in point] for point in points_mm]
    for start, stop in pairwise(points):
        part = canvas.box(
            [min(ends) - radius_mm for ends in zip(start, stop, strict=True)],
            [max(ends) + radius_mm for ends in zip(start, stop, strict=True)],
        )
        if part is not None:
            part.paint(capsule(part, start, stop, radius_mm), hu)
