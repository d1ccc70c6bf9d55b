"""How fast volumes are read: the first time against the plain chain, and from the caches.

    python benchmarks/data.py

A phantom of 300 × 512 × 512 voxels is written as int16 `.nii.gz`. Its millimetres fill the field of view of the model,
so that the plain chain, which stretches whatever it gets, and ours, which resamples in millimetres, show the same part
of the patient and can be compared. Both run by turns in this process, with one thread as in a worker of training, from
a file that the system has in memory; medians are given. Needs no GPU and fetches nothing.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from machine import machine
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.preset import NOMINAL_FOV_MM_ZYX, PhysicalPreset, ReleasedPreset
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.tokens import VolumeTokens
from generatect.files import atomic_path
from generatect.networks.ctvit import CTViT
from generatect.phantom.pairs import PhantomPairs

SHAPE_ZYX = (300, 512, 512)
SIZES = {"num_slices": 201, "size": 128, "upscaled_size": 512}
GOALS = {"first read": 5.0, "low-resolution volume": 5.0, "8 full-resolution slices": 5.0, "tokens of a volume": 1.0}
NUM_READS = 100


class OneScan(PhantomPairs):
    """Pairs of which the only volume is a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(num=1)
        self.path = path

    def model_input(self, index, preset, upscaled=False):
        """The file on the preset's grid."""
        return preset.to_model(read_nifti(self.path), upscaled=upscaled)


def plain_chain(path: Path) -> torch.Tensor:
    """What most code for this kind of data does: float64 voxels, slices resized one by one, the stack interpolated."""
    voxels = nib.load(path).get_fdata()
    scaled = np.clip(voxels, -1000, 1000) / 1000
    size = (SIZES["size"], SIZES["size"])
    slices = [
        np.asarray(Image.fromarray(scaled[:, :, z].astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        for z in range(scaled.shape[2])
    ]
    stack = torch.from_numpy(np.stack(slices))[None, None]
    return F.interpolate(stack, size=(SIZES["num_slices"], *size), mode="trilinear", align_corners=False)[0]


def ours(path: Path) -> torch.Tensor:
    """The same scan through this package's reader and its preset of true millimetres."""
    return PhysicalPreset(**SIZES).to_model(read_nifti(path))


def ours_stretched(path: Path) -> torch.Tensor:
    """The same scan through this package's reader and the preset that stretches as the plain chain does."""
    return ReleasedPreset(**SIZES).to_model(read_nifti(path))


def by_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds that each way takes, A B C A B C …, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def first_reads(path: Path, rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each chain, and how far they agree in HU."""
    ways = {way.__name__: way for way in (plain_chain, ours, ours_stretched)}
    seconds = by_turns({name: lambda way=way: way(path) for name, way in ways.items()}, rounds)
    # Array axes of the plain chain and of the stretching preset are slices, x, y of the file.
    plain, physical, stretched = (way(path)[0] * 1000 for way in ways.values())
    agreement = {
        "stretched, largest difference (HU)": (stretched - plain).abs().max().item(),
        "millimetres, median difference (HU)": (physical.transpose(1, 2) - plain).abs().median().item(),
    }
    return seconds, agreement


def cached_reads(path: Path, folder: Path) -> dict[str, list[float]]:
    """Seconds of each kind of cached read, through the classes that training uses."""
    cache = ArrayCache(folder)
    inputs = ModelInputs(OneScan(path), PhysicalPreset(**SIZES), cache)
    sizes = {"codebook_size": 8192, "image_size": 128, "patch_size": 16, "slice_patch_size": 2}
    tokenizer = CTViT(dim=16, **sizes, spatial_depth=1, temporal_depth=1, dim_head=8, heads=2)
    tokens = VolumeTokens(inputs, tokenizer, "untrained", cache)
    random = np.random.default_rng(0)
    grid = tokenizer.token_grid(SIZES["num_slices"])
    cache.put(tokens.key(0), random.integers(0, 8192, grid).astype(np.uint16))
    inputs.keep(0), inputs.keep(0, upscaled=True)
    ways = {
        "low-resolution volume": lambda: inputs.volume(0),
        "8 full-resolution slices": lambda: inputs.slices(
            0, random.choice(SIZES["num_slices"], 8).tolist(), upscaled=True
        ),
        "tokens of a volume": lambda: tokens.read(0),
    }
    return by_turns(ways, NUM_READS)


def write_phantom(path: Path) -> None:
    """A phantom with noise, whose bytes compress about as those of a CT do."""
    volume = PhantomPairs(num=1, native_shape_zyx=SHAPE_ZYX).volume(0)
    assert np.allclose(np.multiply(volume.shape_zyx, volume.spacing_mm_zyx), NOMINAL_FOV_MM_ZYX)
    write_nifti(path, volume)


def main() -> None:
    """Measures, prints a table, writes data.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of data.json")
    parser.add_argument("--rounds", type=int, default=5, help="first reads of each chain")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "scan.nii.gz"
        print(f"painting a phantom of {' × '.join(map(str, SHAPE_ZYX))} voxels")
        write_phantom(path)
        compressed = path.stat().st_size / (2 * np.prod(SHAPE_ZYX))
        seconds, agreement = first_reads(path, settings.rounds)
        reads = cached_reads(path, Path(temporary) / "cache")

    medians = {name: statistics.median(values) for name, values in {**seconds, **reads}.items()}
    ratio = medians["plain_chain"] / medians["ours"]
    table = Table("what", "median", "goal", "", title="Reading volumes, one process")
    table.add_row("first read, plain chain", f"{medians['plain_chain']:.2f} s", "", "")
    for name, label in (("ours", "in millimetres"), ("ours_stretched", "stretched as the plain chain does")):
        table.add_row(f"first read, ours, {label}", f"{medians[name]:.2f} s", "", "")
    table.add_row("plain chain / ours", f"{ratio:.1f} ×", "≥ 5 ×", "yes" if ratio >= GOALS["first read"] else "no")
    for name in reads:
        milliseconds = 1000 * medians[name]
        reached = "yes" if milliseconds <= GOALS[name] else "no"
        table.add_row(f"cached, {name}", f"{milliseconds:.2f} ms", f"≤ {GOALS[name]:g} ms", reached)
    for name, value in agreement.items():
        table.add_row(name, f"{value:.3f}", "", "")
    Console().print(table)

    content = {
        "machine": {**machine(), "numpy": np.__version__, "nibabel": nib.__version__},
        "shape_zyx": SHAPE_ZYX,
        "compressed_share": compressed,
        "rounds": settings.rounds,
        "median_seconds": medians,
        "all_seconds": {**seconds, **reads},
        "plain_over_ours": ratio,
        "agreement": agreement,
    }
    settings.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(settings.output / "data.json") as temporary_path:
        temporary_path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {settings.output / 'data.json'}")


if __name__ == "__main__":
    main()
