"""A volume as one HTML file: it holds the slices, asks for nothing, and is scrolled like the page of the server."""

import base64
import hashlib
import html
import json
import zlib
from pathlib import Path

import numpy as np

from generatect.ct.grid import Grid
from generatect.ct.intensity import WINDOWS
from generatect.ct.output import output_path
from generatect.ct.preview import body_centre
from generatect.ct.resample import resample_to_grid
from generatect.ct.volume import CTVolume
from generatect.files import atomic_path
from generatect.web.bundle import SCRIPTS, bundle

MAX_SIDE = 224
"""Voxels along an axis; a finer volume is averaged, so that the file stays below about 10 MB."""

STEP_HU = 2
"""HU are kept to so many: finer is noise, and costs half as much again."""

RANGE_HU = (-1024, 3071)
STYLES = ("theme.css", "layout.css", "controls.css", "viewer.css")


def write_page(volume: CTVolume, path: str | Path, title: str, text: str = "", notice: str = "") -> None:
    """Write the page, whole or not at all.

    Args:
        volume: canonical volume.
        path: `.html` file in an existing folder.
        title: what it is called.
        text: its report.
        notice: such as SYNTHETIC; shown at all times.

    Raises:
        InputError: the path cannot be written.
    """
    path = output_path(path, (".html",))
    with atomic_path(path) as temporary:
        temporary.write_text(as_html(volume, title, text, notice), encoding="utf-8")


def as_html(volume: CTVolume, title: str, text: str = "", notice: str = "") -> str:
    """The page; see `write_page`."""
    small = _at_most(volume, MAX_SIDE)
    style = "".join((SCRIPTS.parent / "css" / name).read_text(encoding="utf-8") for name in STYLES)
    first = (SCRIPTS / "theme-first.js").read_text(encoding="utf-8")
    script = bundle(SCRIPTS / "standalone.js")
    meta = {
        "title": title,
        "text": text,
        "notice": notice,
        "step_hu": STEP_HU,
        "low_hu": RANGE_HU[0],
        "is_averaged": small.shape_zyx != volume.shape_zyx,
        "original": {"shape_zyx": volume.shape_zyx, "spacing_mm_zyx": volume.spacing_mm_zyx},
        "shape_zyx": small.shape_zyx,
        "spacing_mm_zyx": small.spacing_mm_zyx,
        "affine": small.affine.tolist(),
        "centre_zyx": body_centre(small),
        "windows": {name: {"width": width, "level": level} for name, (width, level) in WINDOWS.items()},
    }
    policy = (
        f"default-src 'none'; script-src {_hash(first)} {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    described = json.dumps(meta, ensure_ascii=False).replace("<", "\\u003c")  # text in it cannot end the element
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n<script>{first}</script>\n</head>\n<body>\n"
        '<div class="columns"><main id="main"></main></div>\n'
        f'<script type="application/json" id="meta">{described}</script>\n'
        f'<script type="text/plain" id="voxels">{_packed(small)}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def _at_most(volume: CTVolume, side: int) -> CTVolume:
    """The volume, averaged where an axis has more voxels."""
    shape = tuple(min(count, side) for count in volume.shape_zyx)
    if shape == volume.shape_zyx:
        return volume
    z, y, x = (mm * old / new for mm, old, new in zip(volume.spacing_mm_zyx, volume.shape_zyx, shape, strict=True))
    return resample_to_grid(volume, Grid((shape[0], shape[1], shape[2]), (z, y, x)))


def _packed(volume: CTVolume) -> str:
    """Steps of `STEP_HU` above the lowest HU, as differences along each row, deflated, in base64."""
    low, high = RANGE_HU
    steps = np.rint((volume.voxels_hu.clip(low, high) - low) / STEP_HU).astype(np.int16)
    steps[..., 1:] = np.diff(steps, axis=2)
    # All low bytes, then all high ones: these are nearly all equal, and shrink to nothing.
    planes = np.ascontiguousarray(steps.astype("<i2")).view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def _hash(content: str) -> str:
    """What a content policy calls a script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode('ascii')}'"
