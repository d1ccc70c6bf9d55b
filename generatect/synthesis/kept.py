"""What is already there of a work list: whole volumes that answer the request, and rejections."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generatect.files import atomic_path, sha256_of_file
from generatect.synthesis.work import WorkItem

REJECTED = ".rejected.json"
"""Ends the file that says why no attempt at a prompt passed."""

WORKLOAD = {"slices_per_batch", "dense_bias", "offload", "compile"}
"""Options that say how a machine copes and not what is made: another machine may finish a dataset."""


def made(folder: Path, item: WorkItem, request: Mapping[str, Any], check_hash: bool) -> dict[str, Any] | None:
    """The sidecar of a volume that is whole and answers the request; None where there is none.

    Args:
        folder: of the dataset.
        item: which prompt.
        request: what else decides a volume, as the sidecar names it: options and hashes of the weights.
        check_hash: compare the volume's bytes with its hash, too.
    """
    sidecar = read_record(folder / f"{item.prompt.name}.json")
    if sidecar is None or not _answers(sidecar, item, request):
        return None
    volume = folder / f"{item.prompt.name}.nii.gz"
    if not volume.is_file() or (check_hash and sha256_of_file(volume) != sidecar.get("volume_sha256")):
        return None
    return sidecar


def rejected(
    folder: Path, item: WorkItem, request: Mapping[str, Any], gate: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The record of a prompt whose every allowed attempt failed at this gate; None where there is none."""
    record = read_record(folder / f"{item.prompt.name}{REJECTED}")
    answers = record is not None and gate is not None and _answers(record, item, {**request, "gate": gate})
    return record if answers else None


def reject(
    folder: Path, item: WorkItem, request: Mapping[str, Any], gate: Mapping[str, Any], attempts: list[list[str]]
) -> None:
    """Writes down why no attempt passed.

    Args:
        folder: of the dataset.
        item: which prompt.
        request: see `made`.
        gate: as plain values; at another gate the prompt is tried again.
        attempts: the faults of each attempt.
    """
    last = len(attempts) - 1
    record = {
        "prompt": item.prompt.text,
        **request,
        "gate": gate,
        "seed": item.seed_of(last),
        "attempt": last,
        "faults": attempts,
    }
    with atomic_path(folder / f"{item.prompt.name}{REJECTED}") as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def differences(record: Mapping[str, Any], item: WorkItem, request: Mapping[str, Any]) -> list[str]:
    """What a sidecar or a rejection names otherwise than it is asked for: "prompt", "seed", or keys of the request."""
    attempt = record.get("attempt")
    has_seed = isinstance(attempt, int) and record.get("seed") == item.seed_of(attempt)
    own = {"prompt": record.get("prompt") == item.prompt.text, "seed": has_seed}
    own |= {key: _deciding(record.get(key)) == _deciding(value) for key, value in request.items()}
    return [key for key, is_same in own.items() if not is_same]


def _answers(record: Mapping[str, Any], item: WorkItem, request: Mapping[str, Any]) -> bool:
    return not differences(record, item, request)


def _deciding(value: Any) -> Any:
    return {key: entry for key, entry in value.items() if key not in WORKLOAD} if isinstance(value, Mapping) else value


def read_record(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or no sidecar of ours
        return None
    return content if isinstance(content, dict) else None
