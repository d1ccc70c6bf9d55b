"""How far a volume is, as a small picture: three planes through the body, in the lung window."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generatect.ct.intensity import WINDOWS, window
from generatect.ct.preview import PLANES
from generatect.ct.volume import CTVolume
from generatect.networks.ctvit import CTViT

HEIGHT_PX = 200
GAP_PX = 4


def show_air(ids: Tensor, mask_id: int, air_ids: Tensor) -> Tensor:
    """Token ids "b t h w" with air in place of what is still hidden."""
    return torch.where(ids == mask_id, air_ids.to(ids.device), ids)


def ids_of_air(tokenizer: CTViT, shape_zyx: tuple[int, int, int]) -> Tensor:
    """Token ids "1 t h w" of an empty volume, made where the network lies."""
    device = next(tokenizer.parameters()).device
    with torch.inference_mode():
        return tokenizer.tokenize(torch.full((1, 1, *shape_zyx), -1.0, device=device))


def planes_png(volume: CTVolume, z_index: int | None = None) -> bytes:
    """Axial, coronal and sagittal plane through the middle, side by side, equally high.

    Args:
        volume: canonical volume.
        z_index: axial slice to show; None: the middle one.
    """
    centre = [count // 2 for count in volume.shape_zyx]
    if z_index is not None:
        centre[0] = z_index
    panels = []
    for plane in PLANES:
        width_mm, height_mm = plane.size_mm(volume)
        size = max(1, min(2 * HEIGHT_PX, round(HEIGHT_PX * width_mm / height_mm))), HEIGHT_PX
        hu = Image.fromarray(np.ascontiguousarray(plane.cut(volume, centre[plane.axis]), dtype=np.float32))
        brightness = window(np.asarray(hu.resize(size, Image.Resampling.BILINEAR)), *WINDOWS["lung"])
        panels.append(Image.fromarray(np.rint(brightness * 255).astype(np.uint8)))
    strip = Image.new("L", (sum(panel.width + GAP_PX for panel in panels) - GAP_PX, HEIGHT_PX))
    left = 0
    for panel in panels:
        strip.paste(panel, (left, 0))
        left += panel.width + GAP_PX
    content = io.BytesIO()
    strip.save(content, format="PNG")
    return content.getvalue()
