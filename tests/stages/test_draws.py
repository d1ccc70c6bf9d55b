"""A sample draws the same, whoever holds it."""

import pytest
import torch

from generatect.objectives.masking import draw_dropped
from generatect.stages.draws import TRAINING, VALIDATION, SampleDraws, positions

SEED = 5


def numbers(draws: SampleDraws) -> list[float]:
    return draws.each(lambda generator: torch.rand(1, generator=generator)).tolist()


def test_positions_are_shared_out_as_the_data_are():
    """Of two processes with batches of 2, as of one with batches of 4."""
    whole = positions(4, 1, range(3, 4))
    assert list(whole) == [12, 13, 14, 15]
    assert positions(2, 2, range(3, 4)) == whole
    assert positions(2, 1, range(6, 8)) == whole


def test_draws_depend_on_seed_purpose_and_position_alone():
    everyone = numbers(SampleDraws(SEED, TRAINING, range(8)))
    assert numbers(SampleDraws(SEED, TRAINING, range(8)[1::2])) == everyone[1::2]
    others = [numbers(SampleDraws(SEED, VALIDATION, range(8))), numbers(SampleDraws(SEED + 1, TRAINING, range(8)))]
    assert len({*everyone, *others[0], *others[1]}) == 24


@pytest.mark.parametrize("prob", [0.1, 0.25])
def test_dropping_is_as_frequent_as_it_is_set(prob):
    num = 4_000
    dropped = SampleDraws(SEED, TRAINING, range(num)).each(lambda generator: draw_dropped(1, prob, generator))
    assert dropped.float().mean().item() == pytest.approx(prob, abs=2 * (prob * (1 - prob) / num) ** 0.5)
