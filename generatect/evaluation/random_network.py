"""Feature detectors that need no download: seeded, untrained convolutions.

They stand in for Inception and I3D on phantoms and in smoke tests. Their distances see texture, edges and brightness;
they are comparable with each other alone, never with a published FID or FVD, and every result names them.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from generatect.errors import InputError

CHANNELS = (12, 24, 48)


class RandomNetwork(nn.Module):
    """Three strided convolutions with leaky ReLU; features are each layer's mean and spread over its positions.

    Args:
        kind: "images" for 2-D slices, "clips" for 3-D.
        seed: of the weights; the same seed gives the same network on every machine.

    Attributes:
        width: length of a feature vector: 168.
    """

    def __init__(self, kind: str, seed: int = 0) -> None:
        super().__init__()
        if kind not in ("images", "clips"):
            raise InputError(f"kind={kind!r}: expected 'images' or 'clips'")
        self.kind, self.seed, self.width = kind, seed, 2 * sum(CHANNELS)
        axes = 2 if kind == "images" else 3
        layer = nn.Conv2d if kind == "images" else nn.Conv3d
        generator = torch.Generator().manual_seed(seed)
        layers, before = [], 1
        for channels in CHANNELS:
            convolution = layer(before, channels, kernel_size=3, stride=2, padding=1)
            fan_in = before * 3**axes
            with torch.no_grad():
                convolution.weight.copy_(
                    torch.randn(convolution.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
                )
                assert convolution.bias is not None
                convolution.bias.copy_(torch.randn(channels, generator=generator) * 0.1)
            layers.append(convolution)
            before = channels
        self.layers = nn.ModuleList(layers)

    def forward(self, batch: UInt8[Tensor, "b 3 *shape"]) -> Float[Tensor, "b d"]:
        """Features of slices "b 3 y x" or clips "b 3 t y x"; of the three equal channels one is read."""
        x, features = batch[:, :1].float() / 127.5 - 1, []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.2)
            positions = x.flatten(2)
            features += [positions.mean(2), positions.std(2, correction=0)]
        return torch.cat(features, 1)
