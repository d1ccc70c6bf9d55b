"""VGG16 up to its second 4096-wide layer, for the perceptual loss.

Simonyan & Zisserman 2015, configuration D, under torchvision's parameter names; torchvision itself is not needed.
Weights come from a local file: torchvision's `vgg16` state dict, or the released CT-ViT checkpoint, which holds them as
`vgg.*`.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from generatect.errors import InputError

# Convolution widths stage by stage; a 2×2 max pool ends each.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16Features(nn.Module):
    """Frozen 4096-wide features after the second ReLU of the classifier; always in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width_in = 3
        for widths in STAGES:
            for width in widths:
                layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU()]
                width_in = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()
        )
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "VGG16Features":
        """Stays in eval mode: with its dropout awake, equal images would differ."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 4096"]:
        """Features of images of at least 32 × 32 pixels."""
        return self.classifier(self.avgpool(self.features(images)).flatten(1))


def load_vgg16(path: str | Path) -> VGG16Features:
    """VGG16 features with the weights of a `.safetensors` or PyTorch state-dict file.

    Args:
        path: file whose keys are torchvision's, possibly behind `vgg.`; other entries are ignored.

    Raises:
        InputError: no such file, not readable as tensors alone, or a weight missing or of another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"VGG16 weights {path}: no such file; give torchvision's vgg16 state dict or the released CT-ViT checkpoint"
        )
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch and safetensors raise half a dozen types for a damaged file
        raise InputError(
            f"VGG16 weights {path}: cannot be read as a file of tensors ({type(error).__name__}); download it again"
        ) from error

    with torch.device("meta"):  # 134 million parameters need no random values first
        network = VGG16Features()
    prefix = "vgg." if "vgg.features.0.weight" in state else ""
    chosen = {}
    for key, parameter in network.named_parameters():
        value = state.get(prefix + key)
        if not isinstance(value, Tensor) or value.shape != parameter.shape:
            found = "nothing" if value is None else tuple(getattr(value, "shape", ()))
            raise InputError(
                f"VGG16 weights {path}: {prefix}{key} is {found}, expected {tuple(parameter.shape)}; "
                "give torchvision's vgg16 state dict"
            )
        chosen[key] = value.float()
    network.load_state_dict(chosen, assign=True)
    return network.requires_grad_(False)
