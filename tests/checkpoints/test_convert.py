"""Published files ↔ ours at published size: strict, lossless, and with room on the disk or not at all."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from generatect.checkpoints.convert import convert_file, write_original
from generatect.checkpoints.rebuild import rebuild_network
from generatect.checkpoints.released_layout import PUBLISHED, layout_of
from generatect.checkpoints.stage_file import STAGES, read_stage_file
from generatect.errors import InputError
from generatect.files import sha256_of_file

Content = dict[str, dict[str, Tensor] | Tensor]


def hollow(layout: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors of the published shapes that take no room: every value is the same number."""
    return {
        key: torch.zeros(1).expand(shape) if 0 not in shape else torch.zeros(shape) for key, shape in layout.items()
    }


def random(layout: dict[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
    return {key: torch.randn(shape, generator=generator) for key, shape in layout.items()}


def averaged(model: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.replace("unets.1.", "1.ema_model."): value for key, value in model.items() if "unets.1." in key}


def published(stage: str) -> Content:
    """A hollow published file."""
    tensors = hollow(layout_of(stage))
    if stage != "superres":
        return dict(tensors)
    return {"model": tensors, "ema": {"1.initted": torch.ones(1), "1.step": torch.zeros(1), **averaged(tensors)}}


def flat(content: Content) -> dict[str, Tensor]:
    inner = {f"{part}.{k}": v for part, value in content.items() if isinstance(value, dict) for k, v in value.items()}
    return {key: value for key, value in content.items() if isinstance(value, Tensor)} | inner


@pytest.fixture
def scratch(tmp_path):
    """A folder that is emptied afterwards: the files are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_the_layout_is_the_recorded_one(fixtures_dir, stage):
    path = fixtures_dir.parent / "spec" / "released_checkpoint_layout.json"
    if not path.is_file():
        pytest.skip(f"no layout of the published files at {path}")
    recorded = json.loads(path.read_text())[f"{stage}_pretrained.pt"]
    recorded = recorded.get("model", recorded)
    assert layout_of(stage) == {key: tuple(shape) for key, (shape, _) in recorded.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_round_trip_returns_every_tensor(command, scratch, stage):
    generator = torch.Generator().manual_seed(1)
    content: Content = dict(random(layout_of(stage), generator))
    if stage == "superres":
        other = averaged(random(layout_of(stage), generator))
        content = {"model": dict(content), "ema": {"1.step": torch.tensor([7]), **other}, "steps": torch.tensor([0, 7])}
    source, ours, back = scratch / "released.pt", scratch / f"{stage}.safetensors", scratch / "back.pt"
    torch.save({**content, "time_elapsed": 3.0} if stage == "superres" else content, source)
    assert command("convert", f"source={source}", f"output={ours}").code == 0
    file = read_stage_file(ours, stage)
    assert file.description["source"] == {"name": "released.pt", "sha256": sha256_of_file(source)}
    for network in file.description["networks"]:
        rebuild_network(file, network)
    assert command("convert", f"source={ours}", f"output={back}", "to=original").code == 0
    returned, sent = flat(torch.load(back, weights_only=True, mmap=True)), flat(content)
    assert returned.keys() == sent.keys()
    assert all(torch.equal(returned[key], sent[key]) for key in sent)


def as_the_trainer_saves(layout: dict[str, tuple[int, ...]], generator: torch.Generator) -> Content:
    """Keys, types and shapes of what the original's trainer of the upscaler writes."""
    model, average = random(layout, generator), averaged(random(layout, generator))
    online = {key.replace("ema_model", "online_model"): value for key, value in averaged(model).items()}
    empty = {f"0.{copy}.dummy_parameter": torch.zeros(1) for copy in ("online_model", "ema_model")}
    counters = {f"{unet}.initted": torch.ones(1) for unet in "01"} | {
        f"{unet}.step": torch.tensor([9]) for unet in "01"
    }
    content = {"model": model, "ema": {**empty, **counters, **online, **average}, "steps": torch.tensor([0, 41])}
    adam = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    return {**content, "time_elapsed": 3.5, "optim0": adam, "optim1": adam, "scaler0": {}, "scaler1": {}}


def assert_its_loader_takes_it(path: Path, layout: dict[str, tuple[int, ...]], trained: bool = True) -> Content:
    """What `load` of the original's trainer, and the script that samples, look up in a file, strictly."""
    content = torch.load(path, weights_only=True)
    assert {key: tuple(value.shape) for key, value in content["model"].items()} == layout
    copies = {key.replace("unets.1", "1.#").replace("unets.0", "0.#"): shape for key, shape in layout.items()}
    expected = {
        key.replace("#", copy): shape for key, shape in copies.items() for copy in ("ema_model", "online_model")
    }
    expected |= {f"{unet}.{name}": (1,) for unet in "01" for name in ("initted", "step")}
    assert {key: tuple(value.shape) for key, value in content["ema"].items()} == expected
    torch.zeros(2, dtype=torch.long).copy_(content["steps"])
    assert content["steps"].dtype == torch.long
    assert isinstance(content["time_elapsed"], float)
    floating = [value for part in ("model", "ema") for key, value in content[part].items() if "step" not in key]
    assert {value.dtype for value in floating} == {torch.float32}
    assert (content["steps"] > 0).tolist() == [False, True]  # one that counts none is called untrained
    return content


def test_an_upscaler_that_the_original_saved_goes_back_to_its_loader(scratch):
    sent = as_the_trainer_saves(layout_of("superres"), torch.Generator().manual_seed(2))
    torch.save(sent, scratch / "saved.pt")
    convert_file(scratch / "saved.pt", scratch / "superres.safetensors")
    write_original(read_stage_file(scratch / "superres.safetensors"), scratch / "back.pt")
    back = assert_its_loader_takes_it(scratch / "back.pt", layout_of("superres"))
    kept = {key: sent[key] for key in ("model", "ema", "steps")}
    assert flat(back).keys() == flat(kept).keys()
    assert all(torch.equal(value, flat(back)[key]) for key, value in flat(kept).items())
    assert back["time_elapsed"] == 3.5


@pytest.mark.parametrize("ema", [False, True])
def test_an_upscaler_without_the_originals_extras_gets_them(scratch, ema):
    layout = layout_of("superres")
    content = {"model": random(layout, torch.Generator().manual_seed(3))}
    if ema:
        content["ema"] = averaged(content["model"])
    torch.save(content, scratch / "bare.pt")
    convert_file(scratch / "bare.pt", scratch / "superres.safetensors")
    write_original(read_stage_file(scratch / "superres.safetensors"), scratch / "back.pt")
    back = assert_its_loader_takes_it(scratch / "back.pt", layout)
    assert all(torch.equal(back["model"][key], value) for key, value in content["model"].items())
    for copy in ("ema_model", "online_model"):
        assert all(
            torch.equal(back["ema"][key.replace("ema_model", copy)], value)
            for key, value in averaged(content["model"]).items()
        )


@pytest.mark.parametrize("stage", ["ctvit", "transformer"])
def test_a_checkpoint_of_the_originals_trainer_is_read_and_goes_back_bare(scratch, stage):
    state = random(layout_of(stage), torch.Generator().manual_seed(4))
    torch.save({"model": state, "optim": {"state": {}, "param_groups": []}, "discr_optim": {}}, scratch / "saved.pt")
    assert convert_file(scratch / "saved.pt", scratch / f"{stage}.safetensors") == stage
    write_original(read_stage_file(scratch / f"{stage}.safetensors"), scratch / "back.pt")
    back = torch.load(scratch / "back.pt", weights_only=True)
    assert {key: (value.shape, value.dtype) for key, value in back.items()} == {
        key: (value.shape, value.dtype) for key, value in state.items()
    }
    assert all(torch.equal(back[key], value) for key, value in state.items())


def test_the_average_is_used_and_the_rest_is_kept(scratch):
    content = published("superres")
    content["ema"] = {key: value + 1 if "ema_model" in key else value for key, value in content["ema"].items()}
    torch.save(content, scratch / "a.pt")
    convert_file(scratch / "a.pt", scratch / "superres.safetensors")
    file = read_stage_file(scratch / "superres.safetensors", "superres")
    assert all((value == 1).all() for value in file.state_of("unet").values())
    assert all((value == 0).all() for value in file.state_of("unaveraged").values())


def without(key: str):
    return lambda content: content.pop(key)


def with_tensor(key: str, value: Tensor):
    return lambda content: content.update({key: value})


def at_the_last_level_alone(content: Content) -> None:
    """What one published container loads: 24 tensors of cross-attention fewer."""
    for part in content.values():
        for key in [key for key in part if re.search(r"(downs\.[01]\.1|ups\.[12]\.0)\.cross_attn", key)]:
            del part[key]


def deeper(content: Content) -> None:
    extra = {key.replace("layers.5.", "layers.6."): value for key, value in content.items() if "maskgit" in key}
    content.update(extra)


def wider(content: Content) -> None:
    content["maskgit.to_logits.weight"] = torch.zeros(1).expand(8192, 768)


CORRUPTIONS = {
    "a tensor missing": ("ctvit", without("to_pixels.0.bias"), r"1 missing: to_pixels\.0\.bias"),
    "the discriminator missing": (
        "ctvit",
        lambda c: [c.pop(key) for key in list(c) if key.startswith("discr.")],
        r"60 missing: discr\..*and 55 more",
    ),
    "no VGG": ("ctvit", lambda c: [c.pop(key) for key in list(c) if key.startswith("vgg.")], r"30 missing: vgg\."),
    "a tensor left over": ("transformer", with_tensor("critic.weight", torch.zeros(1)), r"1 left over: critic\.weight"),
    "another shape": (
        "ctvit",
        with_tensor("vq._codebook.embed", torch.zeros(1).expand(1, 4096, 512)),
        r"1 of another shape: vq\._codebook\.embed is \[1, 4096, 512\], expected \[1, 8192, 512\]",
    ),
    "another depth": ("transformer", deeper, r"26 left over: maskgit\.transformer\.layers\.6"),
    "another width": ("transformer", wider, r"maskgit\.to_logits\.weight is \[8192, 768\], expected \[8192, 512\]"),
    "whole numbers": (
        "transformer",
        with_tensor("maskgit.to_logits.bias", torch.zeros(8192, dtype=torch.int64)),
        r"1 no floating-point tensor: maskgit\.to_logits\.bias",
    ),
    "cross-attention at one level": ("superres", at_the_last_level_alone, r"part 'model'.*24 missing: unets"),
    "an average that is not whole": (
        "superres",
        lambda c: c["ema"].pop("1.ema_model.final_conv.bias"),
        r"part 'ema'.*1 missing: 1\.ema_model\.final_conv\.bias",
    ),
    "a tensor twice": (
        "transformer",
        with_tensor("module.maskgit.to_logits.bias", torch.zeros(8192)),
        r"'maskgit\.to_logits\.bias' twice",
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_corruption_is_refused_by_its_own_message(command, tmp_path, name):
    stage, corrupt, message = CORRUPTIONS[name]
    content = published(stage)
    corrupt(content)
    torch.save(content, tmp_path / "released.pt")
    ended = command("convert", f"source={tmp_path / 'released.pt'}", f"output={tmp_path / 'a.safetensors'}")
    assert ended.code == 2
    assert "released.pt" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert re.search(message, ended.err), ended.err
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_refused(command, tmp_path, share):
    torch.save(published("superres"), tmp_path / "whole.pt")
    data = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: int(share * len(data))])
    ended = command("convert", f"source={tmp_path / 'cut.pt'}", f"output={tmp_path / 'a.safetensors'}")
    assert ended.code == 2
    assert "not a whole file of tensors" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_forward_module.", "_forward_module.module._orig_mod."])
@pytest.mark.parametrize("stage", STAGES)
def test_prefixes_of_wrappers_are_understood(stage, prefix, tmp_path):
    content = published(stage)
    wrapped = {
        key: {f"{prefix}{k}": v for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in content.items()
    }
    if stage != "superres":
        wrapped = {f"{prefix}{key}": value for key, value in wrapped.items()}
    torch.save(wrapped, tmp_path / "a.pt")
    assert convert_header(tmp_path) == stage


def test_half_precision_is_accepted_and_kept(tmp_path):
    torch.save({key: value.half() for key, value in published("transformer").items()}, tmp_path / "a.pt")
    assert convert_header(tmp_path) == "transformer"


def convert_header(folder: Path) -> str:
    """The stage that a hollow file is recognised as, all checks included; the output is not kept."""
    stage = convert_file(folder / "a.pt", folder / "out.safetensors")
    (folder / "out.safetensors").unlink()
    return stage


def test_no_room_on_the_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    torch.save(published("superres"), tmp_path / "a.pt")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(InputError, match=r"out\.safetensors: needs 1\d\d MB, but 1 MB are free there"):
        convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt"]


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, monkeypatch):
    torch.save(published("superres"), tmp_path / "a.pt")
    (tmp_path / "out.safetensors").write_bytes(b"old")

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "out.safetensors"]


DISCRIMINATOR = ("model.discriminator.dim=4", "+model.discriminator.compat=released")


def test_a_mended_network_is_refused(tiny_weights, tmp_path):
    with pytest.raises(InputError, match=r"networks\.ctvit is of the mended form.*model=released"):
        write_original(read_stage_file(tiny_weights / "ctvit.safetensors"), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"text encoder is not T5"):
        write_original(read_stage_file(tiny_weights / "superres.safetensors"), tmp_path / "a.pt")


def test_a_tokenizer_trained_here_goes_to_the_original_and_back(train_tiny, tmp_path):
    run = train_tiny("ctvit", "+model.ctvit.compat=released", "model.ctvit.code_dim=null", *DISCRIMINATOR)
    exported, whole = read_stage_file(run / "ctvit.safetensors"), read_stage_file(run / "last.ckpt")
    with pytest.raises(InputError, match=r"holds no discriminator.*last\.ckpt"):
        write_original(exported, tmp_path / "back.pt")
    with pytest.raises(InputError, match=r"holds no VGG16.*vgg=FILE"):
        write_original(whole, tmp_path / "back.pt")
    vgg = {key[4:]: value for key, value in published("ctvit").items() if key.startswith("vgg.")}
    torch.save(vgg, tmp_path / "vgg16.pt")
    write_original(whole, tmp_path / "back.pt", vgg=tmp_path / "vgg16.pt")
    sizes = {
        **PUBLISHED,
        "ctvit": whole.description["networks"]["ctvit"],
        "discriminator": {"image_size": 16, "dim": 4, "compat": "released"},
    }
    convert_file(tmp_path / "back.pt", tmp_path / "ctvit.safetensors", sizes)
    again = read_stage_file(tmp_path / "ctvit.safetensors", "ctvit")
    for network in ("ctvit", "discriminator"):
        before, after = whole.state_of(network), again.state_of(network)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before if "idle_steps" not in key)
