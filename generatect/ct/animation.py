"""A walk through a volume: its axial slices as pictures, and as a GIF."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from generatect.ct.intensity import WINDOWS, window
from generatect.ct.lettering import font, outlined, wrap
from generatect.ct.output import output_path
from generatect.ct.preview import PLANES
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import atomic_path

BAND_PX = 22
MAX_PICTURES, MAX_GIF_PICTURES = 120, 60
GIF_STEP = 4
"""Grey levels of a GIF are so far apart: noise in more of them is most of its size."""

SECONDS = 8.0
"""How long a walk takes from one end to the other."""


def walk(
    volume: CTVolume, window_name: str, size_px: int, label: str, max_pictures: int = MAX_PICTURES
) -> Iterator[UInt8[np.ndarray, "rows columns"]]:
    """Axial slices from the lowest to the highest, at true proportions, each with the label beneath.

    Both sides of a picture are even, as films want them.

    Args:
        volume: canonical volume.
        window_name: "lung", "mediastinum" or "bone".
        size_px: pixels of the longer side.
        label: short text in a band beneath, such as SYNTHETIC.
        max_pictures: of more slices, so many at even distances are shown.

    Raises:
        InputError: an unknown window.
    """
    if window_name not in WINDOWS:
        raise InputError(f"window={window_name}: expected one of {', '.join(WINDOWS)}")
    width_mm, height_mm = PLANES[0].size_mm(volume)
    scale = size_px / max(width_mm, height_mm)
    width, height = (max(2, 2 * round(mm * scale / 2)) for mm in (width_mm, height_mm))
    text = (wrap(label, 12, width - 70, 1) or [""])[0]
    depth = volume.shape_zyx[0]
    for index in np.unique(np.linspace(0, depth - 1, min(depth, max_pictures)).round().astype(int)):
        hu = Image.fromarray(np.ascontiguousarray(volume.voxels_hu[index], dtype=np.float32))
        brightness = window(np.asarray(hu.resize((width, height), Image.Resampling.BICUBIC)), *WINDOWS[window_name])
        picture = Image.new("L", (width, height + BAND_PX))
        picture.paste(Image.fromarray(np.rint(brightness * 255).astype(np.uint8)))
        draw = ImageDraw.Draw(picture)
        outlined(draw, (8, height / 2), "R", "white", "lm")
        outlined(draw, (width - 8, height / 2), "L", "white", "rm")
        draw.text((6, height + BAND_PX - 6), text, font=font(12), fill=170, anchor="ls")
        draw.text((width - 6, height + BAND_PX - 6), f"{index + 1} / {depth}", font=font(12), fill=220, anchor="rs")
        yield np.asarray(picture)


def write_gif(
    volume: CTVolume, path: str | Path, window_name: str = "lung", size_px: int = 288, label: str = ""
) -> None:
    """Write a GIF that walks through the axial slices, upwards, again and again.

    Args:
        volume: canonical volume.
        path: `.gif` file in an existing folder.
        window_name: see `walk`.
        size_px: see `walk`.
        label: see `walk`.

    Raises:
        InputError: an unknown window, or the path cannot be written.
    """
    path = output_path(path, (".gif",))
    slices = walk(volume, window_name, size_px, label, MAX_GIF_PICTURES)
    pictures = [Image.fromarray(picture // GIF_STEP * GIF_STEP) for picture in slices]
    milliseconds = int(np.clip(1000 * SECONDS / len(pictures), 40, 400))
    with atomic_path(path) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0
        )
