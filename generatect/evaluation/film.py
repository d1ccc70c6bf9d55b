"""Pictures for a page: planes of a volume in a display window, and planes of a difference, as JPEG in base64."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image, ImageDraw

from generatect.ct.intensity import WINDOWS, window
from generatect.ct.lettering import outlined
from generatect.ct.preview import ACCENT, PLANES, Plane
from generatect.ct.volume import CTVolume

PX_PER_MM = 0.62
"""A field of view of 384 mm is 238 pixels wide."""
GAP_PX = 3
QUALITY = 80
DIFFERENCE_HU = 400.0
"""HU at which the colour of a difference is full."""
BRIGHTER, DARKER = (255, 138, 60), (64, 160, 255)
"""Colours of where the first volume is denser, and less dense; both are told apart by the colour-blind."""


def film(
    volume: CTVolume,
    centre: tuple[int, int, int],
    windows: Sequence[str] = ("lung", "mediastinum"),
    planes: Sequence[Plane] = PLANES,
) -> str:
    """Planes side by side in true proportions, one row for each window.

    Args:
        volume: canonical volume.
        centre: index (z, y, x) where the planes cut.
        windows: names of `WINDOWS`.
        planes: which planes.
    """
    rows = []
    for name in windows:
        panels = [_panel(plane.cut(volume, centre[plane.axis]), plane, volume, name) for plane in planes]
        rows.append(_beside(panels))
    _letter(rows[0], volume, planes)
    return _jpeg(_below(rows))


def difference_film(
    volume: CTVolume, other: CTVolume, centre: tuple[int, int, int], planes: Sequence[Plane] = PLANES
) -> str:
    """Where `volume` is denser (orange) or less dense (blue) than `other`, over a faint picture of `other`.

    Args:
        volume: canonical volume.
        other: one on the same grid.
        centre: index (z, y, x) where the planes cut.
        planes: which planes.
    """
    change = CTVolume(volume.voxels_hu.astype(np.float32) - other.voxels_hu, other.affine)
    panels = []
    for plane in planes:
        index, size = centre[plane.axis], _size(plane, volume)
        ground = 0.45 * window(_resized(plane.cut(other, index), size), *WINDOWS["lung"])[..., None] * 255
        hu = _resized(plane.cut(change, index), size)[..., None]
        strength = np.clip(np.abs(hu) / DIFFERENCE_HU, 0, 1)
        colour = np.where(hu > 0, np.array(BRIGHTER, np.float32), np.array(DARKER, np.float32))
        panels.append(Image.fromarray(np.rint(ground * (1 - strength) + colour * strength).astype(np.uint8)))
    row = _beside(panels)
    _letter(row, volume, planes)
    return _jpeg(row)


def _panel(hu: Shaped[np.ndarray, "rows columns"], plane: Plane, volume: CTVolume, name: str) -> Image.Image:
    brightness = window(_resized(hu, _size(plane, volume)), *WINDOWS[name])
    return Image.fromarray(np.rint(brightness * 255).astype(np.uint8)).convert("RGB")


def _resized(hu: Shaped[np.ndarray, "rows columns"], size: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """Interpolated HU, not brightness: edges stay where they are in every window."""
    picture = Image.fromarray(np.ascontiguousarray(hu, dtype=np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def _size(plane: Plane, volume: CTVolume) -> tuple[int, int]:
    width_mm, height_mm = plane.size_mm(volume)
    return max(1, round(width_mm * PX_PER_MM)), max(1, round(height_mm * PX_PER_MM))


def _beside(panels: Sequence[Image.Image]) -> Image.Image:
    height = max(panel.height for panel in panels)
    row = Image.new("RGB", (sum(panel.width + GAP_PX for panel in panels) - GAP_PX, height))
    left = 0
    for panel in panels:
        row.paste(panel, (left, (height - panel.height) // 2))
        left += panel.width + GAP_PX
    return row


def _below(rows: Sequence[Image.Image]) -> Image.Image:
    picture = Image.new("RGB", (rows[0].width, sum(row.height + GAP_PX for row in rows) - GAP_PX))
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height + GAP_PX
    return picture


def _letter(row: Image.Image, volume: CTVolume, planes: Sequence[Plane]) -> None:
    """The patient's right, or front, at the left of each plane."""
    draw, left = ImageDraw.Draw(row), 0
    for plane in planes:
        outlined(draw, (left + 5, row.height / 2), plane.letters[0], ACCENT, "lm", size=12)
        left += _size(plane, volume)[0] + GAP_PX


def _jpeg(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=QUALITY)
    return base64.b64encode(content.getvalue()).decode("ascii")
