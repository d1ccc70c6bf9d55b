"""A volume at a glance: three planes at lung window, small enough to put hundreds on a page."""

import base64
import io

import numpy as np
from PIL import Image

from generatect.ct.intensity import WINDOWS, window
from generatect.ct.preview import PLANES, Plane, body_centre
from generatect.ct.volume import CTVolume

HEIGHT_PX = 132
MAX_WIDTH_PX = 176
GAP_PX = 2
QUALITY = 72


def thumbnail(volume: CTVolume) -> str:
    """Axial, coronal and sagittal plane through the body, side by side, equally high: a JPEG in base64."""
    centre = body_centre(volume)
    panels = [_panel(volume, plane, centre[plane.axis]) for plane in PLANES]
    strip = Image.new("L", (sum(panel.width + GAP_PX for panel in panels) - GAP_PX, HEIGHT_PX))
    left = 0
    for panel in panels:
        strip.paste(panel, (left, (HEIGHT_PX - panel.height) // 2))
        left += panel.width + GAP_PX
    content = io.BytesIO()
    strip.save(content, format="JPEG", quality=QUALITY)
    return base64.b64encode(content.getvalue()).decode("ascii")


def _panel(volume: CTVolume, plane: Plane, index: int) -> Image.Image:
    """One plane at its true proportions."""
    width_mm, height_mm = plane.size_mm(volume)
    px_per_mm = min(HEIGHT_PX / height_mm, MAX_WIDTH_PX / width_mm)
    size = max(1, round(width_mm * px_per_mm)), max(1, round(height_mm * px_per_mm))
    hu = Image.fromarray(np.ascontiguousarray(plane.cut(volume, index), dtype=np.float32))
    brightness = window(np.asarray(hu.resize(size, Image.Resampling.BILINEAR)), *WINDOWS["lung"])
    return Image.fromarray(np.rint(brightness * 255).astype(np.uint8))
