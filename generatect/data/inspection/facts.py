"""What inspecting a file yields: plain values that a JSON file keeps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from generatect.ct.hounsfield import HUDecision

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What a file says of itself before a voxel is read; fields are None where it says nothing.

    Attributes:
        num_bytes: size on disk.
        refusal: why it cannot be read, one line without the path.
        shape_zyx, spacing_mm_zyx: canonical, by the header alone.
        axis_codes: directions towards which the stored axes run, such as "LPS".
        oblique_degrees: largest angle between an axis and the patient's nearest one.
        dtype: stored type, such as "int16".
        slope, intercept: the header's scaling.
        content: hash of the file, made only where another has the same size.
        glimpse: alike in files that may hold one scan; see `generatect.ct.same_scan`.
    """

    num_bytes: int
    refusal: str | None = None
    shape_zyx: tuple[int, int, int] | None = None
    spacing_mm_zyx: Triple | None = None
    axis_codes: str | None = None
    oblique_degrees: float | None = None
    dtype: str | None = None
    slope: float | None = None
    intercept: float | None = None
    content: str | None = None
    glimpse: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "HeaderFacts":
        """Facts that `to_json` described."""
        return cls(**_fitting(cls, values))


@dataclass(frozen=True, slots=True)
class VoxelFacts:
    """What reading a whole volume shows; of one that is refused only why.

    Attributes:
        refusal: why it cannot be read, one line without the path.
        hu: how stored values became HU.
        shape_zyx, spacing_mm_zyx: of the volume as models get it.
        lowest_hu, highest_hu: range of the voxels.
        share_highest: share of the voxels that hold the highest value.
        share_far_above: share of the voxels far above what a CT holds; see `share_far_above`.
        scaling: "twice" or "never" where the voxels show that; "" otherwise.
        body_litres, lungs_litres: see `generatect.data.inspection.chest`.
        content: hash of the voxels; see `voxel_hash`.
        thumbnail: three planes at lung window, JPEG in base64.
    """

    refusal: str | None = None
    hu: HUDecision | None = None
    shape_zyx: tuple[int, int, int] | None = None
    spacing_mm_zyx: Triple | None = None
    lowest_hu: float | None = None
    highest_hu: float | None = None
    share_highest: float | None = None
    share_far_above: float | None = None
    scaling: str = ""
    body_litres: float | None = None
    lungs_litres: float | None = None
    content: str | None = None
    thumbnail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "VoxelFacts":
        """Facts that `to_json` described."""
        hu = values.get("hu")
        return cls(**{**_fitting(cls, values), "hu": None if hu is None else HUDecision(**hu)})


def _fitting(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments: JSON's lists as tuples; a file of another version raises."""
    known = {field.name for field in fields(cls)}
    if set(values) != known:
        raise ValueError("facts of another version")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
