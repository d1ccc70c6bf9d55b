"""The work of the page: a volume from a report, the reconstruction of one, each telling how far it is."""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generatect import __version__
from generatect.ct.intensity import model_to_hu
from generatect.ct.nifti import write_nifti
from generatect.ct.preview import comparison
from generatect.ct.volume import CTVolume
from generatect.data.prompts import Prompt
from generatect.diffusion.process import SuperResProcess
from generatect.files import sha256_of_file
from generatect.metrics.reconstruction import psnr, ssim
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.placement import placed
from generatect.sidecar import write_generated, write_sidecar
from generatect.web.jobs import Job
from generatect.web.previews import ids_of_air, planes_png, show_air

PREVIEW_SHARE = 0.15
"""Share of the time that may go into previews."""


@dataclass(frozen=True)
class Wish:
    """What is to be generated."""

    prompt: str
    seed: int
    tokens: TokenOptions
    upscale: UpscaleOptions


@dataclass(frozen=True, kw_only=True)
class WatchedProcess(SuperResProcess):
    """A process that shows each estimate of a batch of slices, within the steps of denoising.

    Attributes:
        watch: gets images "b c y x"; what it raises ends the work.
    """

    watch: Callable[[Tensor], None]

    def to_images(self, x0: Tensor, upsampled: Tensor) -> Tensor:
        """As in `SuperResProcess`, and shown."""
        images = super().to_images(x0, upsampled)
        self.watch(images)
        return images


class Pace:
    """Lets previews through as often as their own cost allows."""

    def __init__(self) -> None:
        self.next_at = 0.0

    def show(self, job: Job, make: Callable[[], bytes]) -> None:
        """Shows what `make` makes, unless the last picture was too short a while ago."""
        started = time.monotonic()
        if started >= self.next_at:
            job.show(make())
            ended = time.monotonic()
            self.next_at = ended + max(0.2, (ended - started) / PREVIEW_SHARE)


def new_name() -> str:
    """A name for files: when, and a few letters that make it unique."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def generate(model: TextToCT, wish: Wish, folder: Path, job: Job) -> str:
    """Generates a volume, writes it as `generatect.generate` does, and returns its name.

    Raises:
        CancelledError: the job was cancelled; nothing is written.
    """
    pace, preset = Pace(), model.preset
    air = ids_of_air(model.tokenizer, preset.grid.shape_zyx)

    def show_tokens(_step: int, ids: Tensor) -> None:
        job.go_on()

        def picture() -> bytes:
            decoded = model.tokenizer.decode_ids(show_air(ids, model.maskgit.mask_id, air))
            return planes_png(preset.to_volume(decoded[0].float().cpu()))

        pace.show(job, picture)

    job.progress("tokens", 0, wish.tokens.steps)
    lowres = model.sample_lowres([wish.prompt], wish.seed, wish.tokens, job.progress, show_tokens)
    canvas = _enlarged(lowres[0, 0], preset.upscaled_grid.shape_zyx)
    affine = preset.upscaled_grid.affine()
    num_slices, first = len(canvas), 0

    def show_slices(images: Tensor) -> None:
        job.go_on()
        last = first + len(images)
        canvas[first:last] = model_to_hu(images[:, 0].float().cpu()).numpy().astype(np.int16)
        pace.show(job, lambda: planes_png(CTVolume(canvas, affine), z_index=first))

    def slices_done(label: str, done: int, total: int) -> None:
        nonlocal first
        first = done
        job.progress(label, done, total)

    job.progress("slices", 0, num_slices)
    watched = replace(model, process=WatchedProcess(**asdict(model.process), watch=show_slices))
    volume = watched.upscale(lowres[0], wish.prompt, wish.seed, wish.upscale, slices_done)
    job.go_on()
    name = new_name()
    options = {"tokens": asdict(wish.tokens), "upscale": asdict(wish.upscale), "seed": wish.seed, "attempt": 0}
    write_generated(folder, Prompt(name, wish.prompt), model, preset.to_volume(volume, upscaled=True), options)
    return name


def reconstruct(
    model: TextToCT, original: CTVolume, title: str, source: str, folder: Path, job: Job, offload: bool = False
) -> str:
    """Encodes and decodes a volume, writes the result on the volume's own grid, and returns its name.

    Args:
        model: whose tokenizer does it.
        original: the volume.
        title: what the volume is called.
        source: id of the volume, so that the page can show both.
        folder: where to.
        job: told how far it is.
        offload: the tokenizer is on the device only while it is needed.

    Raises:
        CancelledError: the job was cancelled; nothing is written.
    """
    job.progress("reconstruction", 0, 3)
    model_input = model.preset.to_model(original)
    job.progress("reconstruction", 1, 3)
    with torch.inference_mode(), placed((model.tokenizer,), model.device, offload):
        output = model.tokenizer(model_input[None].to(model.device)).reconstruction[0].float().cpu()
    job.progress("reconstruction", 2, 3)
    job.show(planes_png(model.preset.to_volume(output)))
    result = model.preset.to_volume(output, original)
    seen = [torch.from_numpy(model.preset.to_volume(array).voxels_hu) for array in (model_input, output)]
    job.progress("reconstruction", 3, 3)
    decibels, similarity = psnr(*seen), ssim(*seen)
    job.go_on()
    name = new_name()
    path = folder / f"{name}.nii.gz"
    write_nifti(path, result, description="SYNTHETIC generatect")
    comparison({"input": original, "reconstruction": result}, folder / f"{name}.png", "SYNTHETIC: a reconstruction")
    sidecar = {
        "notice": "SYNTHETIC: a model's reconstruction of a CT",
        "weights_notice": model.notice,
        "reconstruction_of": title,
        "source": source,
        "grid_psnr_db": None if decibels == math.inf else decibels,  # JSON has no infinity
        "grid_ssim": similarity,
        "preset": model.preset.name,
        "shape_zyx": list(result.shape_zyx),
        "spacing_mm_zyx": list(result.spacing_mm_zyx),
        "weights_sha256": {"ctvit": model.hashes["ctvit"]},
        "volume_sha256": sha256_of_file(path),
        "versions": {"generatect": __version__, "torch": torch.__version__},
    }
    write_sidecar(folder / f"{name}.json", sidecar)
    return name


def _enlarged(lowres: Tensor, shape_zyx: tuple[int, int, int]) -> np.ndarray:
    """Low-resolution slices in HU on the pixels of the upscaled ones: what is shown until these come."""
    enlarged = torch.nn.functional.interpolate(lowres[None].float().cpu(), size=shape_zyx[1:], mode="bilinear")[0]
    return model_to_hu(enlarged).numpy().astype(np.int16)
