"""What `prepare` makes of volumes and reports; each under the key by which training looks for it."""

import json
from collections.abc import Generator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from generatect.ct.hounsfield import HUDecision
from generatect.ct.volume import CTVolume
from generatect.data.bad_volumes import BadVolumes
from generatect.data.cache import CacheError
from generatect.data.inputs import ModelInputs
from generatect.data.preparation import Outcome, Step
from generatect.data.processes import in_processes
from generatect.data.reconstructions import Reconstructions
from generatect.data.tokens import VolumeTokens
from generatect.errors import InputError
from generatect.text.conditioner import TextConditioner
from generatect.text.prompt import clean_prompt

RESOLUTIONS = {"low": False, "high": True}
"""Name → whether it is the upscaled grid."""
FACTS_BYTES = 1000
REPORTS_A_BATCH = 16


@runtime_checkable
class ReadsScans(Protocol):
    """Pairs whose volumes are files: one reading serves both resolutions, and there is something to record of it."""

    def read(self, index: int) -> tuple[CTVolume, HUDecision]:
        """The CT on its own grid and how its values became HU."""
        ...


class VolumeArrays:
    """Arrays of volumes at the resolutions asked for, and the facts of their reading.

    Args:
        inputs: the pairs on the preset's grids, with a cache.
        resolutions: of `RESOLUTIONS`.
    """

    def __init__(self, inputs: ModelInputs, resolutions: Sequence[str]) -> None:
        assert inputs.cache is not None
        self.inputs, self.cache, self.resolutions = inputs, inputs.cache, list(resolutions)

    def step(self, num_workers: int, start_method: str = "spawn") -> Step:
        """Reads and resamples in `num_workers` processes."""
        preset = self.inputs.preset
        grids = [preset.upscaled_grid if RESOLUTIONS[name] else preset.grid for name in self.resolutions]
        return Step(
            "volumes",
            lambda index: not self._missing(index) and self._has_facts(index),
            lambda indices: in_processes(self.make, indices, num_workers, start_method),
            sum(2 * grid.num_voxels for grid in grids) + FACTS_BYTES,
        )

    def make(self, index: int) -> Outcome:
        """Makes what is missing of one volume."""
        try:
            volume = None
            if isinstance(self.inputs.pairs, ReadsScans):
                self.inputs.key(index)  # before the file is read
                volume, decision = self.inputs.pairs.read(index)
                self.inputs.require_unchanged(index)
                self.cache.put(self._facts_key(index), _pack(_facts(volume, decision)))
            for name in self._missing(index):
                self.inputs.keep(index, RESOLUTIONS[name], volume)
        except CacheError:
            raise  # no fault of the volume
        except InputError as error:
            return index, str(error)
        return index, None

    def record(self, index: int) -> dict[str, Any]:
        """What is known of a volume that has been prepared, in plain values."""
        files = {
            name: self.cache.path(self.inputs.array_key(index, RESOLUTIONS[name])).relative_to(self.cache.folder)
            for name in self.resolutions
        }
        is_file = isinstance(self.inputs.pairs, ReadsScans)
        facts = json.loads(self.cache.read(self._facts_key(index)).tobytes()) if is_file else {}
        return {"key": self.inputs.key(index)[0], "files": {name: str(path) for name, path in files.items()}, **facts}

    def _missing(self, index: int) -> list[str]:
        return [name for name in self.resolutions if not self.inputs.is_cached(index, RESOLUTIONS[name])]

    def _has_facts(self, index: int) -> bool:
        """Pairs that are no files have none, and need none."""
        return not isinstance(self.inputs.pairs, ReadsScans) or self.cache.holds(self._facts_key(index))

    def _facts_key(self, index: int) -> tuple[str, ...]:
        return ("facts", *self.inputs.key(index))


def report_step(inputs: ModelInputs, conditioner: TextConditioner, max_tokens: int) -> Step:
    """Features of the reports, by a frozen text encoder."""
    cache, pairs = conditioner.cache, inputs.pairs
    assert cache is not None

    def is_there(index: int) -> bool:
        text = pairs.text(index)
        return cache.path(clean_prompt(text) if conditioner.clean else text).is_file()

    def make(indices: Sequence[int]) -> Generator[Outcome, None, None]:
        for start in range(0, len(indices), REPORTS_A_BATCH):
            batch = indices[start : start + REPORTS_A_BATCH]
            with torch.inference_mode():
                conditioner([pairs.text(index) for index in batch])
            yield from ((index, None) for index in batch)

    return Step("reports", is_there, make, 4 * max_tokens * conditioner.width)


def token_step(tokens: VolumeTokens, batch_size: int) -> Step:
    """Tokens of the volumes."""
    pairs, tokenizer, grid = tokens.inputs.pairs, tokens.tokenizer, tokens.inputs.preset.grid
    num_tokens = int(np.prod(tokenizer.token_grid(grid.shape_zyx[0])))
    bad = BadVolumes(pairs.name, len(pairs))

    def make(indices: Sequence[int]) -> Generator[Outcome, None, None]:
        yield from ((index, None) for index in tokens.encode(indices, batch_size, bad))

    return Step("tokens", tokens.__contains__, make, num_tokens * np.dtype(tokens.dtype).itemsize + FACTS_BYTES)


def reconstruction_step(reconstructions: Reconstructions) -> Step:
    """The tokenizer's reconstructions of the volumes."""

    def make(indices: Sequence[int]) -> Generator[Outcome, None, None]:
        for index in indices:
            reconstructions.keep(index)
            yield index, None

    bytes_each = 2 * reconstructions.inputs.preset.grid.num_voxels + FACTS_BYTES
    return Step("reconstructions", reconstructions.__contains__, make, bytes_each)


def _facts(volume: CTVolume, decision: HUDecision) -> dict[str, Any]:
    """Geometry and HU of a volume; nothing that its header says in words."""
    return {
        "shape_zyx": list(volume.shape_zyx),
        "spacing_mm_zyx": [round(spacing, 4) for spacing in volume.spacing_mm_zyx],
        "hu_policy": decision.policy,
        "hu_slope": decision.slope,
        "hu_intercept": decision.intercept,
        "hu_reason": decision.reason,
    }


def _pack(facts: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
