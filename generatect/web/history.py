"""What was made: the volumes in the output folder that have a sidecar, which is written last."""

import contextlib
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from generatect.web.names import spelled
from generatect.web.state import state_of
from generatect.web.texts import read_sidecar, stem
from generatect.web.within import is_file_within

MAX_SHOWN = 200
MAX_TITLE = 500
STALE_SECONDS = 60.0
"""A file that is being written changes more often than that."""


def made(folder: Path) -> list[dict[str, Any]]:
    """The volumes in a folder, the newest first, at most `MAX_SHOWN`.

    Whatever else lies there is passed over: files without a sidecar, links that lead out, what is removed meanwhile.
    """
    return list(islice(_entries(folder), MAX_SHOWN))


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    paths = folder.glob("[!.]*.nii.gz")
    dated = [(modified, path) for path in paths if (modified := _modified(path)) is not None]
    for modified, path in sorted(dated, reverse=True):
        sidecar = read_sidecar(path, folder) if is_file_within(path, folder) else {}
        if sidecar:
            with contextlib.suppress(OSError):  # removed just now
                yield _described(path, modified, sidecar)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _described(path: Path, modified: float, sidecar: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a volume; what a sidecar says in another form than ours is not shown."""
    prompt, seed, source = (sidecar.get(key) for key in ("prompt", "seed", "source"))
    title = str(prompt or f"Reconstruction of {sidecar.get('reconstruction_of', 'a volume')}")
    return {
        "volume": f"made/{spelled(stem(path))}",
        "state": state_of(path),
        "title": title[:MAX_TITLE],
        "kind": "generate" if prompt else "reconstruct",
        "source": source if isinstance(source, str) else None,
        "seed": seed if isinstance(seed, int) and abs(seed) < 2**53 else None,  # more a browser cannot tell apart
        "made": _date(modified),
        "notice": sidecar["notice"],
    }


def _date(modified: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(modified))
    except (OSError, OverflowError, ValueError):  # a year that the system has no words for
        return ""


def sweep(folder: Path) -> None:
    """Removes what a killed process has left half written; those files are hidden, and nobody writes to them now."""
    for path in folder.glob(".*.part"):
        modified = _modified(path)
        if modified is not None and time.time() - modified > STALE_SECONDS:
            path.unlink(missing_ok=True)
