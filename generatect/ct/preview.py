"""Pictures of volumes as radiologists look at them: three planes, lung and mediastinal windows, true millimetres."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageDraw

from generatect.ct.intensity import WINDOWS, window
from generatect.ct.lettering import font, outlined, shorten, wrap
from generatect.ct.output import output_path
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import atomic_path

GROUND, BRIGHT, DIM, ACCENT = "#0b0d10", "#e8eaed", "#8a9199", "#f0b429"
MARGIN, GAP, BLOCK_GAP, TITLE_HEIGHT, HEADING_HEIGHT, GUTTER = 28, 6, 34, 32, 24, 28
MAX_CAPTION_LINES = 4
SCALE_BAR_MM = 50
SHOWN_WINDOWS = ("lung", "mediastinum")
BODY_THRESHOLD_HU = -300


@dataclass(frozen=True)
class Plane:
    """A way to cut a volume.

    Attributes:
        name: heading.
        axis: canonical axis (0 z, 1 y, 2 x) across the plane.
        letters: patient directions at the left, right, top and bottom of the picture.
    """

    name: str
    axis: int
    letters: tuple[str, str, str, str]

    def cut(self, volume: CTVolume, index: int) -> Shaped[np.ndarray, "rows columns"]:
        """The slice as it is looked at: head up, or front up in the axial plane."""
        plane = np.take(volume.voxels_hu, index, axis=self.axis)
        return plane if self.axis == 0 else plane[::-1]

    def size_mm(self, volume: CTVolume) -> tuple[float, float]:
        """Width and height of the slice."""
        z, y, x = (count * mm for count, mm in zip(volume.shape_zyx, volume.spacing_mm_zyx, strict=True))
        return ((x, y), (x, z), (y, z))[self.axis]


PLANES = (
    Plane("Axial", 0, ("R", "L", "A", "P")),
    Plane("Coronal", 1, ("R", "L", "S", "I")),
    Plane("Sagittal", 2, ("A", "P", "S", "I")),
)


def montage(volume: CTVolume, path: str | Path, caption: str = "", panel_px: int = 400) -> None:
    """Write a PNG of one volume: axial, coronal and sagittal planes through the body, in two windows.

    Args:
        volume: canonical volume.
        path: `.png` file in an existing folder.
        caption: line beneath the pictures; by default the volume's size and spacing.
        panel_px: pixels of the longest side.

    Raises:
        InputError: the path cannot be written.
    """
    comparison({"": volume}, path, caption or _describe(volume), panel_px)


def comparison(volumes: dict[str, CTVolume], path: str | Path, caption: str = "", panel_px: int | None = None) -> None:
    """Write a PNG of several volumes side by side at one scale, each titled by its key.

    Volumes on the grid of the first are cut at the same place, the others each through their own body.

    Args:
        volumes: title → canonical volume; at least one.
        path: `.png` file in an existing folder.
        caption: text beneath, wrapped, such as the prompt.
        panel_px: pixels of the longest side; by default fewer the more volumes there are.

    Raises:
        InputError: no volume, or the path cannot be written.
    """
    path = output_path(path, (".png",))
    if not volumes:
        raise InputError(f"{path}: no volume to show; expected at least one")
    panel_px = panel_px or max(200, 420 - 60 * len(volumes))
    is_thick = any(volume.shape_zyx[0] > 1 for volume in volumes.values())
    planes = PLANES if is_thick else PLANES[:1]  # a single slice has no other plane
    sizes_mm = [plane.size_mm(volume) for volume in volumes.values() for plane in planes]
    px_per_mm = panel_px / max(max(size) for size in sizes_mm)
    row_height = round(max(height for _, height in sizes_mm) * px_per_mm)
    top = HEADING_HEIGHT + (TITLE_HEIGHT if any(volumes) else 0)
    first = next(iter(volumes.values()))
    blocks = []
    for title, volume in volumes.items():
        same_grid = volume.shape_zyx == first.shape_zyx and np.allclose(volume.affine, first.affine)
        centre = body_centre(first if same_grid else volume)
        blocks.append(_block(volume, title, planes, centre, px_per_mm, row_height, top))
    picture = _frame(blocks, row_height, top, caption)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def body_centre(volume: CTVolume) -> tuple[int, int, int]:
    """Index (z, y, x) of the middle of the body: half of its tissue lies to either side along each axis.

    Where nothing is denser than fat, the middle of the volume.
    """
    tissue = volume.voxels_hu > BODY_THRESHOLD_HU
    if not tissue.any():
        tissue = np.ones_like(tissue)
    cumulated = [np.cumsum(tissue.sum(axis=others, dtype=np.int64)) for others in ((1, 2), (0, 2), (0, 1))]
    z, y, x = (int(np.searchsorted(counts, counts[-1] / 2)) for counts in cumulated)
    return z, y, x


def _block(
    volume: CTVolume,
    title: str,
    planes: tuple[Plane, ...],
    centre: tuple[int, int, int],
    px_per_mm: float,
    row_height: int,
    top: int,
) -> Image.Image:
    """One volume: its title, a heading for each plane, and a row of planes for each window."""
    sizes = [
        (max(1, round(width * px_per_mm)), max(1, round(height * px_per_mm)))
        for width, height in (plane.size_mm(volume) for plane in planes)
    ]
    block_width = sum(width for width, _ in sizes) + GAP * (len(planes) - 1)
    block = Image.new("RGB", (block_width, top + len(SHOWN_WINDOWS) * (row_height + GAP) - GAP), GROUND)
    draw = ImageDraw.Draw(block)
    draw.text((0, 0), shorten(title, 20, block_width), font=font(20), fill=BRIGHT)
    left = 0
    for plane, size in zip(planes, sizes, strict=True):
        draw.text((left + size[0] / 2, top - 9), plane.name, font=font(15), fill=DIM, anchor="ms")
        for row, name in enumerate(SHOWN_WINDOWS):
            panel = _panel(plane.cut(volume, centre[plane.axis]), size, name)
            _draw_directions(panel, plane)
            if plane is PLANES[0] and name == SHOWN_WINDOWS[-1]:
                _draw_scale(panel, px_per_mm)
            block.paste(panel, (left, top + row * (row_height + GAP) + (row_height - size[1]) // 2))
        left += size[0] + GAP
    return block


def _panel(hu: Shaped[np.ndarray, "rows columns"], size: tuple[int, int], window_name: str) -> Image.Image:
    """A slice in a display window at its true proportions."""
    # Interpolating HU, not brightness, keeps edges where they are in every window.
    resized = Image.fromarray(np.ascontiguousarray(hu, dtype=np.float32)).resize(size, Image.Resampling.BICUBIC)
    brightness = window(np.asarray(resized), *WINDOWS[window_name])
    return Image.fromarray(np.rint(brightness * 255).astype(np.uint8)).convert("RGB")


def _draw_directions(panel: Image.Image, plane: Plane) -> None:
    """Where the patient's sides are, as letters on the four edges."""
    draw = ImageDraw.Draw(panel)
    (width, height), (left, right, top, bottom) = panel.size, plane.letters
    outlined(draw, (8, height / 2), left, ACCENT, "lm")
    outlined(draw, (width - 8, height / 2), right, ACCENT, "rm")
    outlined(draw, (width / 2, 7), top, ACCENT, "ma")
    outlined(draw, (width / 2, height - 8), bottom, ACCENT, "mb")


def _draw_scale(panel: Image.Image, px_per_mm: float) -> None:
    """A bar of known length in the lower left corner."""
    draw = ImageDraw.Draw(panel)
    left, bottom, length = 10, panel.height - 11, round(SCALE_BAR_MM * px_per_mm)
    draw.rectangle([left - 1, bottom - 1, left + length + 1, bottom + 2], fill=GROUND)
    draw.rectangle([left, bottom, left + length, bottom + 1], fill=BRIGHT)
    outlined(draw, (left, bottom - 5), f"{SCALE_BAR_MM} mm", BRIGHT, "ls", size=12)


def _frame(blocks: list[Image.Image], row_height: int, top: int, caption: str) -> Image.Image:
    """Blocks side by side on the ground, windows named at the left, the caption beneath."""
    width = GUTTER + sum(block.width for block in blocks) + BLOCK_GAP * (len(blocks) - 1)
    height = blocks[0].height
    lines = wrap(caption, 15, width - GUTTER, MAX_CAPTION_LINES)
    caption_height = 14 + 21 * len(lines) if lines else 0
    picture = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN + caption_height), GROUND)
    for row, name in enumerate(SHOWN_WINDOWS):
        picture.paste(_window_label(name, row_height), (MARGIN, MARGIN + top + row * (row_height + GAP)))
    left = MARGIN + GUTTER
    for block in blocks:
        picture.paste(block, (left, MARGIN))
        left += block.width + BLOCK_GAP
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(lines):
        draw.text((MARGIN + GUTTER, MARGIN + height + 14 + 21 * row), line, font=font(15), fill=DIM)
    return picture


def _window_label(name: str, row_height: int) -> Image.Image:
    """Name, width and level of a window, reading upwards along its row."""
    label = Image.new("RGB", (row_height, GUTTER), GROUND)
    draw = ImageDraw.Draw(label)
    title, (width, level) = name.capitalize(), WINDOWS[name]
    numbers = f"   W {width:.0f}   L {level:.0f}"
    start = (row_height - font(15).getlength(title) - font(12).getlength(numbers)) / 2
    draw.text((start, GUTTER - 12), title, font=font(15), fill=BRIGHT, anchor="ls")
    draw.text((start + font(15).getlength(title), GUTTER - 12), numbers, font=font(12), fill=DIM, anchor="ls")
    return label.transpose(Image.Transpose.ROTATE_90)


def _describe(volume: CTVolume) -> str:
    """Size and spacing of a volume."""
    z, y, x = volume.shape_zyx
    mm_z, mm_y, mm_x = volume.spacing_mm_zyx
    return f"{z} slices of {y} × {x}  ·  {mm_z:.3g} × {mm_y:.3g} × {mm_x:.3g} mm (z y x)"
