"""The scores of finished cells, kept so that a study that was cut goes on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from generatect.files import atomic_path

FORMAT = "generatect.utility/1"


def cell_path(folder: Path, training_set: str, seed: int) -> Path:
    """Where the scores of a cell are kept."""
    name = training_set.replace(" + ", "-and-").replace(" ", "-")
    return folder / "cells" / f"{name}-seed{seed}.json"


def key_of(deciding: Mapping[str, Any]) -> str:
    """Hash of everything that a cell's scores depend on."""
    return hashlib.sha256(json.dumps({"format": FORMAT, **deciding}, sort_keys=True).encode()).hexdigest()


def read_cell(path: Path, key: str, shape: tuple[int, int]) -> Float[np.ndarray, "n k"] | None:
    """The scores of a cell; None where there are none for this key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        scores = np.array(content["scores"], dtype=np.float32)
    except (OSError, ValueError, KeyError, TypeError):  # not there, or nothing of ours
        return None
    return scores if scores.shape == shape else None


def keep_cell(path: Path, key: str, scores: Float[np.ndarray, "n k"]) -> None:
    """Writes the scores of a cell, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"key": key, "scores": scores.tolist()}) + "\n", encoding="utf-8")
