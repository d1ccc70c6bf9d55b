"""What a run is: one folder, one identity, however often it was broken off and resumed."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from generatect.files import atomic_path

FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """A run as its loggers see it.

    Attributes:
        id: eight letters and digits, the same after every resume in the same folder.
        folder: its output.
        stage: what it trains.
        settings: the resolved configuration, paths left out.
        code: versions of what it runs on.
        is_resumed: whether it goes on from a checkpoint of the same folder.
    """

    id: str
    folder: Path
    stage: str
    settings: dict[str, Any]
    code: dict[str, Any]
    is_resumed: bool


def open_run(
    folder: Path,
    stage: str,
    *,
    settings: dict[str, Any],
    code: dict[str, Any],
    command: list[str],
    from_step: int,
    checkpoints: str | None,
    changed: Sequence[str] = (),
) -> Run:
    """Starts a run, or goes on with the one in the folder, and writes `run.json` there.

    The file holds id, stage, the name that the checkpoints bear, and a list of starts: time, step, command, versions,
    device and changed settings of each. A checkpoint of another run, taken from elsewhere, starts a new one here.

    Args:
        folder: the output.
        stage: what is trained.
        settings: the resolved configuration, paths left out.
        code: see `code_version`.
        command: the command line, paths left out.
        from_step: steps done; 0 starts a new run.
        checkpoints: the run's name in its checkpoints.
        changed: settings that differ from those of the start before.
    """
    path = folder / FILE
    before = _read(path, checkpoints) if from_step > 0 else None
    content = before or {"id": secrets.token_hex(4), "stage": stage, "checkpoints": checkpoints, "starts": []}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    content["starts"].append({"at": now, "from_step": from_step, "command": command, "changed": [*changed], **code})
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return Run(content["id"], folder, stage, settings, code, is_resumed=before is not None)


def _read(path: Path, checkpoints: str | None) -> dict[str, Any] | None:
    """What an earlier start of the same run wrote; None where there is no such file or somebody has damaged it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(content, dict) and isinstance(content.get("starts"), list) and content.get("id")
    return content if is_ours and content.get("checkpoints") == checkpoints else None
