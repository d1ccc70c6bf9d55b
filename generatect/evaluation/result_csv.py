"""Results as a table for a spreadsheet."""

from collections.abc import Sequence
from pathlib import Path

from generatect.data.safe_csv import write_csv
from generatect.evaluation.result import Result

COLUMNS = (
    *("metric", "value", "low", "high", "floor", "floor_low", "floor_high", "floor_num", "floor_of"),
    *("preset", "num_real", "num_fake", "num_dropped", "detector", "detector_sha256", "width"),
    *("real_files_sha256", "fake_files_sha256", "notes"),
)


def write_results_csv(path: Path, results: Sequence[Result]) -> None:
    """Writes the numbers as a table, one result a row."""
    write_csv(path, COLUMNS, [_cells(result) for result in results])


def _cells(result: Result) -> list[object]:
    low, high = result.interval or (None, None)
    floor, detector = result.floor, result.detector
    floor_low, floor_high = (floor and floor.interval) or (None, None)
    return [
        *(result.metric, result.value, low, high),
        *(floor and floor.value, floor_low, floor_high, floor and floor.num, floor and floor.of),
        *(result.preset, result.num_real, result.num_fake, result.num_dropped),
        *(detector and detector.name, detector and detector.sha256, detector and detector.width),
        *(result.real_files_sha256, result.fake_files_sha256, " | ".join(result.notes)),
    ]
