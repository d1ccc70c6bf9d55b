"""A CT volume: voxels in Hounsfield units together with their place in the patient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int16

CANONICAL_DIRECTIONS_RAS = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
"""Columns: where axes z, y, x of a canonical volume point in RAS+ (superior, posterior, left)."""


@dataclass(frozen=True, eq=False)
class CTVolume:
    """Voxels and affine of one CT, together and unchanging.

    Volumes of this project are *canonical*: axis 0 (z) runs from inferior to superior, axis 1 (y) from anterior to
    posterior and axis 2 (x) from the patient's right to the left, each as nearly as the scanner's axes allow. So
    `voxels_hu[k]` is an axial slice as a radiologist looks at it: front at the top, the patient's right at the left.

    Attributes:
        voxels_hu: Hounsfield units, air -1000, water 0.
        affine: maps a homogeneous index (z, y, x, 1) to RAS+ millimetres (right, anterior, superior).
    """

    voxels_hu: Float32[np.ndarray, "z y x"] | Int16[np.ndarray, "z y x"]
    affine: Float64[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        """Check what every user of a volume relies on."""
        assert self.voxels_hu.ndim == 3, f"a volume has three axes, not {self.voxels_hu.ndim}"
        assert self.voxels_hu.dtype in (np.float32, np.int16), (
            f"voxels are float32 or int16, not {self.voxels_hu.dtype}"
        )
        assert min(self.voxels_hu.shape) >= 1, f"no axis may be empty: {self.voxels_hu.shape}"
        assert self.affine.shape == (4, 4), f"the affine is 4 by 4, not {self.affine.shape}"
        assert self.affine.dtype == np.float64, f"the affine is float64, not {self.affine.dtype}"
        assert np.isfinite(self.affine).all(), "the affine must be finite"
        assert abs(np.linalg.det(self.affine[:3, :3])) > 0, "the affine must be invertible"

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""
        z, y, x = self.voxels_hu.shape
        return z, y, x

    @property
    def spacing_mm_zyx(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along z, y, x in millimetres."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def directions(self) -> Float64[np.ndarray, "3 3"]:
        """Unit vectors in RAS+ along z, y, x, as columns."""
        return self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def centre_mm(self) -> Float64[np.ndarray, "3"]:
        """World position (RAS+) of the middle of the volume, halfway between the outermost voxel centres."""
        return self.affine[:3, :3] @ ((np.array(self.shape_zyx) - 1) / 2) + self.affine[:3, 3]
