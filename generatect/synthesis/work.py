"""Which prompts a process has to do, and the seed of each, whatever other processes do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generatect.config.check import check_arguments
from generatect.data.prompts import Prompt
from generatect.errors import InputError

NEXT_ATTEMPT = 1_000_000_007
"""From the seed of one attempt to the next; farther apart than any table is long."""

NUM_SEEDS = 2**32


@dataclass(frozen=True)
class Shard:
    """A process's share of a table: every `count`-th row from row `index` on.

    Args:
        index: 0 for the first process.
        count: processes.
    """

    index: int = 0
    count: int = 1


@dataclass(frozen=True)
class WorkItem:
    """One volume to make.

    Attributes:
        prompt: text and name.
        number: row of the table, 0 for the first.
        seed: of the first attempt.
    """

    prompt: Prompt
    number: int
    seed: int

    def seed_of(self, attempt: int) -> int:
        """The seed of an attempt, 0 for the first: a function of seed, row and attempt alone."""
        return (self.seed + attempt * NEXT_ATTEMPT) % NUM_SEEDS


def read_shard(settings: Mapping[str, Any]) -> Shard:
    """The shard that a configuration names.

    Raises:
        InputError: a setting that there is not.
    """
    check_arguments(Shard, settings, "shard")
    return Shard(**settings)


def work_of(prompts: Sequence[Prompt], seed: int, shard: Shard) -> list[WorkItem]:
    """The share of one process; row i has the seed `seed + i`, so that a volume does not depend on the sharding.

    Raises:
        InputError: a shard that there is not.
    """
    if shard.count < 1 or not 0 <= shard.index < shard.count:
        raise InputError(
            f"shard.index={shard.index}, shard.count={shard.count}: expected an index from 0 to count - 1; start a "
            "job array at 0"
        )
    numbers = range(shard.index, len(prompts), shard.count)
    return [WorkItem(prompts[number], number, (seed + number) % NUM_SEEDS) for number in numbers]
