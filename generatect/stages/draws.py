"""What training draws at random, as a function of the sample and not of the process that happens to hold it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TRAINING, VALIDATION, LAYERS, COMMON = range(4)
"""Purposes: samples of training and of validation, what layers draw by themselves, and what a step's samples share."""


def generator_of(*place: int) -> torch.Generator:
    """A CPU generator whose numbers depend on `place` alone, such as (seed, purpose, position)."""
    seed = np.random.SeedSequence(place).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


@dataclass(frozen=True)
class Origin:
    """From where samples are counted: a run that goes on with batches of another size counts anew, from what is done.

    Attributes:
        batches: training batches done.
        samples: of all processes in those batches.
    """

    batches: int = 0
    samples: int = 0


START = Origin()


def positions(num_samples: int, num_processes: int, batches: range, origin: Origin = START) -> range:
    """Positions of all samples of some batches, in the order of the whole training.

    Args:
        num_samples: of a batch in one process.
        num_processes: that share each batch; they take its samples in turn.
        batches: in a row, all of this size.
        origin: where batches of this size begin.
    """
    per_batch = num_samples * num_processes
    return range(*(origin.samples + (batch - origin.batches) * per_batch for batch in (batches.start, batches.stop)))


class SampleDraws:
    """One generator for each sample of a batch.

    A sample's draws follow from its position in the order of the whole training. So it makes no difference to them how
    many processes share a batch, how many batches share a step, or where a run was resumed.

    Args:
        seed: of the run.
        purpose: keeps training and validation apart.
        positions: of the batch's samples.
    """

    def __init__(self, seed: int, purpose: int, positions: Iterable[int]) -> None:
        self.generators = [generator_of(seed, purpose, position) for position in positions]

    def each(self, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        """What `draw` gives for each sample, a batch of one, put together."""
        return torch.cat([draw(generator) for generator in self.generators])
