"""A walk through a volume as an MP4, where the optional package imageio-ffmpeg is installed."""

import importlib.util
from pathlib import Path

import numpy as np

from generatect.ct.animation import SECONDS, walk
from generatect.ct.output import output_path
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import atomic_path

ADVICE = "no MP4: it needs imageio-ffmpeg (pip install imageio-ffmpeg)"


def can_film() -> bool:
    """Whether MP4 can be written here."""
    return importlib.util.find_spec("imageio_ffmpeg") is not None


def write_mp4(
    volume: CTVolume, path: str | Path, window_name: str = "lung", size_px: int = 512, label: str = ""
) -> None:
    """Write an MP4 (H.264) that walks through the axial slices, upwards and back; see `walk` for the arguments.

    Raises:
        InputError: imageio-ffmpeg is not installed, or the path cannot be written.
    """
    if not can_film():
        raise InputError(ADVICE)
    import imageio_ffmpeg

    path = output_path(path, (".mp4",))
    pictures = list(walk(volume, window_name, size_px, label))
    there_and_back = pictures + pictures[-2:0:-1]
    per_second = float(np.clip(len(pictures) / SECONDS, 2, 25))
    rows, columns = pictures[0].shape
    with atomic_path(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            temporary,
            (columns, rows),
            pix_fmt_in="gray",
            fps=per_second,
            macro_block_size=2,
            quality=None,
            output_params=["-f", "mp4", "-crf", "20", "-movflags", "+faststart"],
        )
        writer.send(None)
        for picture in there_and_back:
            writer.send(np.ascontiguousarray(picture))
        writer.close()
