"""`python -m generatect.doctor data=… data.root=… output=DIR`: may an archive be trained on? What is wrong?"""

import sys
import time
from typing import Any

from rich.console import Console

from generatect.config.build import build
from generatect.config.command import run_command
from generatect.data.archive import ArchivePairs
from generatect.data.inspection.archive import headers_of, inspect_archive
from generatect.data.inspection.machine_readable import write_json
from generatect.data.inspection.page import write_page
from generatect.data.inspection.terminal import show
from generatect.data.inspection.verdicts import remember
from generatect.data.inspection.voxels import workers_that_fit
from generatect.data.stamp import stamp_of
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.progress import bars, duration, size


def doctor(
    *,
    data: dict[str, Any],
    text_encoder: dict[str, Any],
    output: str,
    voxels: bool,
    workers: int | str,
    cache_dir: str,
    seed: int,
) -> None:
    """Inspects tables, headers and, on request, voxels of an archive; prints and writes what was found.

    Exits with 1 where training may not start.

    Args:
        data: the archive, as in training.
        text_encoder: as in training; how much of a report it reads.
        output: folder of `doctor.json` and `doctor.html`.
        voxels: read every volume whole.
        workers: volumes in memory at a time, or "auto": one for each core, as far as memory allows.
        cache_dir: folder of what is kept of headers, and of voxels' errors for training to refuse.
        seed: for sources of pairs that name it; not used here.

    Raises:
        InputError: whatever of this cannot be used.
    """
    if workers != "auto" and (isinstance(workers, str) or workers < 1):
        raise InputError(f"workers={workers}: expected auto, or a number from 1")
    pairs = build(data["pairs"])
    if not isinstance(pairs, ArchivePairs):
        raise InputError("data: these pairs are computed and have no files to inspect; choose an archive, data=folder")
    folder = writable_folder(output)
    console = Console()
    with bars() as progress:
        headers = headers_of(pairs, cache_dir, progress)
    num_workers = workers_that_fit(headers) if isinstance(workers, str) else workers
    num_bytes = sum(facts.num_bytes for facts in headers)
    cost = f"{size(num_bytes)} to read, {num_workers} volumes at a time" if voxels else "tables and headers only"
    console.print(f"{len(pairs):,} volumes, {cost}", highlight=False)
    started, stamps = time.monotonic(), [stamp_of(record.path) for record in pairs.records]
    with bars() as progress:
        inspection = inspect_archive(
            pairs,
            headers,
            text_encoder["encoder"],
            kept=folder / "voxels.jsonl" if voxels else None,
            num_workers=num_workers,
            show=progress,
        )
    if inspection.voxels is not None:
        seconds = time.monotonic() - started
        remember(pairs, stamps, headers, inspection.voxels, cache_dir)
        console.print(f"took {duration(seconds)}, {60 * len(pairs) / seconds:.3g} volumes a minute", highlight=False)
    write_json(inspection, folder / "doctor.json")
    write_page(inspection, folder / "doctor.html")
    show(inspection, console)
    console.print(
        f"wrote {folder / 'doctor.html'} {folder / 'doctor.json'}", highlight=False, markup=False, soft_wrap=True
    )
    if not inspection.may_start:
        sys.exit(1)


if __name__ == "__main__":
    run_command("doctor", doctor)
