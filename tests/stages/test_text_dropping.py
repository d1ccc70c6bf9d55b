"""A report is withheld as often as the setting says, in either stage that reads reports."""

import functools

import pytest
import torch

from generatect.checkpoints.rebuild import rebuild_network, rebuild_text
from generatect.checkpoints.stage_file import read_stage_file
from generatect.diffusion.process import SuperResProcess
from generatect.stages.superres import SuperResStage
from generatect.stages.transformer import TransformerStage

NUM_BATCHES, BATCH_SIZE = 50, 32
SGD = functools.partial(torch.optim.SGD, lr=0.1)


def observed(dropped_of: object) -> float:
    with torch.no_grad():
        return torch.cat([dropped_of(step) for step in range(NUM_BATCHES)]).float().mean().item()


def expected(prob: float) -> object:
    """Within two standard errors."""
    return pytest.approx(prob, abs=2 * (prob * (1 - prob) / (NUM_BATCHES * BATCH_SIZE)) ** 0.5)


@pytest.mark.parametrize("prob", [0.0, 0.15])
def test_in_stage_transformer(tiny_weights, prob):
    tokenizer = rebuild_network(read_stage_file(tiny_weights / "ctvit.safetensors"), "ctvit")
    file = read_stage_file(tiny_weights / "transformer.safetensors")
    networks = {"maskgit": rebuild_network(file, "maskgit"), "text": rebuild_text(file), "tokenizer": tokenizer}
    stage = TransformerStage(description={}, optimizer=SGD, text_drop_prob=prob, **networks).train()
    batch = {"ids": torch.zeros(BATCH_SIZE, 3, 2, 2, dtype=torch.int64), "text": ["Effusion."] * BATCH_SIZE}

    def dropped_of(step: int) -> torch.Tensor:
        return stage._masked_loss(batch, stage.sample_draws(BATCH_SIZE, step), stage.text_drop_prob)[0].drop_text

    assert observed(dropped_of) == expected(prob)


@pytest.mark.parametrize("prob", [0.0, 0.1])
def test_in_stage_superres(tiny_weights, prob, monkeypatch):
    file = read_stage_file(tiny_weights / "superres.safetensors")
    networks = {"unet": rebuild_network(file, "unet"), "text": rebuild_text(file), "process": SuperResProcess()}
    stage = SuperResStage(description={}, optimizer=SGD, text_drop_prob=prob, **networks).train()
    monkeypatch.setattr(SuperResStage, "window", property(lambda _: range(1)))  # what else a trainer knows
    images = {"highres": torch.zeros(BATCH_SIZE, 1, 4, 4), "lowres": torch.zeros(BATCH_SIZE, 1, 2, 2)}
    batch = {**images, "text": ["Effusion."] * BATCH_SIZE}
    assert observed(lambda step: stage._loss(batch, step, stage.text_drop_prob)[1]) == expected(prob)
