"""Small TorchScript detectors of the interface that NVIDIA's Inception and the I3D of FVD have."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

NUM_FRAMES = 16


class Images(nn.Module):
    """Called as `module(uint8 [b, 3, h, w], return_features=True)`; its features are means, so that inputs show."""

    def forward(
        self, img: Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        assert img.dtype == torch.uint8
        assert img.dim() == 4
        x = img.float()
        halves = torch.cat([x[:, :, : x.shape[2] // 2].mean([2, 3]), x[:, :, x.shape[2] // 2 :].mean([2, 3])], 1)
        spread = x.flatten(2).std(2)
        features = torch.cat([halves, spread], 1)
        return features if return_features else features[:, :1]


class Clips(nn.Module):
    """Called as `module(uint8 range [b, 3, t, h, w], rescale=True, resize=True, return_features=True)`."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert x.dim() == 5
        x = x.float()
        if rescale:
            x = x / 127.5 - 1
        if resize:
            x = torch.nn.functional.interpolate(x, size=[x.shape[2], 8, 8], mode="trilinear", align_corners=False)
        features = x.mean([3, 4]).flatten(1)  # of each channel and slice
        return features if return_features else features[:, :1]


def save(module: nn.Module, path: Path) -> Path:
    """Writes a module as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(path))
    return path
