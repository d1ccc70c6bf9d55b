"""What shards are made for: the file that vouches for them, and that training compares itself with."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from generatect.ct.intensity import HU_RANGE
from generatect.ct.preset import Preset

FORMAT = 1
HEADER = "generatect.index.json"
INDEX = "index.json"
SIDES = ("train", "val")


@dataclass(frozen=True)
class Purpose:
    """What shards are made for: training refuses others.

    Attributes:
        stage: "ctvit", "transformer" or "superres".
        preset: name and grids.
        tokenizer_sha256: hash of the tokenizer's file; None for `ctvit`.
        items_per_volume: items that a volume has.
        label_names: what the labels are; empty where there are none.
        notice: what has to be said wherever the data goes; None for nothing.
        hu_range: HU that are kept.
    """

    stage: str
    preset: dict[str, Any]
    tokenizer_sha256: str | None
    items_per_volume: int
    label_names: tuple[str, ...] = ()
    notice: str | None = None
    hu_range: tuple[float, float] = HU_RANGE

    @classmethod
    def from_dict(cls, header: dict[str, Any]) -> "Purpose":
        """From what `to_dict` gave; other keys are left alone."""
        values = {field.name: header[field.name] for field in fields(cls)}
        values["label_names"], values["hu_range"] = tuple(values["label_names"]), tuple(values["hu_range"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """As JSON gives it back."""
        return json.loads(json.dumps(asdict(self)))


def describe_preset(preset: Preset) -> dict[str, Any]:
    """Name and grids as JSON gives them back."""
    grids = {"grid": preset.grid, "upscaled_grid": preset.upscaled_grid}
    shapes = {name: [list(grid.shape_zyx), list(grid.spacing_mm_zyx)] for name, grid in grids.items()}
    return {"name": preset.name, **shapes}


def as_json_bytes(content: dict[str, Any]) -> bytes:
    """A JSON file, always the same for the same content."""
    return (json.dumps(content, sort_keys=True, ensure_ascii=False) + "\n").encode()
