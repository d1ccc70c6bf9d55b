"""What weights trained on phantoms are worth, measured on phantoms and prompts they never met.

Every function takes the model as an argument and returns plain numbers.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from generatect.ct.intensity import model_to_hu
from generatect.ct.preset import Preset
from generatect.metrics.auroc import Auroc, auroc
from generatect.metrics.codebook import codebook_use
from generatect.metrics.reconstruction import psnr_of_error
from generatect.phantom.detectors import Detectors, separations, truth
from generatect.phantom.findings import FINDINGS, SIDED
from generatect.phantom.pairs import PhantomPairs
from generatect.phantom.report import Report
from generatect.progress import Progress


@runtime_checkable
class Tokenizer(Protocol):
    """The part of CT-ViT that is measured."""

    def __call__(self, volume: Tensor) -> Any:
        """Has `reconstruction` "b 1 z y x" and `ids` "b t h w"."""
        ...


def measure_tokenizer(
    tokenizer: Tokenizer,
    pairs: PhantomPairs,
    preset: Preset,
    mean_image: Float[Tensor, "1 z y x"],
    num_codes: int,
    device: torch.device,
    progress: Progress,
) -> tuple[dict[str, float], np.ndarray]:
    """PSNR (dB, from the mean squared error over all volumes), that of the mean image, and the use of the codebook.

    Returns:
        The numbers, and the reconstructions in HU "n z y x".
    """
    counts = torch.zeros(num_codes)
    error = mean_error = 0.0
    reconstructions = []
    with torch.inference_mode():
        for index in range(len(pairs)):
            volume = pairs.model_input(index, preset)
            output = tokenizer(volume[None].to(device))
            reconstruction = output.reconstruction[0].float().cpu()
            error += (reconstruction.clamp(-1, 1) - volume).square().mean().item()
            mean_error += (mean_image - volume).square().mean().item()
            counts += torch.bincount(output.ids.flatten().cpu(), minlength=num_codes)
            reconstructions.append(model_to_hu(reconstruction)[0].numpy())
            progress("reconstructions", index + 1, len(pairs))
    use = codebook_use(counts)
    numbers = {
        "psnr_db": psnr_of_error(error / len(pairs)),
        "mean_image_psnr_db": psnr_of_error(mean_error / len(pairs)),
        "codes_used": use.used,
        "perplexity": use.perplexity,
        "num_volumes": len(pairs),
    }
    return numbers, np.stack(reconstructions)


def measure_superres(
    upscale: Callable[[Tensor, str, int], Tensor],
    pairs: PhantomPairs,
    preset: Preset,
    progress: Progress,
) -> dict[str, float]:
    """PSNR (dB) against the noise-free truth of the refined and of the interpolated low-resolution scan.

    Low-resolution scans are rendered with their noise. Slices coincide on both grids, so that trilinear interpolation
    is bilinear within slices.

    Args:
        upscale: (volume "1 z y x", text, seed) → volume on the upscaled grid.
        pairs: phantoms.
        preset: both grids.
        progress: called after each volume.
    """
    size = preset.upscaled_grid.shape_zyx[1:]
    errors: dict[str, list[float]] = {"superres": [], "trilinear": [], "bicubic": []}
    for index in range(len(pairs)):
        lowres, truth_image = pairs.model_input(index, preset), pairs.clean_input(index, preset, upscaled=True)
        slices = lowres.transpose(0, 1)
        candidates = {
            "superres": upscale(lowres, pairs.text(index), index).cpu(),
            "trilinear": torch.nn.functional.interpolate(slices, size=size, mode="bilinear").transpose(0, 1),
            "bicubic": torch.nn.functional.interpolate(slices, size=size, mode="bicubic").transpose(0, 1),
        }
        for name, candidate in candidates.items():
            errors[name].append((candidate.clamp(-1, 1) - truth_image).square().mean().item())
        progress("super-resolution", index + 1, len(pairs))
    return {f"{name}_psnr_db": psnr_of_error(float(np.mean(values))) for name, values in errors.items()} | {
        "num_volumes": len(pairs)
    }


def measure_detectors(detectors: Detectors, pairs: PhantomPairs, volumes_hu: np.ndarray) -> dict[str, Auroc]:
    """AUROC of every finding's detector between volumes of phantoms that have it and that do not."""
    truths = np.stack([truth(pairs.case(index)) for index in range(len(pairs))])
    scores = detectors.score_batch(volumes_hu)
    found = separations(truths, scores)
    return {name: auroc(*found[name]) for name in FINDINGS}


def measure_obedience(
    detectors: Detectors, reports: list[Report], volumes_hu: np.ndarray, seed: int
) -> dict[str, dict[str, Auroc]]:
    """AUROC of every finding's detector between volumes whose prompt names it and volumes whose prompt denies it.

    Returns:
        Finding → "obedience"; "shuffled": the same volumes held against other volumes' prompts; and for sided findings
        "same side": a side's detector between prompts that name that side alone and prompts that deny the finding, and
        "other side": between prompts that name the other side alone and those that deny it.
    """
    scores = detectors.score_batch(volumes_hu)
    order = np.random.default_rng(seed).permutation(len(reports))
    result = {}
    for name in FINDINGS:
        named, denied = (np.array([r.mentions[name] == kind for r in reports]) for kind in ("named", "denied"))
        values = scores[name]
        row = {
            "obedience": auroc(values[named], values[denied]),
            "shuffled": auroc(values[named[order]], values[denied[order]]),
        }
        if name in SIDED:
            sides = np.array([report.sides[name] for report in reports])
            same = [_side_scores(scores, name, side, side, sides, denied) for side in ("left", "right")]
            other = [
                _side_scores(scores, name, side, "right" if side == "left" else "left", sides, denied)
                for side in ("left", "right")
            ]
            row["same side"] = auroc(*map(np.concatenate, zip(*same, strict=True)))
            row["other side"] = auroc(*map(np.concatenate, zip(*other, strict=True)))
        result[name] = row
    return result


def _side_scores(
    scores: dict[str, np.ndarray], name: str, detector_side: str, named_side: str, sides: np.ndarray, denied: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One side's detector on prompts naming one side alone, and on prompts denying; standardised to pool sides."""
    values = scores[f"{name}/{detector_side}"]
    values = (values - values[denied].mean()) / values[denied].std()
    return values[sides == named_side], values[denied]
