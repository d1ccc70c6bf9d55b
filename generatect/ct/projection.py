"""Projections: what is densest or least dense along lines through the body."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageDraw

from generatect.ct.intensity import window
from generatect.ct.lettering import font, outlined, wrap
from generatect.ct.output import output_path
from generatect.ct.preview import ACCENT, BRIGHT, DIM, GAP, GROUND, MARGIN, PLANES, Plane
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import atomic_path

KINDS = {"maximum": np.max, "minimum": np.min, "mean": np.mean}
PROJECTION_WINDOWS = {"maximum": (1800.0, 400.0), "minimum": (900.0, -650.0), "mean": (1000.0, -300.0)}
"""Width and level in HU: bone and contrast, airways, a radiograph."""

MAX_CAPTION_LINES = 4


def project(volume: CTVolume, plane: Plane, kind: str) -> Shaped[np.ndarray, "rows columns"]:
    """HU along the lines across a plane, as the plane is looked at: "maximum", "minimum" or "mean".

    Raises:
        InputError: another kind.
    """
    if kind not in KINDS:
        raise InputError(f"projection {kind!r}: expected one of {', '.join(KINDS)}")
    flat = KINDS[kind](volume.voxels_hu, axis=plane.axis)
    return flat if plane.axis == 0 else flat[::-1]


def projections(volume: CTVolume, path: str | Path, kind: str, caption: str = "", panel_px: int = 400) -> None:
    """Write a PNG of the projections from above, from the front and from the side, at true proportions.

    Args:
        volume: canonical volume.
        path: `.png` file in an existing folder.
        kind: see `project`.
        caption: text beneath, wrapped.
        panel_px: pixels of the longest side.

    Raises:
        InputError: an unknown kind, or the path cannot be written.
    """
    path = output_path(path, (".png",))
    sizes_mm = [plane.size_mm(volume) for plane in PLANES]
    px_per_mm = panel_px / max(max(size) for size in sizes_mm)
    panels = [_panel(volume, plane, kind, px_per_mm) for plane in PLANES]
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    height = max(panel.height for panel in panels)
    lines = wrap(caption, 15, width, MAX_CAPTION_LINES)
    below = 14 + 21 * len(lines) if lines else 0
    picture = Image.new("RGB", (width + 2 * MARGIN, height + 24 + below + 2 * MARGIN), GROUND)
    draw, left = ImageDraw.Draw(picture), MARGIN
    wide, level = PROJECTION_WINDOWS[kind]
    title = f"{kind.capitalize()} along each line   W {wide:.0f}   L {level:.0f}"
    draw.text((MARGIN, MARGIN + 6), title, font=font(15), fill=BRIGHT, anchor="ls")
    for panel in panels:
        picture.paste(panel, (left, MARGIN + 24 + (height - panel.height) // 2))
        left += panel.width + GAP
    for row, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + 24 + height + 14 + 21 * row), line, font=font(15), fill=DIM)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def _panel(volume: CTVolume, plane: Plane, kind: str, px_per_mm: float) -> Image.Image:
    width_mm, height_mm = plane.size_mm(volume)
    size = max(1, round(width_mm * px_per_mm)), max(1, round(height_mm * px_per_mm))
    hu = np.ascontiguousarray(project(volume, plane, kind), dtype=np.float32)
    resized = np.asarray(Image.fromarray(hu).resize(size, Image.Resampling.BICUBIC))
    brightness = window(resized, *PROJECTION_WINDOWS[kind])
    panel = Image.fromarray(np.rint(brightness * 255).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(panel)
    for letter, place, anchor in zip(
        plane.letters,
        ((8, size[1] / 2), (size[0] - 8, size[1] / 2), (size[0] / 2, 7), (size[0] / 2, size[1] - 8)),
        ("lm", "rm", "ma", "mb"),
        strict=True,
    ):
        outlined(draw, place, letter, ACCENT, anchor)
    return panel
