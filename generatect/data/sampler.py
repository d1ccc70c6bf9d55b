"""The order of training samples: endless, shuffled, and a function of position alone."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EndlessShuffle(Sampler[tuple[int, int]]):
    """Yields (position, index) for ever, every index once per pass, each pass in an order of its own.

    The position is what makes a sample reproducible: whatever is random about it is drawn from (seed, position), in any
    worker and after any restart.

    Args:
        num_items: how many items there are.
        seed: of the order.
        rank: this process among `num_replicas`, which share one order.
        num_replicas: number of processes.
        start: first position, to go on where a run stopped.
    """

    def __init__(self, num_items: int, seed: int = 0, rank: int = 0, num_replicas: int = 1, start: int = 0) -> None:
        assert num_items > 0, "nothing to sample from"
        self.num_items, self.seed, self.rank, self.num_replicas, self.start = num_items, seed, rank, num_replicas, start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        position = self.start + self.rank
        current_pass, order = -1, np.empty(0, dtype=np.int64)
        while True:
            if position // self.num_items != current_pass:
                current_pass = position // self.num_items
                order = np.random.default_rng((self.seed, current_pass)).permutation(self.num_items)
            yield position, int(order[position % self.num_items])
            position += self.num_replicas
