"""Gradients of the training losses: fused kernels and shortcuts against networks with everything written out."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generatect.diffusion.process import SuperResProcess
from generatect.networks import attention, attention_kernels
from generatect.networks.ctvit import CTViT
from generatect.networks.discriminator import Discriminator
from generatect.networks.maskgit import MaskGIT
from generatect.networks.position_bias import ContinuousPositionBias, RelativeBias
from generatect.networks.token_critic import TokenCritic
from generatect.networks.transformer import PositionConvolution
from generatect.networks.unet import SuperResUNet
from generatect.objectives.adversarial import discriminator_loss
from generatect.objectives.diffusion import superres_loss
from generatect.objectives.masking import masked_token_loss, token_critic_loss

TOKENS = {"num_tokens": 12, "max_tokens": 30, "dim": 16, "depth": 2, "heads": 2, "dim_head": 8, "text_width": 6}


def written_out(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    logits = torch.einsum("bhid,bhjd->bhij", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        logits = logits.masked_fill(~attn_mask, torch.finfo(logits.dtype).min)
    elif attn_mask is not None:
        logits = logits + attn_mask
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    return torch.einsum("bhij,bhjd->bhid", weights / weights.sum(-1, keepdim=True), v)


def layer_norm(x: Tensor, shape: tuple, weight=None, bias=None, eps: float = 1e-5) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return normed * (1 if weight is None else weight) + (0 if bias is None else bias)


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    normed = layer_norm(x.unflatten(1, (groups, -1)).flatten(2), (), None, None, eps).view(x.shape)
    return normed * weight[:, None, None] + bias[:, None, None]


def cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    assert label_smoothing == 0
    return (logits.exp().sum(-1).log() - logits.gather(-1, target[:, None])[:, 0]).mean()


class BiasOfEveryPair(RelativeBias):
    """A bias that holds the matrix itself in place of blocks."""

    @property
    def dense(self) -> Tensor:
        return self.blocks[..., 0]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: RelativeBias | None, *, scale: float) -> Tensor:
    return written_out(q, k, v, None if bias is None else bias.dense, scale)


def bias_of_every_pair(self: ContinuousPositionBias, grid: tuple[int, ...], max_dense_bytes: int = 0) -> RelativeBias:
    dtype = self.net[0].weight.dtype
    positions = torch.cartesian_prod(*map(torch.arange, grid)).view(-1, len(grid)).to(dtype)
    offsets = positions[:, None] - positions[None, :]
    return BiasOfEveryPair(self.net(offsets.sign() * (offsets.abs() + 1).log()).permute(2, 0, 1)[..., None])


def sum_of_shifts(self: PositionConvolution, grid: Tensor) -> Tensor:
    t, h, w = grid.shape[1:4]
    padded = F.pad(grid, (0, 0, 1, 1, 1, 1, *((2, 0) if self.causal else (1, 1))))
    shifts = itertools.product(range(3), repeat=3)
    terms = [self.conv.weight[:, 0, i, j, k] * padded[:, i : i + t, j : j + h, k : k + w] for i, j, k in shifts]
    return sum(terms) + self.conv.bias


WRITTEN_OUT = {
    (F, "scaled_dot_product_attention"): written_out,
    (attention, "attend"): attend,
    (F, "layer_norm"): layer_norm,
    (F, "group_norm"): group_norm,
    (F, "cross_entropy"): cross_entropy,
    (F, "gelu"): lambda x, approximate="none": x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    (F, "silu"): lambda x, inplace=False: x / (1 + (-x).exp()),
    (F, "normalize"): lambda x, dim: x / x.square().sum(dim, keepdim=True).clamp(min=1e-24).sqrt(),
    (ContinuousPositionBias, "forward"): bias_of_every_pair,
    (PositionConvolution, "_convolve"): sum_of_shifts,
}


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def moved(network: nn.Module) -> nn.Module:
    """In float64, no weight at its initial value."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.double()


def text(num: int) -> tuple[Tensor, Tensor]:
    mask = torch.arange(5) < torch.tensor([5, 3, 1])[:num, None]
    return torch.randn(num, 5, 6, generator=seeded(), dtype=torch.float64) * mask[..., None], mask


def ctvit(compat: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    sizes = {"codebook_size": 8, "image_size": 12, "patch_size": 4, "slice_patch_size": 2, "dim": 16}
    network = moved(CTViT(**sizes, spatial_depth=1, temporal_depth=2, dim_head=8, heads=2, compat=compat))
    network.quantizer.eval()  # so that the codebook stays
    volume = torch.rand(2, 1, 5, 12, 12, generator=seeded(), dtype=torch.float64) * 2 - 1

    def loss() -> Tensor:
        out = network(volume)
        return (out.reconstruction - volume).square().mean() + out.commitment_loss

    return network, loss


def maskgit(compat: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    network = moved(MaskGIT(**TOKENS, compat=compat))
    ids = torch.randint(12, (3, 3, 2, 4), generator=seeded())
    settings = {"mask_id": 12, "text_drop_prob": 0.3}
    return network, lambda: masked_token_loss(network, ids, *text(3), generator=seeded(), **settings).loss


def critic(compat: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    network = moved(TokenCritic(**TOKENS, compat=compat))
    ids = torch.randint(12, (3, 3, 2, 4), generator=seeded())
    logits = torch.randn(3, 3, 2, 4, 12, generator=seeded())
    return network, lambda: token_critic_loss(network, logits, ids, *text(3), generator=seeded()).loss


def discriminator(compat: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    network = moved(Discriminator(image_size=16, dim=2, dim_head=8, compat=compat))
    real, fake = torch.randn(2, 3, 1, 16, 16, generator=seeded(), dtype=torch.float64)
    return network, lambda: discriminator_loss(network, real, fake).loss


def superres(process: SuperResProcess) -> tuple[nn.Module, Callable[[], Tensor]]:
    sizes = {"dim": 8, "dim_mults": [1, 2], "num_blocks": 1, "max_text_tokens": 4, "num_text_latents": 2}
    attention = {"heads": 2, "dim_head": 4, "cross_attention": [True, True]}
    network = moved(SuperResUNet(**sizes, **attention, text_width=6))
    highres = torch.rand(3, 1, 16, 16, generator=seeded(), dtype=torch.float64) * 2 - 1
    times, lowres_times = torch.rand(2, 3, generator=seeded(), dtype=torch.float64)
    given = {"times": times, "lowres_times": lowres_times, "text_drop_prob": 0.3}
    features, mask = text(3)
    return network, lambda: superres_loss(
        network, process, highres, highres[..., ::4, ::4], features, mask, generator=seeded(), **given
    )


LOSSES = {
    **{f"{make.__name__} {form}": (make, form) for make in (ctvit, maskgit, critic) for form in ("mended", "released")},
    **{f"discriminator {form}": (discriminator, form) for form in ("mended", "released")},
    "superres residual": (superres, SuperResProcess()),
    "superres released": (superres, SuperResProcess.released()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_equal_those_of_an_unfused_reference(name, monkeypatch):
    make, form = LOSSES[name]
    monkeypatch.setattr(attention_kernels, "MAX_LEARNING_DENSE_BYTES", 0)  # as for a grid of published size
    network, loss = make(form)
    names = [key for key, _ in network.named_parameters()]
    fused = torch.autograd.grad(loss(), list(network.parameters()))
    for (owner, attribute), reference in WRITTEN_OUT.items():
        monkeypatch.setattr(owner, attribute, reference)
    unfused = torch.autograd.grad(loss(), list(network.parameters()))
    largest = max(gradient.abs().max() for gradient in unfused)
    for key, actual, expected in zip(names, fused, unfused, strict=True):
        # 1e-9 of the largest gradient is where rounding hides a gradient that is zero by symmetry.
        scale = expected.abs().max().clamp(min=1e-4 * largest)
        assert (actual - expected).abs().max() <= 1e-5 * scale, key
