"""What was made: the volumes in the output folder that have a sidecar, which is written last."""

import time
from pathlib import Path
from typing import Any

from generatect.web.texts import read_sidecar, stem

MAX_SHOWN = 200
STALE_SECONDS = 60.0
"""A file that is being written changes more often than that."""


def made(folder: Path) -> list[dict[str, Any]]:
    """The volumes in a folder, the newest first."""
    found = []
    for path in folder.glob("*.nii.gz"):
        sidecar = {} if path.name.startswith(".") else read_sidecar(path)
        if sidecar:
            found.append((path.stat().st_mtime, path, sidecar))
    return [
        {
            "volume": f"made/{stem(path)}",
            "title": str(sidecar.get("prompt") or f"Reconstruction of {sidecar.get('reconstruction_of', 'a volume')}"),
            "kind": "generate" if sidecar.get("prompt") else "reconstruct",
            "source": sidecar.get("source"),
            "seed": sidecar.get("seed"),
            "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(modified)),
            "notice": sidecar["notice"],
        }
        for modified, path, sidecar in sorted(found, key=lambda entry: entry[:2], reverse=True)[:MAX_SHOWN]
    ]


def sweep(folder: Path) -> None:
    """Removes what a killed process has left half written; those files are hidden, and nobody writes to them now."""
    for path in folder.glob(".*.part"):
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)
