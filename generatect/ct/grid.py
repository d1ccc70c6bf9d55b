"""A grid: how many voxels, how far apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS
from generatect.errors import InputError


def affine_of(
    shape_zyx: tuple[int, int, int],
    spacing_mm_zyx: tuple[float, float, float],
    directions: Float64[np.ndarray, "3 3"],
    centre_mm: Float64[np.ndarray, "3"],
) -> Float64[np.ndarray, "4 4"]:
    """Affine, from (z, y, x, 1) to RAS+ mm, of a grid with the given axes (unit columns) and centre."""
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing_mm_zyx)
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(shape_zyx) - 1) / 2)
    return affine


@dataclass(frozen=True)
class Grid:
    """Shape and spacing of a volume, free of position and content.

    Attributes:
        shape_zyx: number of voxels along z (inferior to superior), y (anterior to posterior), x (right to left).
        spacing_mm_zyx: distance of voxel centres along the same axes in millimetres.

    Raises:
        InputError: an empty axis, or a spacing that is not positive and finite.
    """

    shape_zyx: tuple[int, int, int]
    spacing_mm_zyx: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse what cannot be a grid."""
        if len(self.shape_zyx) != 3 or min(self.shape_zyx) < 1:
            raise InputError(f"grid shape_zyx={self.shape_zyx}: expected three sizes of at least 1")
        if len(self.spacing_mm_zyx) != 3 or not all(0 < spacing < np.inf for spacing in self.spacing_mm_zyx):
            raise InputError(f"grid spacing_mm_zyx={self.spacing_mm_zyx}: expected three positive spacings in mm")

    @property
    def said(self) -> str:
        """Voxels and millimetres for people, the thickness of slices first; rounded, and so no identity."""
        (z, y, x), (mm_z, mm_y, mm_x) = self.shape_zyx, self.spacing_mm_zyx
        return f"{z} × {y} × {x} voxels of {mm_z:.3g} × {mm_y:.3g} × {mm_x:.3g} mm"

    @property
    def fov_mm_zyx(self) -> tuple[float, float, float]:
        """Field of view in millimetres, from outer face to outer face: voxels × spacing."""
        (num_z, num_y, num_x), (mm_z, mm_y, mm_x) = self.shape_zyx, self.spacing_mm_zyx
        return num_z * mm_z, num_y * mm_y, num_x * mm_x

    @property
    def num_voxels(self) -> int:
        """Voxels in the whole grid."""
        return self.shape_zyx[0] * self.shape_zyx[1] * self.shape_zyx[2]

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm³."""
        return self.spacing_mm_zyx[0] * self.spacing_mm_zyx[1] * self.spacing_mm_zyx[2]

    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """Affine, from (z, y, x, 1) to RAS+ mm, of this grid in canonical orientation centred on world zero."""
        return affine_of(self.shape_zyx, self.spacing_mm_zyx, CANONICAL_DIRECTIONS_RAS, np.zeros(3))
