"""Presets: which grid a model sees, and the way from a CT to it and back."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64
from torch import Tensor

from generatect.ct.bounds import size_fault, spacing_fault
from generatect.ct.grid import Grid, affine_of
from generatect.ct.intensity import HU_RANGE, hu_to_model, model_to_hu
from generatect.ct.released import stretch
from generatect.ct.resample import resample_like, resample_to_grid
from generatect.ct.volume import CTVolume
from generatect.errors import InputError

NOMINAL_FOV_MM_ZYX = (301.5, 384.0, 384.0)
"""201 slices of 1.5 mm; 512 pixels of 0.75 mm."""


@runtime_checkable
class Preset(Protocol):
    """The grids of a model and the conversions between a CT and the model's array.

    Attributes:
        name: what the preset is called in files and captions.
        grid: grid of the low-resolution model.
        upscaled_grid: grid after super-resolution: the same slices, finer in plane.
    """

    name: str
    grid: Grid
    upscaled_grid: Grid

    def to_model(self, volume: CTVolume, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT as the model sees it, in [-1, 1]."""
        ...

    def to_volume(
        self,
        array: Float[Tensor, "*channel z y x"],
        reference: CTVolume | None = None,
        upscaled: bool = False,
    ) -> CTVolume:
        """The model's array as a CT in HU: on the grid of `reference`, or on the preset's own without one."""
        ...

    def seen_affine(self, reference: CTVolume, upscaled: bool = False) -> Float64[np.ndarray, "4 4"]:
        """Affine of the array that `to_model` makes of `reference`, as a canonical volume: where its voxels lie."""
        ...


class PhysicalPreset:
    """A field of view of true millimetres round the centre of the scan; padded with air, cropped, never stretched.

    Args:
        num_slices: slices of both grids.
        size: rows and columns of the low-resolution model.
        upscaled_size: rows and columns after super-resolution.
        fov_mm_zyx: field of view in millimetres.
    """

    name = "physical"

    def __init__(
        self,
        *,
        num_slices: int,
        size: int,
        upscaled_size: int,
        fov_mm_zyx: tuple[float, float, float] | list[float] = NOMINAL_FOV_MM_ZYX,
    ) -> None:
        self.grid = _grid_over(num_slices, size, fov_mm_zyx)
        self.upscaled_grid = _grid_over(num_slices, upscaled_size, fov_mm_zyx)

    def to_model(self, volume: CTVolume, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on the grid, in [-1, 1].

        HU are clipped first: the -3000 of a scanner's padding or the 10000 of metal would otherwise leak into the
        averages of their neighbours.
        """
        grid = self.upscaled_grid if upscaled else self.grid
        return hu_to_model(torch.from_numpy(resample_to_grid(volume, grid, clip_hu=HU_RANGE).voxels_hu))[None]

    def to_volume(
        self,
        array: Float[Tensor, "*channel z y x"],
        reference: CTVolume | None = None,
        upscaled: bool = False,
    ) -> CTVolume:
        """The array as float32 HU, where `to_model` would have taken it from; air outside the field of view.

        Args:
            array: values in [-1, 1] on the grid, with or without a channel axis of size 1.
            reference: the scan whose grid the result takes; None: the preset's grid centred on world zero.
            upscaled: the array is on the upscaled grid.

        Raises:
            InputError: the array's shape is not the grid's.
        """
        grid = self.upscaled_grid if upscaled else self.grid
        voxels_hu = model_to_hu(_three_axes(array, grid.shape_zyx))
        if reference is None:
            return CTVolume(voxels_hu, grid.affine())
        return resample_like(CTVolume(voxels_hu, self.seen_affine(reference, upscaled)), reference)

    def seen_affine(self, reference: CTVolume, upscaled: bool = False) -> Float64[np.ndarray, "4 4"]:
        """The grid's spacing, along the axes of the scan and round its centre."""
        grid = self.upscaled_grid if upscaled else self.grid
        return affine_of(grid.shape_zyx, grid.spacing_mm_zyx, reference.directions, reference.centre_mm)


class ReleasedPreset:
    """What the released GenerateCT weights expect: every scan stretched to one array, whatever its millimetres.

    The original reads a file's array as it is stored and treats axis 0 as rows and axis 2 as slices (spec §4). Its
    files are stored like most NIfTI made from DICOM: axis 0 towards the left, axis 1 towards the back, axis 2 upwards
    ("LPS"). A canonical volume holds the same voxels as z y x, so here a model's *rows* are the patient's x and its
    *columns* the patient's y: `to_model` gives what the original computes from the same scan stored as LPS.

    The grids' millimetres are nominal, for volumes without a reference: 1.5 mm slices, 384 mm in plane.

    Args:
        num_slices: slices of both grids; 201 in the release.
        size: rows and columns of the low-resolution model; 128 in the release.
        upscaled_size: rows and columns after super-resolution; 512 in the release.
    """

    name = "released"

    def __init__(self, *, num_slices: int = 201, size: int = 128, upscaled_size: int = 512) -> None:
        self.grid = _grid_over(num_slices, size, NOMINAL_FOV_MM_ZYX)
        self.upscaled_grid = _grid_over(num_slices, upscaled_size, NOMINAL_FOV_MM_ZYX)

    def to_model(self, volume: CTVolume, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT stretched to the model's array, in [-1, 1]; array axes are patient z, x, y."""
        grid = self.upscaled_grid if upscaled else self.grid
        return stretch(rearrange(volume.voxels_hu, "z y x -> x y z"), grid.shape_zyx[0], grid.shape_zyx[1])

    def to_volume(
        self,
        array: Float[Tensor, "*channel z y x"],
        reference: CTVolume | None = None,
        upscaled: bool = False,
    ) -> CTVolume:
        """The array as float32 HU with patient axes and millimetres restored; arguments as in `PhysicalPreset`.

        Raises:
            InputError: the array's shape is not the grid's.
        """
        grid = self.upscaled_grid if upscaled else self.grid
        voxels_hu = np.ascontiguousarray(rearrange(model_to_hu(_three_axes(array, grid.shape_zyx)), "z x y -> z y x"))
        if reference is None:
            return CTVolume(voxels_hu, grid.affine())
        return resample_like(CTVolume(voxels_hu, self.seen_affine(reference, upscaled)), reference)

    def seen_affine(self, reference: CTVolume, upscaled: bool = False) -> Float64[np.ndarray, "4 4"]:
        """The whole scan cut into as many voxels as the grid has, whatever their millimetres."""
        grid = self.upscaled_grid if upscaled else self.grid
        extent = np.array(reference.shape_zyx) * np.array(reference.spacing_mm_zyx)
        z, y, x = extent / np.array(grid.shape_zyx)
        return affine_of(grid.shape_zyx, (z, y, x), reference.directions, reference.centre_mm)


def _grid_over(num_slices: int, size: int, fov_mm_zyx: tuple[float, float, float] | list[float]) -> Grid:
    """Grid of `num_slices` × `size` × `size` voxels over a field of view."""
    if len(fov_mm_zyx) != 3 or min(num_slices, size) < 1:
        raise InputError(
            f"preset num_slices={num_slices}, size={size}, fov_mm_zyx={fov_mm_zyx}: "
            "expected sizes of at least 1 and a field of view of three lengths in mm"
        )
    z, y, x = fov_mm_zyx
    grid = Grid((num_slices, size, size), (z / num_slices, y / size, x / size))
    fault = size_fault(grid.shape_zyx) or spacing_fault(grid.spacing_mm_zyx, grid.shape_zyx)
    if fault is not None:
        raise InputError(f"preset num_slices={num_slices}, size={size}, fov_mm_zyx={fov_mm_zyx}: {fault}")
    return grid


def _three_axes(array: Float[Tensor, "*channel z y x"], shape_zyx: tuple[int, int, int]) -> np.ndarray:
    """The array without its channel axis, as float32 NumPy."""
    if tuple(array.shape) not in (shape_zyx, (1, *shape_zyx)):
        raise InputError(f"array of shape {tuple(array.shape)} does not fit the preset's grid {shape_zyx}")
    return array.detach().float().cpu().reshape(shape_zyx).numpy()
