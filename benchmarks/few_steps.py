"""What fewer steps of upscaling cost in quality, on held-out phantoms with the shipped weights.

    python benchmarks/few_steps.py --output outputs/benchmarks --phantoms 4

Every sampler refines the same noisy low-resolution scans. PSNR and SSIM are against the noise-free truth; z-jerk is the
mean absolute third difference along z in HU, which flicker between slices raises, beside that of the real scan with its
noise and without.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

from machine import machine
from rich.console import Console
from rich.table import Table
from torch import Tensor

from generatect.files import atomic_path
from generatect.metrics.reconstruction import ssim
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TextToCT, UpscaleOptions

HELD_OUT_SEED = 901  # that of `generatect.prove`
WAYS = {
    "ancestral 25 (the original's)": UpscaleOptions(25, sampler="ancestral", correlated_noise=False),
    "ddim 3": UpscaleOptions(3, sampler="ddim"),
    "ddim 7": UpscaleOptions(7, sampler="ddim"),
    "dpmpp 3": UpscaleOptions(3, sampler="dpmpp"),
    "dpmpp 7": UpscaleOptions(7, sampler="dpmpp"),
    "dpmpp 7, noise of each slice": UpscaleOptions(7, sampler="dpmpp", correlated_noise=False),
}


def z_jerk_hu(volume: Tensor) -> float:
    """Mean absolute third difference along z of a volume "1 z y x" in [-1, 1], in HU."""
    return volume.diff(n=3, dim=1).abs().mean().item() * 1000


def judge(volume: Tensor, truth: Tensor) -> dict[str, float]:
    """Quality of one volume in [-1, 1]."""
    volume = volume.clamp(-1, 1)
    return {
        "mse": (volume - truth).square().mean().item(),
        "ssim": float(ssim(truth[0] * 1000, volume[0] * 1000) or 0.0),
        "z_jerk_hu": z_jerk_hu(volume),
    }


def main() -> None:
    """Measures, prints a table, writes few_steps.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of few_steps.json")
    parser.add_argument("--phantoms", type=int, default=4, help="held-out phantoms")
    settings = parser.parse_args()
    model = TextToCT.load("phantom", "cpu")
    pairs = PhantomPairs(num=settings.phantoms, seed=HELD_OUT_SEED, wording="heldout")
    found: dict[str, list[dict[str, float]]] = {}
    for index in range(settings.phantoms):
        lowres = pairs.model_input(index, model.preset)
        truth = pairs.clean_input(index, model.preset, upscaled=True)
        found.setdefault("truth without noise", []).append(judge(truth, truth))
        found.setdefault("real scan with its noise", []).append(
            judge(pairs.model_input(index, model.preset, upscaled=True), truth)
        )
        for name, options in WAYS.items():
            started = time.process_time()
            volume = model.upscale(lowres, pairs.text(index), index, options)
            seconds = time.process_time() - started
            found.setdefault(name, []).append({**judge(volume, truth), "cpu_seconds": seconds})

    table = Table("upscaling", "PSNR, dB", "SSIM", "z-jerk, HU", "CPU seconds", "speed-up", title="Few steps")
    slow = statistics.median(row["cpu_seconds"] for row in found[next(iter(WAYS))])
    rows = {}
    for name, values in found.items():
        mean = {key: statistics.fmean(row[key] for row in values) for key in ("mse", "ssim", "z_jerk_hu")}
        psnr = 10 * math.log10(4 / mean["mse"]) if mean["mse"] else None
        rows[name] = {"psnr_db": psnr, "ssim": mean["ssim"], "z_jerk_hu": mean["z_jerk_hu"]}
        cells = [name, "" if psnr is None else f"{psnr:.2f}", f"{mean['ssim']:.4f}", f"{mean['z_jerk_hu']:.1f}"]
        if name in WAYS:
            seconds = statistics.median(row["cpu_seconds"] for row in values)
            rows[name] |= {"cpu_seconds": seconds, "speed_up": slow / seconds}
            cells += [f"{seconds:.1f}", f"{slow / seconds:.2f} ×"]
        table.add_row(*cells)
    Console(width=110).print(table)
    settings.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(settings.output / "few_steps.json") as temporary:
        content = {"machine": machine(), "phantoms": settings.phantoms, "ways": rows}
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
