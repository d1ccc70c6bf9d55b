"""What a generation costs against its size, at published widths: operations and peak memory, from dry runs.

    python benchmarks/costs.py --output outputs/benchmarks

Nothing is timed, so the numbers are the same on every machine. Steps multiply operations and leave the peak as it is.
"""

import argparse
import json
from pathlib import Path

import torch
from machine import machine
from rich.console import Console
from rich.table import Table
from speed_cases import published_ctvit, published_maskgit, published_unet

from generatect.files import atomic_path
from generatect.planning.dry_run import Cost, dry_run
from generatect.sampling.guidance import prepare_guided

DEVICE = torch.device("cpu")
SLICES_OF_TOKENS, SIDES, BATCHES = (11, 26, 51, 101), (128, 256, 512), (1, 2, 4)


def token_step(slices: int, guidance: float, dense: bool) -> Cost:
    """One step over `slices` × 8 × 8 tokens, without the logits."""
    network = published_maskgit(DEVICE).eval()
    network.max_dense_bytes = 2**40 if dense else 0
    grid, mask = (slices, 8, 8), torch.ones(1, 64, dtype=torch.bool)

    def step(ids: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return prepare_guided(network, grid, features, mask, guidance).features(ids.long())

    return dry_run(step, (1, *grid), (1, 64, 768))


def decoder(slices: int) -> Cost:
    """Tokens to a volume of 2 · slices - 1 slices of 128²."""
    network = published_ctvit(DEVICE).eval()
    return dry_run(lambda ids: network.decode_ids(ids.long()), (1, slices, 8, 8))


def slice_step(side: int, batch: int) -> Cost:
    """One evaluation of the U-Net."""
    network = published_unet(DEVICE)
    images, levels = (batch, 1, side, side), (batch,)
    return dry_run(lambda x, t, low, low_t: network(x, t, low, low_t), images, levels, images, levels)


def main() -> None:
    """Prints the table, writes costs.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of costs.json")
    settings = parser.parse_args()
    costs: dict[str, Cost] = {}
    for slices in SLICES_OF_TOKENS:
        tokens = f"{slices * 64:,} tokens"
        costs[f"token step, {tokens}, guided, bias whole"] = token_step(slices, 3.0, True)
        costs[f"token step, {tokens}, guided, bias by slices"] = token_step(slices, 3.0, False)
        costs[f"decoder, {tokens}"] = decoder(slices)
    costs["token step, 6,464 tokens, not guided, bias whole"] = token_step(101, 1.0, True)
    for side in SIDES:
        costs[f"U-Net, one slice of {side}²"] = slice_step(side, 1)
    for batch in BATCHES[1:]:
        costs[f"U-Net, {batch} slices of 256²"] = slice_step(256, batch)
    table = Table("what", "GFLOP", "peak, GB", title="fp32, weights not counted")
    for name, cost in costs.items():
        table.add_row(name, f"{cost.flops / 1e9:,.0f}", f"{cost.peak_bytes / 1e9:.2f}")
    Console(width=100).print(table)
    settings.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(settings.output / "costs.json") as temporary:
        content = {"machine": machine(), "costs": {name: cost._asdict() for name, cost in costs.items()}}
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
