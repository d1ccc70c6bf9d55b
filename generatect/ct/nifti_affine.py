"""Where stored voxels lie: the one affine that a NIfTI header states, and refusal where it states none or two."""

import math
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float64
from nibabel.quaternions import quat2mat

from generatect.ct.bounds import MAX_SHEAR_DEGREES, shear_degrees, spacing_fault
from generatect.ct.orientation import closest_order
from generatect.errors import InputError

MAX_SPACING_DISAGREEMENT = 1e-3
"""Relative; writers round a spacing to four digits or more."""

MAX_TURN_DISAGREEMENT = 1e-4
"""Radian; as a share of the volume's diagonal also the limit for its position."""

QUATERNION_ROUNDING = 2e-7
"""What float32 leaves uncertain in 1 - b² - c² - d²."""

LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Where an axis points: RAS+ axis and sign."""


def stored_affine(
    header: nib.Nifti1Header,
    shape: tuple[int, ...],
    path: Path,
    spacing_mm_zyx: tuple[float, float, float] | None = None,
    assume_axes: str | None = None,
) -> Float64[np.ndarray, "4 4"]:
    """Affine of a header, stored index → RAS+ mm: the sform where it is set, else the qform; never a guess.

    Args:
        header: of either version.
        shape: stored shape.
        path: named in errors.
        spacing_mm_zyx: true spacing along the canonical axes, where the header's is known to be wrong.
        assume_axes: where the axes of a file point that sets neither form, such as "LPS".

    Raises:
        InputError: no usable affine, or two that differ.
    """
    assumed = None if assume_axes is None else axis_directions(assume_axes)
    with np.errstate(all="ignore"):  # a damaged header holds anything; the checks below see what came of it
        sform, qform = _sform(header, path), _qform(header, path)
        if sform is not None:
            affine = sform
        elif qform is not None:
            affine = qform
        elif assumed is not None:
            affine = np.eye(4)
            affine[:3, :3] = assumed if spacing_mm_zyx is not None else assumed * _pixdim(header)
        else:
            raise InputError(
                f"{path}: neither sform nor qform is set; expected an affine, since sides would be guesswork; where "
                "all such files are known to be stored alike, say how: assume_axes=LPS, for instance"
            )
        _require_axes(affine, shape, path)
        if sform is not None and qform is not None and header["sform_code"] == header["qform_code"]:
            where = disagreement(sform, qform, header, shape, same_spacing=spacing_mm_zyx is None)
            if where is not None:
                raise InputError(
                    f"{path}: sform and qform disagree: {where}; expected one geometry: write the true one to both, or "
                    "set the code of the wrong one to 0"
                )
        _require_right_angles(affine, qform, path)
    if spacing_mm_zyx is not None:
        affine = _with_spacing(affine, spacing_mm_zyx)
    fault = spacing_fault(np.linalg.norm(affine[:3, :3], axis=0), shape)
    if fault is not None:
        raise InputError(f"{path}: {fault}")
    return affine


def qform_of(header: nib.Nifti1Header) -> Float64[np.ndarray, "4 4"]:
    """The rotation, spacing and offset of a sound header as a matrix, stored index → RAS+ mm."""
    flip = -1.0 if header["pixdim"][0] == -1 else 1.0  # 0 is old writers' 1
    quaternion = [math.sqrt(max(_real_squared(header), 0.0)), *(float(header[f"quatern_{part}"]) for part in "bcd")]
    affine = np.eye(4)
    affine[:3, :3] = quat2mat(quaternion) * _pixdim(header) * (1.0, 1.0, flip)
    affine[:3, 3] = [header[f"qoffset_{axis}"] for axis in "xyz"]
    return affine


def disagreement(
    sform: np.ndarray, qform: np.ndarray, header: nib.Nifti1Header, shape: tuple[int, ...], same_spacing: bool = True
) -> str | None:
    """Where two forms that claim the same space (equal codes) put the voxels in different places; None: nowhere.

    Forms of unequal codes are two spaces on purpose, such as the scanner's and an atlas's; then the sform holds alone.
    """
    spacing, other_spacing = (np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform))
    if same_spacing and not (np.abs(other_spacing / spacing - 1) <= MAX_SPACING_DISAGREEMENT).all():
        return f"spacing {_shown(spacing)} and {_shown(other_spacing)} mm"
    same_scale = qform.copy()
    same_scale[:3, :3] *= spacing / other_spacing
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in shape[:3]))]).T
    shift_mm = np.linalg.norm(((sform - same_scale) @ corners)[:3], axis=0).max()
    diagonal_mm = float(np.linalg.norm(spacing * (np.array(shape[:3]) - 1)))
    # Near a half turn, as every LPS scan is, the small real part is a difference of large numbers.
    real = math.sqrt(max(_real_squared(header), 4e-8))
    if not shift_mm <= (MAX_TURN_DISAGREEMENT + QUATERNION_ROUNDING / real) * diagonal_mm:
        return f"a corner lies {shift_mm:.3g} mm apart"
    return None


def _sform(header: nib.Nifti1Header, path: Path) -> Float64[np.ndarray, "4 4"] | None:
    """The matrix of the header; None where it is not set."""
    if not _is_set(header, "sform_code", path):
        return None
    return np.array([*(header[f"srow_{row}"] for row in "xyz"), (0, 0, 0, 1)], np.float64)


def _qform(header: nib.Nifti1Header, path: Path) -> Float64[np.ndarray, "4 4"] | None:
    """The rotation, spacing and offset of the header as a matrix; None where they are not set."""
    if not _is_set(header, "qform_code", path):
        return None
    real_squared = _real_squared(header)
    if float(header["pixdim"][0]) not in (-1.0, 0.0, 1.0) or not real_squared > -1e-5:  # NaN is not greater
        raise InputError(f"{path}: the header's qform is not a rotation; expected a true affine")
    return qform_of(header)


def _pixdim(header: nib.Nifti1Header) -> Float64[np.ndarray, "3"]:
    """The spacing in the header, stored axes in mm: lengths, whose sign says nothing of sides."""
    return np.abs(header["pixdim"][1:4].astype(np.float64))


def _is_set(header: nib.Nifti1Header, key: str, path: Path) -> bool:
    """Whether a form counts, by its code."""
    code = int(header[key])
    if not 0 <= code <= 5:
        raise InputError(f"{path}: {key} is {code}; expected 0 to 5")
    return code > 0


def _real_squared(header: nib.Nifti1Header) -> float:
    """Square of the quaternion's real part, which the header leaves out."""
    b, c, d = (float(header[f"quatern_{part}"]) for part in "bcd")
    return 1 - b * b - c * c - d * d


def _require_axes(affine: np.ndarray, shape: tuple[int, ...], path: Path) -> None:
    """Refuses what has no three axes."""
    if not np.isfinite(affine).all():
        raise InputError(f"{path}: the affine holds NaN or infinity; expected finite numbers")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() == 0 or not np.isfinite(spacing).all():
        raise InputError(f"{path}: {spacing_fault(spacing, shape)}")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise InputError(f"{path}: the affine is singular (axes in one plane); expected three independent axes")


def _require_right_angles(affine: np.ndarray, qform: np.ndarray | None, path: Path) -> None:
    """Refuses sheared axes: whatever resamples a volume takes them for right angles, and the patient would lean."""
    degrees = shear_degrees(affine)
    if degrees > MAX_SHEAR_DEGREES:
        other = "; or, if the qform holds the scanner's geometry, set sform_code to 0" if qform is not None else ""
        raise InputError(
            f"{path}: its axes are sheared by {degrees:.1f}° (gantry tilt?); expected right angles: straighten it "
            f"first, as dcm2niix does{other}"
        )


def _shown(spacing: np.ndarray) -> str:
    return " × ".join(f"{mm:.4g}" for mm in spacing)


def _with_spacing(affine: np.ndarray, spacing_mm_zyx: tuple[float, float, float]) -> np.ndarray:
    """The affine with another spacing; axes and the place of the first stored voxel stay."""
    result = affine.copy()
    for axis, mm in zip(closest_order(affine).stored_axis, spacing_mm_zyx, strict=True):
        result[:3, axis] *= mm / np.linalg.norm(affine[:3, axis])
    return result


def axis_directions(axes: str) -> np.ndarray:
    """Unit columns, in RAS+, of axes named by letters."""
    known = [LETTERS[letter] for letter in axes if letter in LETTERS]
    if len(axes) != 3 or sorted(axis for axis, _ in known) != [0, 1, 2]:
        raise InputError(f"assume_axes={axes!r}: expected one of R or L, of A or P, of S or I, in stored order: LPS")
    directions = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(known):
        directions[axis, column] = sign
    return directions
