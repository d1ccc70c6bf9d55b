"""Which code, on which device, made a result; never whose."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import lightning as L
import torch

from generatect import __version__

ROOT = Path(__file__).resolve().parents[2]


def code_version(device: torch.device, num_processes: int) -> dict[str, Any]:
    """Versions, commit and device as plain values; no name of a user, a machine or a path.

    Args:
        device: what the first process computes on.
        num_processes: processes that train together.
    """
    commit = _git("rev-parse", "HEAD") if (ROOT / ".git").exists() else None  # an installed wheel has none
    return {
        "generatect": __version__,
        "commit": commit,
        "uncommitted_changes": None if commit is None else bool(_git("status", "--porcelain")),
        "torch": torch.__version__,
        "lightning": L.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "num_processes": num_processes,
    }


def _git(*arguments: str) -> str | None:
    """What git says about the folder of this code; None without git."""
    try:
        ended = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None
