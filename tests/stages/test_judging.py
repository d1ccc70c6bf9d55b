"""What a stage says of each validation item, computed another way and without its neighbours."""

import functools

import numpy as np
import pytest
import torch

from generatect.checkpoints.rebuild import rebuild_network, rebuild_text
from generatect.checkpoints.stage_file import read_stage_file
from generatect.diffusion.process import SuperResProcess
from generatect.stages.base import Stage
from generatect.stages.ctvit import CTViTStage
from generatect.stages.superres import SuperResStage
from generatect.stages.transformer import TransformerStage

SGD = functools.partial(torch.optim.SGD, lr=0.1)
TEXTS = ["Normal examination.", "Large pleural effusion on the right.", "Cardiomegaly."]


@pytest.fixture(scope="module")
def judged(tiny_weights) -> dict[str, tuple[Stage, dict]]:
    """Each stage with the tiny weights, and a batch of three."""
    files = {
        stage: read_stage_file(tiny_weights / f"{stage}.safetensors") for stage in ("ctvit", "transformer", "superres")
    }
    tokenizer = rebuild_network(files["ctvit"], "ctvit")
    maskgit, unet = rebuild_network(files["transformer"], "maskgit"), rebuild_network(files["superres"], "unet")
    texts = {name: rebuild_text(files[name]) for name in ("transformer", "superres")}
    stages = {
        "ctvit": CTViTStage(description={}, ctvit=tokenizer, optimizer=SGD),
        "transformer": TransformerStage(
            description={}, maskgit=maskgit, text=texts["transformer"], tokenizer=tokenizer, optimizer=SGD
        ),
        "superres": SuperResStage(
            description={}, unet=unet, text=texts["superres"], process=SuperResProcess(), optimizer=SGD, preview_steps=2
        ),
    }
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand(3, 1, 5, 16, 16, generator=generator) * 2 - 1
    batches = {
        "ctvit": {"volume": volume},
        "transformer": {"ids": tokenizer.eval().tokenize(volume), "text": TEXTS},
        "superres": {
            "highres": torch.rand(3, 1, 32, 32, generator=generator) * 2 - 1,
            "lowres": torch.rand(3, 1, 16, 16, generator=generator) * 2 - 1,
            "text": TEXTS,
        },
    }
    return {name: (stage.eval(), batches[name]) for name, stage in stages.items()}


@pytest.mark.parametrize("name", ["ctvit", "transformer", "superres"])
@torch.no_grad()
def test_an_item_is_judged_alike_wherever_it_stands(judged, name):
    stage, batch = judged[name]
    together = stage.judge(batch)
    backwards = stage.judge({key: list(reversed(v)) if key == "text" else v.flip(0) for key, v in batch.items()})
    for key, values in together.items():
        assert values.shape == (3,)
        assert len(values.unique()) > 1 or key == "accuracy"
        torch.testing.assert_close(values, backwards[key].flip(0), rtol=1e-4, atol=1e-5)
        again = stage.judge(batch)[key]
        assert torch.equal(values, again)  # nothing is drawn anew


@torch.no_grad()
def test_the_errors_are_those_of_the_pictures(judged):
    stage, batch = judged["ctvit"]
    real, made = (array.numpy() for array in stage.compare(batch, 0))
    for index, (error, psnr) in enumerate(zip(*stage.judge(batch).values(), strict=True)):
        expected = np.mean((real[index] - made[index]) ** 2)
        assert error.item() == pytest.approx(expected, rel=1e-5)
        assert psnr.item() == pytest.approx(20 * np.log10(2 / np.sqrt(expected)), rel=1e-5)
    stage, batch = judged["superres"]
    judgement = stage.judge(batch)
    for index in range(3):
        item = {key: value[index : index + 1] for key, value in batch.items()}
        pictures = {title: picture.numpy() for title, picture in stage.preview(item).items()}
        for key, title in (("psnr", "refined"), ("psnr_interpolated", "interpolated")):
            error = np.mean((pictures[title] - pictures["real"]) ** 2)
            assert judgement[key][index].item() == pytest.approx(20 * np.log10(2 / np.sqrt(error)), rel=1e-4)


@torch.no_grad()
def test_a_report_counts_for_its_item_alone(judged):
    stage, batch = judged["transformer"]
    own, other = stage.judge(batch), stage.judge({**batch, "text": [TEXTS[1], *TEXTS[1:]]})
    assert own["text_gain"].abs().min() > 0
    assert own["loss"][0] != other["loss"][0]
    assert torch.equal(own["loss"][1:], other["loss"][1:])
    blind = own["loss"] + own["text_gain"]
    torch.testing.assert_close(blind, other["loss"] + other["text_gain"])  # without a report it makes no difference
