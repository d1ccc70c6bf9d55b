"""Which metrics are a symptom, and how often it is said."""

import pytest

from generatect.callbacks.health import Health

WELL = {"val/codes_used": 0.9, "val/contrast": 0.97, "train/discriminator": 1.4}
ILL = {
    "val/codes_used": (0.02, "2% of its codes"),
    "val/contrast": (0.001, "0.1% of the real"),
    "train/discriminator": (0.0, "silent"),
}


def test_a_healthy_training_is_left_in_peace():
    assert Health().warnings(WELL) == []
    assert Health().warnings({"val/loss": 0.0}) == []


@pytest.mark.parametrize("metric", ILL)
def test_each_symptom_is_said_at_once_and_then_seldom(metric):
    value, words = ILL[metric]
    health = Health()
    said = [health.warnings({**WELL, metric: value}) for _ in range(20)]
    assert [index for index, warnings in enumerate(said) if warnings] == [0, 10]
    assert words in said[0][0]
