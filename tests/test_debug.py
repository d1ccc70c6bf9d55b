"""`debug=fast|overfit|profile` for each stage."""

import gzip
import json
import math

import pytest

from generatect.callbacks.overfit import verdict
from generatect.config.scores import read_scores

STAGES = ("ctvit", "transformer", "superres")


@pytest.fixture
def debug(command, tiny_weights, tmp_path):
    """Function that trains a stage with `debug=`, and returns what it said."""

    def run(stage: str, choice: str, *overrides: str) -> str:
        earlier = [] if stage == "ctvit" else [f"tokenizer={tiny_weights / 'ctvit.safetensors'}"]
        places = [f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}", "trainer.accelerator=cpu"]
        ended = command("train", f"stage={stage}", f"debug={choice}", *earlier, *places, *overrides)
        assert ended.code == 0, ended.err
        return ended.out

    return run


@pytest.mark.parametrize("stage", STAGES)
def test_fast_does_everything_twice(debug, tmp_path, stage):
    said = debug(stage, "fast", "text_encoder.encoder.max_tokens=9")
    assert "4 volumes to train and 2 to validate on" in said
    cut = "6 of 6 reports are longer than the 9 tokens that the text encoder reads"
    assert said.count(cut) == (stage != "ctvit")
    output = tmp_path / "out"
    assert set(read_scores(output / "scores.json").validations) == {1, 2}
    assert len(list((output / "previews").glob("*.png"))) == 2
    for name in ("last.ckpt", f"{stage}.safetensors", "config.yaml"):
        assert (output / name).is_file()
    assert list((output / "checkpoints").glob("*.ckpt"))


def test_fast_takes_other_callbacks_and_shows_no_foreign_bar(debug):
    said = debug("ctvit", "fast", "callbacks=[latest,interruption]")
    assert "callbacks.ema: not among the callbacks chosen; its settings have no effect" in said
    assert "v_num" not in said
    assert "Epoch" not in said


@pytest.mark.parametrize("stage", STAGES)
def test_overfit_says_whether_the_loss_fell(debug, stage):
    rate = ["stage.module.optimizer.lr=1e-2", "steps=30", "val_every=30", "~callbacks.previews"]
    said = debug(stage, "overfit", "model=tiny", *rate)
    assert "4 volumes to train" in said
    (line,) = [line for line in said.splitlines() if line.startswith("overfit: loss")]
    assert "in 30 steps, " in line
    if stage == "ctvit":
        assert line.endswith("it fell (below 70%)")
    else:
        assert "overfit: text_drop_prob is 0 instead of" in said
        assert "overfit: word_dropout_prob is 0 instead of 0.15" in said


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([1.0] * 10 + [0.1] * 10, "loss 1 → 0.1 in 20 steps, 10% of where it began: it fell (below 70%)"),
        ([1.0] * 20, "100% of where it began: not learned by heart, expected below 70%; give more steps"),
        ([0.929] * 2 + [0.6876] * 2, "loss 0.929 → 0.6876 in 4 steps, 74% of where it began: not learned"),
        ([1.0, math.nan], "it is not finite; lower stage.module.optimizer.lr"),
        ([2.0], "loss 2 → 2 in 1 steps, 100% of where it began: not learned by heart"),
    ],
)
def test_the_verdict(losses, message):
    assert message in verdict(losses)


@pytest.mark.parametrize("stage", STAGES)
def test_profile_writes_a_trace_and_names_the_costliest(debug, tmp_path, stage):
    recorded = ["callbacks.profile.first=2", "callbacks.profile.num_steps=1", "steps=2", "val_every=2"]
    said = debug(stage, "profile", "model=tiny", "data.pairs.num=20", "~callbacks.previews", *recorded)
    with gzip.open(tmp_path / "out" / "profile" / "trace.json.gz", "rt") as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert {"aten::addmm", "aten::mm"} & names
    assert "aten::" in (tmp_path / "out" / "profile" / "costliest.txt").read_text()
    assert "aten::" in said
    assert len(said.splitlines()) < 60
