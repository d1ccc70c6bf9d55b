"""What makes a dataset of a folder of volumes: manifest, table, list of what was rejected, and card."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from generatect.data.safe_csv import write_csv
from generatect.files import atomic_path
from generatect.synthesis.audited import CARD
from generatect.synthesis.card import dataset_card
from generatect.synthesis.kept import made, rejected
from generatect.synthesis.manifest import MANIFEST, seconds_by_volume, write_manifest
from generatect.synthesis.work import WorkItem

TABLE, REJECTED_TABLE = "table.csv", "rejected.csv"
DESCRIBING = (TABLE, REJECTED_TABLE, CARD, MANIFEST)
"""What describes a dataset; the manifest is written first."""
OWN_COLUMNS = ("volume", "patient", "text", "seed")


def finish_dataset(
    folder: Path,
    work: Sequence[WorkItem],
    request: Callable[[WorkItem], Mapping[str, Any]],
    gate: Mapping[str, Any] | None,
) -> list[Path] | None:
    """Writes what describes the dataset, once every prompt has its volume or its rejection.

    Any process that finds the work complete may call this; all would write the same.

    Args:
        folder: of the dataset.
        work: all of it, whoever did it.
        request: of each item; see `made`.
        gate: see `rejected`.

    Returns:
        The files written; None while there is work left for other processes.
    """
    kept, failed = [], []
    for item in work:
        sidecar = made(folder, item, request(item), check_hash=False)
        if sidecar is not None:
            kept.append((item, sidecar))
            continue
        record = rejected(folder, item, request(item), gate)
        if record is None:
            return None
        failed.append((item, record))
    seconds = seconds_by_volume(folder)
    write_manifest(folder, [_line(item, sidecar, seconds) for item, sidecar in kept])
    header = [*OWN_COLUMNS, *_columns(work)]
    write_csv(folder / TABLE, header, [_row(item, sidecar, header) for item, sidecar in kept])
    written = [MANIFEST, TABLE]
    (folder / REJECTED_TABLE).unlink(missing_ok=True)  # of an earlier run with a narrower gate
    if failed:
        rows = [(item.prompt.name, len(record["faults"]), "; ".join(record["faults"][-1])) for item, record in failed]
        write_csv(folder / REJECTED_TABLE, ("name", "attempts", "last attempt"), rows)
        written.append(REJECTED_TABLE)
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(dataset_card(folder, kept, failed), encoding="utf-8")
    return [folder / name for name in (*written, CARD)]


def _line(item: WorkItem, sidecar: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, Any]:
    return {
        "volume": f"{item.prompt.name}.nii.gz",
        **sidecar,
        "columns": item.prompt.columns,
        "seconds": seconds.get(sidecar["volume_sha256"]),
    }


def _columns(work: Sequence[WorkItem]) -> list[str]:
    """What the prompts bring along, but for what is ours to say."""
    return [key for key in work[0].prompt.columns if key not in OWN_COLUMNS]


def _row(item: WorkItem, sidecar: Mapping[str, Any], header: Sequence[str]) -> list[object]:
    own = {
        "volume": f"{item.prompt.name}.nii.gz",
        "patient": f"synthetic-{item.prompt.name}",  # nobody's: no two volumes are of one patient
        "text": item.prompt.text,
        "seed": sidecar["seed"],
    }
    return [own.get(key, item.prompt.columns.get(key)) for key in header]
