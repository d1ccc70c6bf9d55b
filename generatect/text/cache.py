"""Text features on disk: one file per text, named by a hash, so that a report's words appear in no file name."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from generatect.errors import InputError
from generatect.files import atomic_path, writable_folder


class FeatureCache:
    """Features "l d" by text, for one encoder.

    Args:
        folder: made if absent; may be shared by encoders and processes.
        identity: of the encoder; part of every key.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(self, folder: str | Path, identity: str) -> None:
        self.folder = writable_folder(folder, "cache_dir")
        self.identity = identity

    def path(self, text: str) -> Path:
        """File of a text, whether it exists or not."""
        key = hashlib.sha256(f"{self.identity}\0{text}".encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.safetensors"

    def get(self, text: str) -> Tensor | None:
        """Features on the CPU; None if they are absent or the file is damaged."""
        path = self.path(text)
        try:
            with safe_open(path, framework="pt") as file:
                features = file.get_tensor("features")
                expected = (file.metadata() or {}).get("sha256")
        except (OSError, SafetensorError):
            return None
        return features if _digest(path.stem, features) == expected else None

    def put(self, text: str, features: Tensor) -> None:
        """Stores features; whoever reads at the same time sees the whole file or none.

        Raises:
            InputError: they cannot be written, as on a full disk.
        """
        features = features.detach().cpu().contiguous()
        path = self.path(text)
        try:
            with atomic_path(path) as temporary:
                save_file({"features": features}, temporary, metadata={"sha256": _digest(path.stem, features)})
        except (OSError, SafetensorError) as error:
            reason = " ".join(str(getattr(error, "strerror", None) or error).split())
            raise InputError(
                f"cache_dir={self.folder}: cannot be written ({reason}); make room or choose another folder"
            ) from error


def _digest(key: str, features: Tensor) -> str:
    """Of key, type and shape, too: the same bytes under another text, or as other numbers, are as good as damaged."""
    content: np.ndarray = features.contiguous().view(torch.uint8).numpy()
    what = f"{key} {features.dtype} {tuple(features.shape)} ".encode()
    return hashlib.sha256(what + content.tobytes()).hexdigest()
