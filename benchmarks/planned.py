"""What the planner expects against what happens: peak memory and time, each in a process of its own.

    python benchmarks/planned.py --output outputs/benchmarks

Networks of published size with random weights on grids of several sizes; one token step, the decoder and one step of as
many slices as the plan takes at once, since more of them need no more memory.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from machine import machine
from rich.console import Console
from rich.table import Table

from generatect.ct.preset import ReleasedPreset
from generatect.diffusion.process import SuperResProcess
from generatect.files import atomic_path
from generatect.fitting import estimate, fit
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.unet import SuperResUNet
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.planning.memory import peak_bytes, reset_peak
from generatect.text.conditioner import build_conditioner

# Name → (slices, side of the result, memory)
CONFIGURATIONS = {
    "21 slices of 256²": (21, 256, "8GB"),
    "51 slices of 256²": (51, 256, "8GB"),
    "51 slices of 256², tight": (51, 256, "1100MB"),
    "11 slices of 512²": (11, 512, "8GB"),
}


def random_model(num_slices: int, upscaled_size: int) -> TextToCT:
    """Published sizes, but for a text encoder of hashed words."""
    torch.manual_seed(0)
    preset = ReleasedPreset(num_slices=num_slices, size=128, upscaled_size=upscaled_size)
    text = build_conditioner({"encoder": {"kind": "hashed_words", "width": 768, "num_buckets": 64}})
    sizes = {"dim": 512, "codebook_size": 8192, "image_size": 128, "patch_size": 16, "slice_patch_size": 2}
    tokenizer = CTViT(**sizes, spatial_depth=4, temporal_depth=4)
    num_tokens = (num_slices + 1) // 2 * 64
    tokens = {"num_tokens": 8192, "max_tokens": num_tokens, "dim": 512, "depth": 6, "heads": 8, "dim_head": 64}
    unet = {"dim": 64, "dim_mults": [1, 2, 4], "num_blocks": 2, "max_text_tokens": 256, "num_text_latents": 32}
    networks = {
        "tokenizer": tokenizer,
        "maskgit": MaskGIT(**tokens, text_width=768),
        "unet": SuperResUNet(**unet, text_width=768, heads=8, dim_head=64, cross_attention=[True] * 3),
    }
    ready = {name: network.eval().requires_grad_(False) for name, network in networks.items()}
    others = {"token_critic": None, "tokens_text": text, "slices_text": text, "process": SuperResProcess.released()}
    return TextToCT(preset=preset, **ready, **others, paths={}, hashes={}, notice=None, device=torch.device("cpu"))


def run(name: str) -> dict[str, float]:
    """One configuration, in this process."""
    num_slices, size, memory = CONFIGURATIONS[name]
    model = random_model(num_slices, size)
    tokens, upscale, plan = fit(
        model, TokenOptions(steps=1), UpscaleOptions(1, sampler="ddim", slices_per_batch=4), memory, "fp32"
    )
    once = replace(upscale, steps=1)
    expected_seconds = estimate(model, tokens, once) * upscale.slices_per_batch / num_slices
    reset_peak(model.device)
    started = time.monotonic()
    lowres = model.sample_lowres(["Clear."], 0, tokens)
    token_seconds = time.monotonic() - started
    model.upscale(lowres[0, :, : upscale.slices_per_batch], "Clear.", 0, once)
    slice_seconds = time.monotonic() - started - token_seconds
    token_share = token_seconds * upscale.slices_per_batch / num_slices  # of the estimate, scaled alike
    return {
        "slices_per_batch": upscale.slices_per_batch,
        "dense_bias": plan.dense_bias,
        "expected_gb": plan.peak_bytes / 1e9,
        "peak_gb": (peak_bytes(model.device) or 0) / 1e9,
        "expected_seconds": expected_seconds,
        "seconds": token_share + slice_seconds,
    }


def main() -> None:
    """All configurations, or one for a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of planned.json")
    parser.add_argument("--configuration", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.configuration:
        print(json.dumps(run(settings.configuration)))
        return
    table = Table("configuration", "bias", "at once", "expected, GB", "peak, GB", "expected, s", "took, s")
    rows = {}
    for name in CONFIGURATIONS:
        command = [sys.executable, __file__, "--configuration", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows[name] = row = json.loads(done.stdout.splitlines()[-1])
        numbers = [f"{row[key]:.2f}" for key in ("expected_gb", "peak_gb", "expected_seconds", "seconds")]
        bias = "whole" if row["dense_bias"] else "by slices"
        table.add_row(name, bias, str(row["slices_per_batch"]), *numbers)
        print(name, row, flush=True)
    Console(width=110).print(table)
    settings.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(settings.output / "planned.json") as temporary:
        content = {"machine": machine(), "configurations": rows}
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
