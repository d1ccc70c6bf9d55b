"""The smallest preset, tokenizer and archive."""

from pathlib import Path

import torch

from generatect.ct.nifti import write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.networks.ctvit import CTViT
from generatect.phantom.pairs import PhantomPairs

PRESET = PhysicalPreset(num_slices=5, size=16, upscaled_size=32)


def make_tokenizer(seed: int) -> CTViT:
    torch.manual_seed(seed)
    sizes = {"dim": 16, "codebook_size": 32, "image_size": 16, "patch_size": 8, "slice_patch_size": 2}
    return CTViT(**sizes, spatial_depth=1, temporal_depth=1, dim_head=8, heads=2).eval()


def write_archive(folder: Path, num: int) -> list[str]:
    """Writes so many scans and their table; returns the settings that name them and a cache beside them."""
    root, pairs = folder / "scans", PhantomPairs(num=num, native_shape_zyx=(20, 20, 20))
    root.mkdir()
    for index in range(num):
        write_nifti(root / f"scan{index}.nii.gz", pairs.volume(index))
    rows = [f"scan{index},patient{index},Clear lungs {index}." for index in range(num)]
    (folder / "table.csv").write_text("\n".join(["volume,patient,text", *rows]))
    names = [f"data.root={root}", f"data.table={folder / 'table.csv'}"]
    return ["data=folder", *names, f"cache_dir={folder / 'cache'}"]


def truncate(path: Path) -> None:
    """Cuts the end of a file off."""
    path.write_bytes(path.read_bytes()[:-200])
