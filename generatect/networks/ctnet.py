"""CT-Net: which abnormalities a chest CT shows (Draelos et al., Medical Image Analysis 2021, arXiv:2002.04752)."""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from generatect.errors import InputError
from generatect.networks.batch_norm import BatchNorm

SLICES_OF_AN_IMAGE = 3
REGIONS_ZYX = (3, 3, 3)
"""Thirds of the volume along each axis, of which the mean features are read."""


class ResNetLevel(nn.Sequential):
    """Residual blocks of one resolution."""


class CTNet(nn.Module):
    """Slices in threes as the colours of images, through a 2-D ResNet; its features through 3-D convolutions; logits.

    With the defaults the ResNet is ResNet-18. Where this is not the published network:

    * Its 3-D convolutions see the slices as channels and end in a layer of fixed size. Here they go along z, y and x,
      and the mean of each feature in each of 27 regions is read, so that any number of slices of any size fits.
    * Processes that train together share the statistics of their batches.
    * It starts from random weights, not from those of ImageNet.

    Args:
        labels: names of the abnormalities, one logit each.
        layers: residual blocks of each of the four levels of the ResNet.
        widths: features of each level.
        reduced: features of the 3-D convolutions.
        first_stride: of the first convolution. 1, for small images, goes with a kernel of 3 and without pooling; else
            it is ResNet's, a kernel of 7 with pooling.
        brightest: model values above this are cut to it. The paper's range ends at 200 HU, which is 0.2; calcium and
            metal, which some labels are about, differ from contrast and from bone only above.
        dropout_prob: before the logits.

    Raises:
        InputError: no labels, one twice, or sizes that do not fit.
    """

    def __init__(
        self,
        *,
        labels: Sequence[str],
        layers: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (64, 128, 256, 512),
        reduced: int = 64,
        first_stride: int = 2,
        brightest: float = 1.0,
        dropout_prob: float = 0.1,
    ) -> None:
        super().__init__()
        if not labels or len(set(labels)) < len(labels):
            raise InputError(f"ctnet.labels={list(labels)}: expected one name or more, each once")
        if not -1 < brightest <= 1:
            raise InputError(f"ctnet.brightest={brightest}: expected above -1 and at most 1, of the model's [-1, 1]")
        self.labels, self.brightest, self.dropout_prob = tuple(labels), brightest, dropout_prob
        self.stem, self.levels = _resnet(layers, widths, first_stride)
        self.reduce = nn.Sequential(
            nn.Conv3d(widths[-1], reduced, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(reduced, reduced, 3, padding=1),
            nn.ReLU(),
        )
        self.to_logits = nn.Linear(reduced * math.prod(REGIONS_ZYX), len(self.labels))

    def forward(self, volume: Float[Tensor, "b 1 z y x"]) -> Float[Tensor, "b k"]:
        """Logits of volumes in [-1, 1]; a last image of fewer than three slices is filled with copies of the last."""
        middle = (self.brightest - 1) / 2
        seen = (volume.clamp(-1, self.brightest) - middle) / (middle + 1)  # in [-1, 1] again
        missing = -volume.shape[2] % SLICES_OF_AN_IMAGE
        seen = F.pad(seen, (0, 0, 0, 0, 0, missing), mode="replicate")
        images = rearrange(seen, "b 1 (s c) y x -> (b s) c y x", c=SLICES_OF_AN_IMAGE)
        features = rearrange(self.levels(self.stem(images)), "(b s) d y x -> b d s y x", b=len(volume))
        regions = mean_by_region(self.reduce(features)).flatten(1)
        return self.to_logits(F.dropout(regions, self.dropout_prob, self.training))


def mean_by_region(features: Float[Tensor, "b d z y x"]) -> Float[Tensor, "b d i j k"]:
    """Means over thirds of each axis, overlapping where the size is no multiple of three, as adaptive pooling has them.

    As products of matrices, whose gradient is the same to the bit each time; that of pooling on a GPU is not.
    """
    for axis, num in zip((2, 3, 4), REGIONS_ZYX, strict=True):
        size = features.shape[axis]
        weights = F.adaptive_avg_pool1d(torch.eye(size, device=features.device), num).to(features.dtype)  # size, num
        features = (features.movedim(axis, -1) @ weights).movedim(-1, axis)
    return features


def _resnet(layers: Sequence[int], widths: Sequence[int], first_stride: int) -> tuple[nn.Sequential, nn.Sequential]:
    """What comes before the levels of a 2-D ResNet of basic blocks, and its levels."""
    if not len(layers) == len(widths) == 4 or min(*layers, *widths, first_stride) < 1:
        raise InputError(
            f"ctnet.layers={list(layers)}, widths={list(widths)}, first_stride={first_stride}: "
            "expected four layers and four widths, all at least 1"
        )
    from monai.networks.nets.resnet import ResNet  # seconds to import, and only this network needs it

    is_small = first_stride == 1
    net = ResNet(
        "basic",
        list(layers),
        list(widths),
        spatial_dims=2,
        n_input_channels=SLICES_OF_AN_IMAGE,
        conv1_t_size=3 if is_small else 7,
        conv1_t_stride=first_stride,
        feed_forward=False,
        bias_downsample=False,
    )
    stem = nn.Sequential(net.conv1, net.bn1, net.act, nn.Identity() if is_small else net.maxpool)
    levels = nn.Sequential(*(ResNetLevel(*level) for level in (net.layer1, net.layer2, net.layer3, net.layer4)))
    _share_statistics(stem)
    _share_statistics(levels)
    return stem, levels


def _share_statistics(network: nn.Module) -> None:
    """Puts our batch norms in the place of torch's."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, BatchNorm(child.num_features))
        else:
            _share_statistics(child)
