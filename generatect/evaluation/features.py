"""What is measured in each volume by itself, made once and kept: features, histograms, scores.

One pass reads every file once for everything that is wanted and not there yet. An interrupted evaluation goes on where
it was; a second metric, or another generated folder against the same real one, costs only what is new.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from generatect.ct.grid import Grid
from generatect.ct.same_scan import voxel_hash
from generatect.data.cache import ArrayCache
from generatect.errors import InputError
from generatect.evaluation.volumes import EvaluatedVolume, on_grid, refuse_unreadable
from generatect.progress import Progress, duration

FORMAT = "evaluation/1"
"""Part of every key: raise it when what is measured changes."""


@dataclass(frozen=True)
class Measure:
    """Something measured in a volume.

    Attributes:
        name: such as "images".
        depends_on: everything but the volume that the values depend on, as plain values.
        make: (voxels in HU, the volume) → an array.
    """

    name: str
    depends_on: Mapping[str, Any]
    make: Callable[[Shaped[np.ndarray, "z y x"], EvaluatedVolume], np.ndarray]


@dataclass(frozen=True)
class Task:
    """A volume and what is to be measured in it.

    Attributes:
        volume: the file.
        measures: what is wanted of it.
        grid: the grid that it is resampled to; None: as it is stored.
    """

    volume: EvaluatedVolume
    measures: Sequence[Measure]
    grid: Grid | None

    def key(self, measure: Measure) -> tuple[str, ...]:
        """Key in the cache."""
        grid = self.grid and [self.grid.shape_zyx, self.grid.spacing_mm_zyx]
        content = json.dumps([measure.depends_on, grid], sort_keys=True)
        return (FORMAT, measure.name, self.volume.sha256, content, _how_read(self.volume))


def measure_all(tasks: Sequence[Task], cache: ArrayCache, say: Callable[[str], None], progress: Progress) -> None:
    """Measures what is not in the cache yet, or damaged there, and what tells each volume from any other.

    Says after the first volume how long the rest will take.

    Args:
        tasks: volumes and measures.
        cache: where the arrays are kept.
        say: takes lines for the terminal.
        progress: called after each volume.

    Raises:
        InputError: volumes that cannot be read, all of them listed, after the others have been measured and kept.
    """
    missing = [(task, [item for item in task.measures if not cache.holds(task.key(item))]) for task in tasks]
    todo = [(task, measures) for task, measures in missing if measures or not cache.holds(_identity_key(task.volume))]
    if len(todo) < len(tasks):
        say(f"{len(tasks) - len(todo)} of {len(tasks)} volumes have been measured before")
    refused, started = list[str](), time.monotonic()
    for index, (task, measures) in enumerate(todo):
        try:
            stored = task.volume.read()
        except InputError as error:
            refused.append(str(error))
        else:
            cache.put(_identity_key(task.volume), np.frombuffer(bytes.fromhex(voxel_hash(stored.voxels_hu)), np.uint8))
            voxels_hu = on_grid(stored, task.grid)
            for measure in measures:
                cache.put(task.key(measure), measure.make(voxels_hu, task.volume))
        if index == 0 and len(todo) > 1:
            seconds = (time.monotonic() - started) * (len(todo) - 1)
            say(f"{len(todo)} volumes to measure: {', '.join(m.name for m in measures)}: about {duration(seconds)}")
        progress("volumes", index + 1, len(todo))
    refuse_unreadable(refused, len(tasks))


def identities(volumes: Sequence[EvaluatedVolume], cache: ArrayCache) -> list[str]:
    """Hash of the voxels of each volume, as `measure_all` has kept it: alike however a volume is stored.

    Raises:
        CacheError: one is gone.
    """
    return [cache.read(_identity_key(volume)).tobytes().hex() for volume in volumes]


def _identity_key(volume: EvaluatedVolume) -> tuple[str, ...]:
    return (FORMAT, "identity", volume.sha256, _how_read(volume))


def _how_read(volume: EvaluatedVolume) -> str:
    """What a file's voxels depend on besides its content, as plain values."""
    return json.dumps([asdict(volume.reading), asdict(volume.arrays)], sort_keys=True)


def measured(tasks: Sequence[Task], name: str, cache: ArrayCache) -> list[np.ndarray]:
    """What `measure_all` has kept, in the order of the tasks; memory is taken as each is read.

    Raises:
        CacheError: an array is gone.
    """
    found = []
    for task in tasks:
        measure = next(item for item in task.measures if item.name == name)
        found.append(cache.read(task.key(measure)))
    return found
