"""The scores of finished cells, kept so that a study that was cut goes on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from generatect.files import atomic_path

FORMAT = "generatect.utility/2"


def cell_path(folder: Path, training_set: str, seed: int) -> Path:
    """Where the scores of a cell are kept."""
    name = training_set.replace(" + ", "-and-").replace(" ", "-")
    return folder / "cells" / f"{name}-seed{seed}.json"


def key_of(deciding: Mapping[str, Any]) -> str:
    """Hash of everything that a cell's scores depend on."""
    return hashlib.sha256(json.dumps({"format": FORMAT, **deciding}, sort_keys=True).encode()).hexdigest()


def read_cell(path: Path, key: str, shape: tuple[int, int]) -> Float[np.ndarray, "n k"] | None:
    """The scores of a cell; None where there are none for this key, or not as they were written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = np.array(content["scores"], dtype=np.float32)
        is_whole = content["checksum"] == _checksum(key, scores)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # not there, or nothing of ours
        return None
    return scores if is_whole and scores.shape == shape else None


def keep_cell(path: Path, key: str, scores: Float[np.ndarray, "n k"]) -> None:
    """Writes the scores of a cell, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        content = {"checksum": _checksum(key, scores), "scores": scores.tolist()}
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _checksum(key: str, scores: Float[np.ndarray, "n k"]) -> str:
    """Of the scores and of what they were made from."""
    return hashlib.sha256(key.encode() + np.asarray(scores, "<f4").tobytes()).hexdigest()
