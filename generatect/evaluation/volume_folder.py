"""Volumes made once: a folder of NIfTI files with their prompts beside, which no interrupted run makes again."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from generatect import __version__
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import without_ending
from generatect.files import sha256_of_file
from generatect.sidecar import write_sidecar


def key_of(*parts: Any) -> str:
    """A hash of everything that a volume depends on; the versions of this code and of torch are among it."""
    content = json.dumps([__version__, torch.__version__, *parts], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


class VolumeFolder:
    """Volumes of one kind: `NAME.nii.gz` in HU, and `NAME.json` with prompt, notice and key.

    Args:
        folder: where they lie; made where there is none.
        notice: what each sidecar says of its volume.
        weights: stage → hash of the weights that make the volumes; empty for real ones.
    """

    def __init__(self, folder: Path, notice: str, weights: Mapping[str, str]) -> None:
        self.folder, self.notice, self.weights = folder, notice, dict(weights)

    def path(self, name: str) -> Path:
        """The volume of that name."""
        return self.folder / f"{name}.nii.gz"

    def has(self, name: str, key: str) -> bool:
        """Whether the volume is there, whole, and was made from what `key` stands for."""
        try:
            sidecar = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            return sidecar["key"] == key and sidecar["volume_sha256"] == sha256_of_file(self.path(name))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def keep(self, name: str, key: str, prompt: str, make: Callable[[], CTVolume]) -> Path:
        """The volume's file, made where it is missing, damaged or of another key."""
        path = self.path(name)
        if self.has(name, key):
            return path
        volume = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.json").unlink(missing_ok=True)  # it may describe another volume
        write_nifti(path, volume, description="SYNTHETIC generatect" if self.weights else "")
        sidecar: dict[str, Any] = {"notice": self.notice, "prompt": prompt}
        if self.weights:
            sidecar["weights_sha256"] = self.weights
        sidecar |= {"key": key, "volume_sha256": sha256_of_file(path)}
        write_sidecar(self.folder / f"{name}.json", sidecar)
        return path

    def keep_only(self, names: Collection[str]) -> None:
        """Removes what an earlier run with other prompts has left: volumes of another set would be measured, too.

        Only files named as `numbered` names them are touched.
        """
        for path in self.folder.glob("[0-9][0-9][0-9][0-9]-*"):
            if path.name.removesuffix(".json").removesuffix(".nii.gz") not in names:
                path.unlink()


def numbered(number: int, name: str) -> str:
    """A file name that keeps the order, without the ending that `name` may have: "0007-scan"."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in without_ending(name))
    return f"{number:04d}-{plain.lstrip('.')[:80]}"
