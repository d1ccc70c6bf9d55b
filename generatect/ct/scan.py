"""One chest CT from disk, whatever its format."""

from dataclasses import dataclass
from pathlib import Path

from generatect.ct.arrays import ArrayForm, read_array
from generatect.ct.dicom import read_series
from generatect.ct.hounsfield import HUDecision, Scaling, require_policy
from generatect.ct.nifti import NiftiLayout, read_nifti_with_layout
from generatect.ct.nifti_affine import axis_directions
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import ARRAY


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT as it was read.

    Attributes:
        volume: canonical, in HU.
        hu: how its stored values became HU.
        layout: how its NIfTI file stores it; None for DICOM and arrays.
    """

    volume: CTVolume
    hu: HUDecision
    layout: NiftiLayout | None


@dataclass(frozen=True)
class Reading:
    """How scans are read that do not say themselves what a reader must know; the defaults take nothing for granted.

    Attributes:
        hu_policy: how stored values become HU; see `decide_hu`.
        assume_axes: axes of a NIfTI file that states neither sform nor qform, such as "LPS"; None refuses it.
        series: which series of a folder of several; see `choose_series`.

    Raises:
        InputError: a policy that does not exist, or axes that are none.
    """

    hu_policy: str = "auto"
    assume_axes: str | None = None
    series: str | int | None = None

    def __post_init__(self) -> None:
        require_policy(self.hu_policy)
        if self.assume_axes is not None:
            axis_directions(self.assume_axes)

    def read(self, path: Path) -> "Scan":
        """The scan of a file or folder, read so."""
        return read_scan(path, hu_policy=self.hu_policy, assume_axes=self.assume_axes, series=self.series)


AS_STATED = Reading()
"""Takes nothing for granted that a file does not say."""


def read_scan(
    path: Path,
    *,
    hu_policy: str = "auto",
    metadata: Scaling | None = None,
    spacing_mm_zyx: tuple[float, float, float] | None = None,
    assume_axes: str | None = None,
    series: str | int | None = None,
) -> Scan:
    """The CT of a NIfTI file, of an array in `.npz`, or of the folder of a DICOM series.

    Args:
        path: file or folder.
        hu_policy: how stored values become HU; for this and the following see `read_nifti_with_layout`. A DICOM series
            states all of them itself; an array states none, see `ArrayForm`.
        metadata: slope and intercept that a table gives.
        spacing_mm_zyx: spacing that a table gives.
        assume_axes: axes of a file that states none.
        series: which series of a folder of several; see `choose_series`.

    Raises:
        InputError: anything that keeps it from being one CT volume.
    """
    if path.name.endswith(ARRAY):
        return Scan(*read_array(path, ArrayForm(metadata, assume_axes, spacing_mm_zyx)), None)
    if path.is_dir():
        decision = HUDecision("header", 1.0, 0.0, "slope and intercept of each DICOM slice")
        return Scan(read_series(path, series), decision, None)
    volume, layout = read_nifti_with_layout(
        path, hu_policy=hu_policy, metadata=metadata, spacing_mm_zyx=spacing_mm_zyx, assume_axes=assume_axes
    )
    return Scan(volume, layout.hu, layout)
