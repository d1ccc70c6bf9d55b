"""`python -m generatect.reproduce FILE`: makes a generated volume again, and says whether it is the same."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Any

import numpy as np
import torch

from generatect import __version__
from generatect.config.command import run_command
from generatect.config.words import quoted
from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import sha256_of_file
from generatect.progress import bars
from generatect.sidecar import DESCRIPTION
from generatect.synthesis.remake import how_made

NEEDED = {
    "prompt": str,
    "seed": int,
    "tokens": (dict, NoneType),
    "upscale": (dict, NoneType),
    "weights_sha256": dict,
    "volume_sha256": str,
    "versions": dict,
}
"""What a sidecar has to say, and of which type that is."""


def reproduce(
    *, file: str, input: str | None, weights: str | dict[str, str], device: str, t5: str | None, cache_dir: str
) -> None:
    """Prints whether the volume can be made again, byte for byte; exits with 1 where it comes out otherwise.

    Args:
        file: the volume, or its sidecar.
        input: the scan, or the folder of scans, that `generatect.upscale` refined; None: it was made of text.
        weights: what made it; see `find_weights`. Their hashes must be those of the sidecar.
        device: auto, cpu, cuda, …. Another kind of device than the first time may round differently.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        cache_dir: folder of text features of frozen encoders and of converted files.

    Raises:
        InputError: no sidecar, one that says too little, or other weights than it names.
    """
    sidecar_path = sidecar_of(Path(file).expanduser())
    sidecar = read_sidecar(sidecar_path)
    volume_path = sidecar_path.with_name(f"{sidecar_path.stem}.nii.gz")
    is_intact = volume_path.is_file() and sha256_of_file(volume_path) == sidecar["volume_sha256"]
    remake = how_made(sidecar, sidecar_path, input)
    model = remake.kind.load(weights, device, cache_dir, t5)
    for stage, value in sidecar["weights_sha256"].items():
        if model.hashes.get(stage) != value:
            raise InputError(
                f"weights={weights}: their stage {stage} is {str(model.hashes.get(stage))[:12]}…, "
                f"{sidecar_path.name} was made with {str(value)[:12]}…; name those weights"
            )
    with bars() as show:
        again = remake.volume(model, show)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / volume_path.name
        write_nifti(copy, again, description=DESCRIPTION)
        is_same = sha256_of_file(copy) == sidecar["volume_sha256"]
    print(f"{volume_path}: {'the same, byte for byte' if is_same else difference(volume_path, again, sidecar)}")
    if volume_path.is_file() and not is_intact:
        print(f"{volume_path}: the file is not the one that its sidecar describes; it was changed after it was made")
    if not (is_same and (is_intact or not volume_path.is_file())):
        sys.exit(1)


def sidecar_of(path: Path) -> Path:
    """The sidecar of a volume; a sidecar is its own."""
    return path if path.suffix == ".json" else path.with_name(f"{path.name.removesuffix('.nii.gz')}.json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """What is written beside a generated volume.

    Raises:
        InputError: no such file, or not one that says how a volume was made.
    """
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"file={path}: no sidecar ({error.strerror}); name a volume that generate wrote") from error
    except ValueError as error:
        raise InputError(f"file={path}: not JSON; name a volume that generate wrote, or its .json") from error
    missing = [key for key in NEEDED if key not in sidecar] if isinstance(sidecar, dict) else list(NEEDED)
    if missing:
        raise InputError(f"file={path}: says nothing of {', '.join(missing)}; expected a generated volume's sidecar")
    if unlike := [key for key, kind in NEEDED.items() if not isinstance(sidecar[key], kind)]:
        raise InputError(f"file={path}: its {unlike[0]} is not what generate writes there; make the volume again")
    return sidecar


def difference(path: Path, again: CTVolume, sidecar: dict[str, Any]) -> str:
    """How far a volume is from the one on disk, and what differs between then and now."""
    now = {"generatect": __version__, "torch": torch.__version__}
    changed = [f"{name} {sidecar['versions'].get(name)} then, {now[name]} now" for name in now]
    changed = [text for text, name in zip(changed, now, strict=True) if sidecar["versions"].get(name) != now[name]]
    reason = "; ".join(changed) or "the same versions, so another kind of processor or number of threads"
    if not path.is_file():
        return f"another one than its sidecar describes ({reason})"
    before = read_nifti(path, hu_policy="unchecked")
    if before.shape_zyx != again.shape_zyx:
        return f"another one, of {again.shape_zyx} voxels instead of {before.shape_zyx} ({reason})"
    apart = np.abs(before.voxels_hu.astype(np.float32) - np.rint(again.voxels_hu).astype(np.float32))
    return f"another one, at most {apart.max():.0f} HU and on average {apart.mean():.2g} HU away ({reason})"


def name_the_file(arguments: list[str]) -> list[str]:
    """The command line with `file=` before a bare FILE."""
    return [
        argument if argument.startswith("-") or "=" in argument else f"file={quoted(argument)}"
        for argument in arguments
    ]


if __name__ == "__main__":
    sys.argv[1:] = name_the_file(sys.argv[1:])
    run_command("reproduce", reproduce)
