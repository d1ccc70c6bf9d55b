"""Which stored axis is the canonical z, y, x, and which of them run backwards."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float, Shaped

from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS


@dataclass(frozen=True)
class AxisOrder:
    """A permutation and reversal of array axes, between storage and canonical z y x.

    Attributes:
        stored_axis: for each of z, y, x the stored axis that becomes it.
        reversed: for each of z, y, x whether that axis is stored backwards.
    """

    stored_axis: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]

    @property
    def _flips(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.reversed)

    def to_canonical(self, stored: Shaped[np.ndarray, "i j k"]) -> Shaped[np.ndarray, "z y x"]:
        """View of a stored array as z y x."""
        return stored.transpose(self.stored_axis)[self._flips]

    def to_stored(self, canonical: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "i j k"]:
        """View of a z y x array in storage order."""
        return canonical[self._flips].transpose(np.argsort(self.stored_axis))

    def canonical_affine(
        self, stored_affine: Float[np.ndarray, "4 4"], stored_shape: tuple[int, int, int]
    ) -> Float[np.ndarray, "4 4"]:
        """Affine of the z y x array: the same voxels at the same places."""
        index = np.zeros((4, 4))  # canonical index → stored index
        index[3, 3] = 1
        for axis, (stored, flip) in enumerate(zip(self.stored_axis, self.reversed, strict=True)):
            index[stored, axis] = -1 if flip else 1
            index[stored, 3] = stored_shape[stored] - 1 if flip else 0
        return stored_affine @ index


def closest_order(stored_affine: Float[np.ndarray, "4 4"]) -> AxisOrder:
    """The order whose axes are, all together, nearest to the canonical directions."""
    columns = stored_affine[:3, :3]
    cosines = CANONICAL_DIRECTIONS_RAS.T @ (columns / np.linalg.norm(columns, axis=0))  # [z y x, stored axis]
    i, j, k = max(permutations(range(3)), key=lambda order: np.abs(cosines[range(3), order]).sum())
    z, y, x = cosines[range(3), (i, j, k)] < 0
    return AxisOrder((i, j, k), (bool(z), bool(y), bool(x)))


LPS = closest_order(np.diag([-1.0, -1.0, 1.0, 1.0]))
"""Storage as most NIfTI made from DICOM: axes towards left, posterior, superior."""
