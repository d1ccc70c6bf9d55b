"""The three stages through the real commands, on the smallest model."""

import copy
import functools
import hashlib
import itertools
import json

import nibabel as nib
import numpy as np
import pytest
import torch

from generatect.checkpoints.rebuild import rebuild_network, rebuild_text
from generatect.checkpoints.stage_file import EMA_KEY, read_stage_file
from generatect.ct.dicom import read_series
from generatect.ct.nifti import read_nifti
from generatect.errors import InputError
from generatect.pipeline import TextToCT
from generatect.stages.base import Stage
from generatect.stages.ctvit import CTViTStage
from generatect.stages.transformer import TransformerStage
from generatect.train import chosen

STAGES = ("ctvit", "transformer", "superres")
OWNED = {
    "ctvit": {"ctvit", "discriminator"},
    "transformer": {"maskgit", "text", "token_critic"},
    "superres": {"unet", "text"},
}
SHIPPED = {"ctvit": {"ctvit"}, "transformer": {"maskgit", "text", "token_critic"}, "superres": {"unet", "text"}}
AVERAGE_ALL = ("callbacks.ema.every=1", "callbacks.ema.start=0")
QUICK = ("tokens.steps=2", "upscale.steps=1", "device=cpu", "gate=null")


@pytest.fixture(scope="session")
def earlier(tiny_weights):
    """Function from a stage to the setting it needs beside its own."""
    return lambda stage: [] if stage == "ctvit" else [f"tokenizer={tiny_weights / 'ctvit.safetensors'}"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_export_holds_the_average_and_nothing_frozen(tiny_weights, stage):
    exported = read_stage_file(tiny_weights / f"{stage}.safetensors", stage)
    content = torch.load(tiny_weights / f"{stage}.ckpt", weights_only=True)
    trained, average = content["state_dict"], content.get(EMA_KEY, {})
    assert {key.split(".")[0] for key in trained} == OWNED[stage]
    assert {key.split(".")[0] for key in exported.state} == SHIPPED[stage]
    assert all(torch.equal(value, average.get(key, trained[key])) for key, value in exported.state.items())
    if stage == "superres":  # the one that the original averages
        assert {key.split(".")[0] for key in average} == {"unet", "text"}
        assert _moved(average, trained)


def test_checkpoint_and_export_rebuild_the_same_networks(tiny_weights):
    files = {stage: str(tiny_weights / f"{stage}.ckpt") for stage in STAGES}
    models = TextToCT.load(str(tiny_weights), "cpu"), TextToCT.load(files, "cpu")
    for name in ("tokenizer", "maskgit", "tokens_text", "unet", "slices_text"):
        ours, theirs = (getattr(model, name).state_dict() for model in models)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("stage", STAGES)
def test_two_steps_resumed_for_two_more_are_four(train_tiny, earlier, stage):
    ema = [*AVERAGE_ALL, "~callbacks.previews", *earlier(stage)]
    whole = train_tiny(stage, *ema)
    half = train_tiny(stage, "steps=2", *ema)
    resumed = train_tiny(stage, f"resume={half / 'last.ckpt'}", *ema)
    same_folder = train_tiny(stage, f"resume={half / 'last.ckpt'}", *ema, output=half)
    for output in (resumed, same_folder):
        _assert_same_state(whole / "last.ckpt", output / "last.ckpt")
        assert (whole / f"{stage}.safetensors").read_bytes() == (output / f"{stage}.safetensors").read_bytes()


def test_a_run_broken_off_between_validations_goes_on(train_tiny):
    settings = ("val_every=4", "~callbacks.previews", "callbacks.latest.every=3")
    whole = train_tiny("ctvit", *settings, "callbacks.latest.path=${output}/third.ckpt")
    resumed = train_tiny("ctvit", *settings, f"resume={whole / 'third.ckpt'}")  # what a run killed in batch 4 leaves
    _assert_same_state(whole / "last.ckpt", resumed / "last.ckpt")


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_starts_from_given_weights(train_tiny, earlier, tiny_weights, stage):
    given = read_stage_file(tiny_weights / f"{stage}.ckpt")
    still = ("stage.module.optimizer.lr=0", "stage.module.optimizer.weight_decay=0", "steps=1", "val_every=1")
    still += ("stage.module.discriminator_optimizer.lr=0",) if stage == "ctvit" else ()
    output = train_tiny(stage, *earlier(stage), *still, f"init={tiny_weights / f'{stage}.ckpt'}")
    state = read_stage_file(output / "last.ckpt").state
    learned = {key for key in state if "quantizer" not in key}  # the codebook follows the data at any learning rate
    assert {key.split(".")[0] for key in learned} == OWNED[stage]
    assert all(torch.equal(state[key], given.state[key]) for key in learned)


def test_weights_of_another_size_or_beside_a_resumed_run_are_refused(command, tiny_weights, tmp_path):
    given = f"init={tiny_weights / 'ctvit.safetensors'}"
    ended = command("train", "stage=ctvit", "model=tiny", "model.ctvit.heads=3", given, f"output={tmp_path / 'o'}")
    assert ended.code == 2
    assert "do not fit" in ended.err
    both = (given, f"resume={tiny_weights / 'ctvit.ckpt'}")
    ended = command("train", "stage=ctvit", "model=tiny", *both, f"output={tmp_path / 'o'}")
    assert ended.code == 2
    assert "give init or resume, not both" in ended.err
    assert not (tmp_path / "o").exists()


def test_a_finished_run_has_nothing_to_resume(command, tiny_weights, tmp_path):
    settings = ("model=tiny", "data.pairs.num=20", "trainer.accelerator=cpu", "steps=4")
    ended = command("train", *settings, f"resume={tiny_weights / 'ctvit.ckpt'}", f"output={tmp_path / 'o'}")
    assert ended.code == 2
    assert "4 steps are done" in ended.err


def test_a_member_of_a_group_is_its_settings_or_null():
    node = {"_target_": "generatect.callbacks.health.Health"}
    assert chosen("callbacks", {"health": node, "previews": None}) == {"health": node}
    with pytest.raises(InputError, match=r"callbacks\.previews=False: expected its settings, or null to do without it"):
        chosen("callbacks", {"health": node, "previews": False})


def test_the_discriminator_moves_in_its_own_steps_alone(train_tiny):
    """One step in three; the tokenizer moves in all of them."""
    less = ("callbacks.previews=null", "logger.csv=null")  # as good as ~callbacks.previews
    states = [
        torch.load(train_tiny("ctvit", f"steps={steps}", *less) / "last.ckpt", weights_only=True) for steps in (1, 2, 3)
    ]
    moved = [_moved(*(state["state_dict"] for state in pair)) for pair in itertools.pairwise(states)]
    assert {key.split(".")[0] for key in moved[0]} == {"ctvit"}
    assert {key.split(".")[0] for key in moved[1]} == {"ctvit", "discriminator"}


@pytest.mark.parametrize("stage", STAGES)
def test_training_moves_every_parameter_and_nothing_else(train_tiny, earlier, stage, tiny_weights, monkeypatch):
    frozen = []
    monkeypatch.setattr(Stage, "on_train_end", lambda stage: frozen.append(_hidden_state(stage)))
    settings = ("~callbacks.previews", "stage.datamodule.batch_size=8", *earlier(stage))
    three, six = (
        torch.load(train_tiny(stage, f"steps={steps}", *settings) / "last.ckpt", weights_only=True) for steps in (3, 6)
    )
    stayed = three["state_dict"].keys() - _moved(three["state_dict"], six["state_dict"])
    assert not {key for key in stayed if key.endswith("weight")}  # of a softmax a bias moves nothing
    given = read_stage_file(tiny_weights / "ctvit.safetensors").state_of("ctvit")
    assert frozen == [{}, {}] if stage != "transformer" else all(not _moved(given, state) for state in frozen)


def test_frozen_networks_stay_out_of_a_stage(tiny_weights):
    tokenizer = rebuild_network(read_stage_file(tiny_weights / "ctvit.safetensors"), "ctvit")
    maskgit = rebuild_network(read_stage_file(tiny_weights / "transformer.safetensors"), "maskgit")
    text = rebuild_text(read_stage_file(tiny_weights / "transformer.safetensors"))
    perceptual = torch.nn.Conv2d(3, 4, 3)
    optimizer = functools.partial(torch.optim.SGD, lr=0.1)
    later = TransformerStage(description={}, maskgit=maskgit, text=text, tokenizer=tokenizer, optimizer=optimizer)
    first = CTViTStage(description={}, ctvit=copy.deepcopy(tokenizer), perceptual=perceptual, optimizer=optimizer)
    for stage, frozen in ((later, tokenizer), (first, perceptual)):
        stage.train()
        inside = {id(parameter) for parameter in stage.parameters()}
        assert not any(id(parameter) in inside or parameter.requires_grad for parameter in frozen.parameters())
        assert not frozen.training
        assert {key.split(".")[0] for key in stage.state_dict()} == {name for name, _ in stage.named_children()}


@pytest.mark.parametrize("stage", STAGES)
def test_bf16_trains_fp32_weights(train_tiny, earlier, stage):
    output = train_tiny(stage, "precision=bf16", *earlier(stage))
    state = read_stage_file(output / f"{stage}.safetensors", stage).state
    floating = [value for value in state.values() if value.is_floating_point()]
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in floating)
    assert list((output / "previews").glob("*.png"))


@pytest.mark.parametrize("stage", STAGES)
def test_another_seed_gives_other_weights(train_tiny, earlier, tiny_weights, stage):
    other = train_tiny(stage, "seed=1", "steps=1", "~callbacks.previews", *earlier(stage))
    assert (other / f"{stage}.safetensors").read_bytes() != (tiny_weights / f"{stage}.safetensors").read_bytes()


def test_generated_bytes_depend_on_seed_and_prompt_alone(command, tiny_weights, tmp_path):
    def run(name: str, *overrides: str) -> dict[str, str]:
        folder = tmp_path / name
        ended = command("generate", f"weights={tiny_weights}", f"output={folder}", *QUICK, *overrides)
        assert ended.code == 0, ended.err
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}

    first, again = run("a", "prompt=Large effusion.", "seed=3"), run("b", "prompt=Large effusion.", "seed=3")
    assert list(first) == ["generated.json", "generated.nii.gz", "generated.png"]
    assert first == again
    assert run("c", "prompt=Large effusion.", "seed=4")["generated.nii.gz"] != first["generated.nii.gz"]
    table = tmp_path / "prompts.csv"
    table.write_text("name,prompt\nx,Normal chest.\ny,Large effusion.\n")
    beside = run("d", f"prompts={table}", "seed=2")  # the second prompt is sampled with seed 3
    assert beside["y.nii.gz"] == first["generated.nii.gz"]
    assert beside["x.nii.gz"] != beside["y.nii.gz"]
    image = nib.load(tmp_path / "a" / "generated.nii.gz")
    assert image.shape == (32, 32, 5)
    np.testing.assert_allclose(image.header.get_zooms(), (12, 12, 301.5 / 5), rtol=1e-5)
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")


def test_a_reconstruction_lies_on_its_input(command, tiny_weights, real_ct_dir, tmp_path):
    source = real_ct_dir / "chest_a.nii.gz"
    ended = command("reconstruct", f"input={source}", f"output={tmp_path}", f"weights={tiny_weights}", "device=cpu")
    assert ended.code == 0, ended.err
    original, result = nib.load(source), nib.load(tmp_path / "chest_a.nii.gz")
    assert result.shape == original.shape
    np.testing.assert_allclose(result.affine, original.affine, atol=1e-4)
    assert nib.aff2axcodes(result.affine) == nib.aff2axcodes(original.affine)
    assert (tmp_path / "chest_a.png").is_file()
    assert (tmp_path / "chest_a.json").is_file()


def test_a_dicom_series_is_reconstructed_where_it_lay(command, tiny_weights, real_ct_dir, tmp_path):
    source = real_ct_dir / "dicom_series"
    ended = command("reconstruct", f"input={source}", f"output={tmp_path}", f"weights={tiny_weights}", "device=cpu")
    assert ended.code == 0, ended.err
    original, result = read_series(source), read_nifti(tmp_path / "dicom_series.nii.gz", hu_policy="unchecked")
    assert result.shape_zyx == original.shape_zyx
    np.testing.assert_allclose(result.affine, original.affine, atol=1e-3)
    assert json.loads((tmp_path / "dicom_series.json").read_text())["hu"]["policy"] == "header"


def test_training_on_ones_own_two_scans(command, real_ct_dir, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("volume,patient,text\nchest_a,a,Clear lungs.\nchest_b,b,Nodule.\n")
    data = ("data=folder", f"data.root={real_ct_dir}", f"data.table={table}", f"cache_dir={tmp_path / 'cache'}")
    small = ("model=tiny", "steps=2", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    output = tmp_path / "ctvit"
    ended = command("train", *data, *small, f"output={output}", "stage.datamodule.val_fraction=0.0")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert read_stage_file(output / "ctvit.safetensors", "ctvit").description["notice"] is None


def _hidden_state(stage: Stage) -> dict[str, torch.Tensor]:
    """Weights that a stage uses and does not train."""
    networks = [network for key in ("_tokenizer", "_perceptual") for network in getattr(stage, key, ())]
    return {key: value.clone() for network in networks for key, value in network.state_dict().items()}


def _moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


def _assert_same_state(one, other):
    one, other = (torch.load(path, weights_only=True) for path in (one, other))
    for part in ("state_dict", EMA_KEY):
        assert all(torch.equal(value, other[part][key]) for key, value in one.get(part, {}).items())
    for ours, theirs in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for index, state in ours["state"].items():
            assert all(torch.equal(value, theirs["state"][index][key]) for key, value in state.items())
    assert one["lr_schedulers"] == other["lr_schedulers"]
