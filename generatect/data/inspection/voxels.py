"""Whole volumes: each is read once, in threads, and what it showed is kept line by line."""

import os
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from generatect.ct.hounsfield import HUDecision
from generatect.ct.hu_evidence import share_far_above
from generatect.ct.same_scan import voxel_hash
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.inspection.chest import coarse, measure_chest
from generatect.data.inspection.facts import HeaderFacts, VoxelFacts
from generatect.data.inspection.refusals import without_path
from generatect.data.inspection.scaling import seen_scaling
from generatect.data.inspection.thumbnail import thumbnail
from generatect.errors import InputError
from generatect.kept_lines import KeptLines
from generatect.progress import Progress

VERSION = "3"
"""Of what is kept: raise it when volumes are judged in another way."""

BYTES_PER_VOXEL = 12
"""Stored values, float32, and what is made of them on the way."""

SHARE_OF_MEMORY, UNKNOWN_MEMORY = 0.5, 8 << 30


def read_voxels(pairs: ArchivePairs, *, kept: Path, num_workers: int, show: Progress) -> list[VoxelFacts]:
    """Facts of every volume, in order. Interrupted, it goes on where it was.

    Args:
        pairs: the archive.
        kept: file of `KeptLines`, one for each volume read, keyed by what the file holds and how it is read.
        num_workers: volumes in memory at a time.
        show: told of the progress.
    """
    store = KeptLines(kept, VERSION)
    known = store.read(VoxelFacts.from_json)
    facts: dict[int, VoxelFacts] = {}
    waiting = iter(range(len(pairs)))
    running: set[Future] = set()
    pool = ThreadPoolExecutor(num_workers)
    try:
        while len(facts) < len(pairs):
            while len(running) < 2 * num_workers and (index := next(waiting, None)) is not None:
                running.add(pool.submit(_read, pairs, index, known))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for index, key, of_volume in (future.result() for future in done):
                facts[index] = of_volume
                if key not in known and of_volume.refusal is None:  # what could not be read is tried once more
                    store.add({key: of_volume.to_json()})
                show("volumes", len(facts), len(pairs))
    finally:
        pool.shutdown(cancel_futures=True)
    return [facts[index] for index in range(len(pairs))]


def inspect_volume(volume: CTVolume, hu: HUDecision) -> VoxelFacts:
    """What one volume shows."""
    voxels = volume.voxels_hu
    few, voxel_mm3 = coarse(volume)
    chest = measure_chest(few, voxel_mm3)
    highest = voxels.max()
    return VoxelFacts(
        hu=hu,
        shape_zyx=volume.shape_zyx,
        spacing_mm_zyx=volume.spacing_mm_zyx,
        lowest_hu=float(voxels.min()),
        highest_hu=float(highest),
        share_highest=np.count_nonzero(voxels == highest) / voxels.size,
        share_far_above=share_far_above(voxels),
        scaling=seen_scaling(few),
        body_litres=round(chest.body_litres, 3),
        lungs_litres=round(chest.lungs_litres, 3),
        content=voxel_hash(voxels),
        thumbnail=thumbnail(volume),
    )


def workers_that_fit(headers: list[HeaderFacts]) -> int:
    """Volumes that may be in memory at once: as many as there are cores, and the largest so many times."""
    largest = max((int(np.prod(facts.shape_zyx)) for facts in headers if facts.shape_zyx is not None), default=1 << 28)
    # Windows cannot be asked.
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else UNKNOWN_MEMORY
    return max(1, min(os.cpu_count() or 1, int(SHARE_OF_MEMORY * memory / (BYTES_PER_VOXEL * largest))))


def _read(pairs: ArchivePairs, index: int, known: dict[str, VoxelFacts]) -> tuple[int, str, VoxelFacts]:
    """Index, key and facts of one volume, from the file or from what was kept."""
    key = ""
    try:
        key = pairs.fingerprint(index)
        if key in known:
            return index, key, known[key]
        facts = inspect_volume(*pairs.read(index))
        if pairs.fingerprint(index) != key:
            raise InputError(f"{pairs.records[index].path}: has changed while it was read; run this again")
        return index, key, facts
    except InputError as error:
        return index, key, VoxelFacts(refusal=without_path(error, pairs.records[index].path))
    except OSError as error:
        return index, key, VoxelFacts(refusal=f"cannot be read ({error.strerror})")
    except MemoryError:
        return index, key, VoxelFacts(refusal="too large for the memory of this machine; try workers=1")
