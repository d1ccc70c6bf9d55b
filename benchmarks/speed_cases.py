"""What `speed.py` measures: each part of the three stages at published size, the original's way and this package's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import plain
import torch
import torch.nn.functional as F
from torch import Tensor

from generatect.networks.ctvit import CTViT
from generatect.networks.discriminator import Discriminator
from generatect.networks.maskgit import MaskGIT
from generatect.networks.position_bias import ContinuousPositionBias, RelativeBias
from generatect.networks.quantizer import CosineQuantizer
from generatect.networks.unet import SuperResUNet
from generatect.networks.vgg import VGG16Features
from generatect.objectives.adversarial import adaptive_weight, discriminator_loss, hinge_generator_loss
from generatect.objectives.masking import masked_token_loss
from generatect.objectives.perceptual import perceptual_mse
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.placement import compile_once
from generatect.planning.dry_run import dry_run
from generatect.sampling.guidance import GuidedNetwork, prepare_guided

TEXT_TOKENS, GUIDANCE, MASKED = 64, 5.0, 0.64  # of the positions are masked in an average step: 2/π


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        ours: this package's way; what it returns is compared before anything is timed.
        plain: the original's way; None where it does not fit into a usual machine.
        flops: operations of `ours`, or None.
        whole: makes the result of `ours` comparable with that of `plain`, outside of the time.
        tolerance: of the results, max|Δ| / max|plain|; None where they cannot be equal (training, other samplers).
        goal: least ratio of the times, or None.
        memory_goal: least ratio of the peaks, or None.
    """

    ours: Callable[[], Tensor]
    plain: Callable[[], Tensor] | None
    flops: int | None = None
    whole: Callable[[Tensor], Tensor] = lambda result: result
    tolerance: float | None = 1e-4
    goal: float | None = None
    memory_goal: float | None = None


def text(device: torch.device) -> tuple[Tensor, Tensor]:
    """Made-up features of a report and their mask."""
    return torch.randn(1, TEXT_TOKENS, 768, device=device), torch.ones(1, TEXT_TOKENS, dtype=torch.bool, device=device)


def published_maskgit(device: torch.device) -> MaskGIT:
    """Random weights."""
    sizes = {"num_tokens": 8192, "max_tokens": 6464, "dim": 512, "depth": 6, "heads": 8, "dim_head": 64}
    return MaskGIT(**sizes, text_width=768).to(device)


def position_bias(device: torch.device, slices: int) -> Case:
    """All that attention by slices needs of the bias; the matrix of every pair is made from it for the comparison."""
    network = ContinuousPositionBias(num_axes=3, heads=8, hidden=64).to(device).requires_grad_(False)
    grid = (slices, 8, 8)
    return Case(
        lambda: network(grid).blocks,
        lambda: plain.pairwise_bias(network.net, grid),
        whole=lambda blocks: RelativeBias(blocks).dense,
        tolerance=1e-6,
        goal=50,
    )


def token_step(device: torch.device, slices: int) -> Case:
    """One guided step: logits of the masked positions (of all in the plain way), everything shared that can be."""
    network, (features, mask) = published_maskgit(device).eval().requires_grad_(False), text(device)
    grid = (slices, 8, 8)
    ids = torch.randint(8193, (1, *grid), device=device)
    wanted = torch.arange(int(MASKED * slices * 64), device=device)
    predict = prepare_guided(network, grid, features, mask, GUIDANCE)

    def ours(predict: GuidedNetwork = predict) -> Tensor:
        hidden = predict.features(ids).flatten(1, 3)
        return torch.cat([predict.to_scores(hidden[:, part]) for part in wanted.split(1024)], dim=1)

    def plainly() -> Tensor:
        return plain.guided_token_step(network, ids, features, mask, GUIDANCE).flatten(1, 3)[:, wanted]

    # prepared anew: what a dry run remembers holds no numbers
    flops = dry_run(lambda text: ours(prepare_guided(network, grid, text, mask, GUIDANCE)), features.shape).flops
    goals = {26: 1.8, 51: 2.3}
    return Case(ours, plainly if slices <= 51 else None, flops, goal=goals.get(slices))


def token_training(device: torch.device, slices: int) -> Case:
    """One training step of MaskGIT from cached tokens and text: loss, gradients, Adam."""
    network, (features, mask) = published_maskgit(device), text(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0)
    ids = torch.randint(8192, (1, slices, 8, 8), device=device)

    def step() -> Tensor:
        generator = torch.Generator().manual_seed(0)
        optimizer.zero_grad()
        loss = masked_token_loss(network, ids, features, mask, mask_id=8192, generator=generator).loss
        loss.backward()
        optimizer.step()
        return network.position_bias.net[0].weight.grad.clone()

    def plainly() -> Tensor:
        with plain.plain():
            return step()

    flops = 3 * dry_run(lambda _: network(ids, features, mask), (1,)).flops
    return Case(step, plainly, flops, tolerance=1e-3, goal=2.0, memory_goal=3.0)


def published_ctvit(device: torch.device) -> CTViT:
    """Random weights."""
    sizes = {"dim": 512, "codebook_size": 8192, "image_size": 128, "patch_size": 16, "slice_patch_size": 2}
    return CTViT(**sizes, spatial_depth=4, temporal_depth=4).to(device)


def reconstruction(device: torch.device, slices: int) -> Case:
    """CT-ViT: a volume to tokens and back."""
    network = published_ctvit(device).eval().requires_grad_(False)
    volume = torch.rand(1, 1, slices, 128, 128, device=device) * 2 - 1

    def ours() -> Tensor:
        return network(volume).reconstruction

    def plainly() -> Tensor:
        with plain.plain():
            return network(volume).reconstruction

    return Case(ours, plainly, dry_run(lambda _: ours(), (1,)).flops, goal=1.3)


def quantiser(device: torch.device, _slices: int) -> Case:
    """One training step of the codebook: 6,464 tokens, 8,192 codes."""
    network = CosineQuantizer(num_codes=8192, width=512).to(device).train()
    tokens = torch.randn(1, 6464, 512, device=device)
    start = network.codebook.clone()

    def with_codebook(quantise: Callable[[], Any]) -> Tensor:
        network.codebook.copy_(start)
        quantise()
        return network.codebook.clone()

    return Case(
        lambda: with_codebook(lambda: network(tokens)),
        lambda: with_codebook(lambda: plain.quantize_one_hot(network, tokens)),
        2 * 6464 * 8192 * 512,
        memory_goal=8.0,
    )


def ctvit_cycle(device: torch.device, slices: int) -> Case:
    """Three generator steps and one of the discriminator, with perceptual and adversarial loss.

    The plain way computes gradients of the perceptual network too, and a reconstruction of its own for the
    discriminator.
    """
    network = published_ctvit(device).train()
    discriminator, vgg = Discriminator(image_size=128).to(device), VGG16Features().to(device)
    volume = torch.rand(1, 1, slices, 128, 128, device=device) * 2 - 1

    def generator_step() -> Tensor:
        out = network(volume)
        real, fake = volume[:, :, slices // 2], out.reconstruction[:, :, slices // 2]
        perceptual, gan = perceptual_mse(vgg, real, fake), hinge_generator_loss(discriminator(fake))
        weight = adaptive_weight(perceptual, gan, network.last_decoder_weight)
        loss = F.mse_loss(out.reconstruction, volume) + perceptual + out.commitment_loss + weight * gan
        loss.backward()
        return fake.detach()

    def cycle(recompute: bool) -> Tensor:
        network.quantizer.eval()  # the same codes in every round
        for module in (network, discriminator, vgg):
            module.zero_grad()
        for _ in range(3):
            fake = generator_step()
        if recompute:
            fake = network(volume).reconstruction[:, :, slices // 2].detach()
        discriminator_loss(discriminator, volume[:, :, slices // 2], fake).loss.backward()
        return fake

    def plainly() -> Tensor:
        vgg.requires_grad_(True)
        with plain.plain():
            result = cycle(recompute=True)
        vgg.requires_grad_(False)
        return result

    return Case(lambda: cycle(recompute=False), plainly, goal=1.25)


def published_unet(device: torch.device) -> SuperResUNet:
    """Random weights, the last map included."""
    torch.manual_seed(0)
    sizes = {"dim": 64, "dim_mults": [1, 2, 4], "num_blocks": 2, "text_width": 768, "max_text_tokens": 256}
    attention = {"num_text_latents": 32, "heads": 8, "dim_head": 64, "cross_attention": [True] * 3}
    network = SuperResUNet(**sizes, **attention).to(device).eval().requires_grad_(False)
    torch.nn.init.normal_(network.last_convolution.weight, std=0.05)
    return network


def slice_step(device: torch.device, size: int, compiled: bool = False) -> Case:
    """One evaluation of the U-Net on one slice; the volume's text is encoded beforehand."""
    network = published_unet(device)
    (features, _), noisy, lowres = text(device), *torch.randn(2, 1, 1, size, size, device=device)
    log_snr = torch.zeros(1, device=device)
    condition = network.encode_text(features)
    flops = dry_run(lambda _: network(noisy, log_snr, lowres, log_snr, text_condition=condition), (1,)).flops
    twin = network
    if compiled:  # the plain way replaces parts that a compiled network has taken in: it runs on an equal one
        twin = published_unet(device)
        compile_once(network)
    return Case(
        lambda: network(noisy, log_snr, lowres, log_snr, text_condition=condition),
        lambda: plain.unet_evaluation(twin, noisy, lowres, log_snr, features),
        flops,
        goal=1.5,
    )


def whole(device: torch.device, _slices: int) -> Case:
    """Text to volume with the shipped weights: the original's settings and way against this package's defaults."""
    model = TextToCT.load("phantom", str(device))
    prompt, tokens = "Large right pleural effusion.", TokenOptions()

    def ours() -> Tensor:
        lowres = model.sample_lowres([prompt], 0, tokens)
        return model.upscale(lowres[0], prompt, 0, UpscaleOptions(3))

    def plainly() -> Tensor:
        options = UpscaleOptions(25, sampler="ancestral", slices_per_batch=1, correlated_noise=False)
        with plain.plain():
            lowres = model.sample_lowres([prompt], 0, tokens)
            return model.upscale(lowres[0], prompt, 0, options)

    return Case(ours, plainly, tolerance=None, goal=3.5)


_Make = Callable[[torch.device], Case]


def _sized(make: Callable[..., Case], *sizes: Any) -> _Make:
    return lambda device: make(device, *sizes)


CASES: dict[str, _Make] = {
    "position bias, 1,664 tokens": _sized(position_bias, 26),
    "guided token step, 1,664 tokens": _sized(token_step, 26),
    "guided token step, 3,264 tokens": _sized(token_step, 51),
    "guided token step, 6,464 tokens": _sized(token_step, 101),
    "training step of the tokens, 1,664": _sized(token_training, 26),
    "CT-ViT reconstruction, 201×128×128": _sized(reconstruction, 201),
    "CT-ViT optimizer cycle, 41×128×128": _sized(ctvit_cycle, 41),
    "quantiser step, 6,464 × 8,192": _sized(quantiser, 0),
    "U-Net, one slice of 512²": _sized(slice_step, 512),
    "U-Net compiled, one slice of 512²": _sized(slice_step, 512, True),
    "text to volume, phantom weights": _sized(whole, 0),
}
