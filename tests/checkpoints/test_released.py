"""The published files, small: recordings of the original's weights in the layout of the three files."""

import json
from pathlib import Path

import pytest
import torch

from generatect.checkpoints.rebuild import codebook_sha256, rebuild_network, rebuild_preset, rebuild_process
from generatect.checkpoints.released import released_stage
from generatect.checkpoints.stage_file import read_stage_file
from generatect.checkpoints.weights import find_weights
from generatect.ct.preset import ReleasedPreset
from generatect.diffusion.process import SuperResProcess
from generatect.errors import InputError
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.unet import SuperResUNet


@pytest.fixture(scope="module")
def content(load_recording) -> dict[str, dict]:
    """What each file holds, by stage."""

    def prefixed(prefix: str, state: dict) -> dict:
        return {f"{prefix}.{key}": value for key, value in state.items()}

    ctvit, unet = load_recording("ctvit").state(), load_recording("unet_cross_everywhere").state()
    raw = {key: torch.zeros_like(value) for key, value in unet.items()}  # the average is what counts
    return {
        "ctvit": {**ctvit, "vgg.features.0.weight": torch.zeros(2), "discr.to_logits.0.weight": torch.zeros(2)},
        "transformer": {**prefixed("ctvit", ctvit), **prefixed("maskgit", load_recording("maskgit").state())},
        "superres": {
            "model": {"unets.0.dummy_parameter": torch.zeros(1), **prefixed("unets.1", raw)},
            "ema": {"1.initted": torch.ones(1), **prefixed("1.ema_model", unet)},
            "steps": torch.zeros(2),
            "optim0": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        },
    }


@pytest.fixture(scope="module")
def folder(content, tmp_path_factory) -> Path:
    """The three files under their published names."""
    folder = tmp_path_factory.mktemp("published")
    for stage, tensors in content.items():
        torch.save(tensors, folder / f"{stage}_pretrained.pt")
    return folder


@pytest.fixture
def released_form():
    """Function from a recording's configuration to our constructor arguments."""
    names = {"temporal_patch_size": "slice_patch_size", "max_seq_len": "max_tokens", "dim_context": "text_width"}

    def translate(config: dict) -> dict:
        return {names.get(k, k): v for k, v in config.items() if k != "patch_shape"} | {"compat": "released"}

    return translate


def test_tokenizer(load_recording, folder, released_form):
    recording = load_recording("ctvit")
    file = find_weights(str(folder), "ctvit")
    network = rebuild_network(file, "ctvit")
    size = {"image_size": recording.config["image_size"]}  # which no tensor tells: described is the published one
    assert file.description["networks"]["ctvit"] | size == released_form(recording.config)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in file.state_of("ctvit").items())
    assert isinstance(rebuild_preset(file), ReleasedPreset)
    assert "licence" in file.description["notice"]


def test_transformer_is_of_its_tokenizer(load_recording, folder, released_form):
    recording = load_recording("maskgit")
    file = find_weights({"transformer": str(folder / "transformer_pretrained.pt")}, "transformer")
    rebuild_network(file, "maskgit")
    assert file.description["networks"]["maskgit"] == released_form(recording.config)
    assert {key.split(".")[0] for key in file.state_to_use()} == {"maskgit"}
    tokenizers = [str(folder), str(folder / "transformer_pretrained.pt")]
    for tokenizer in (find_weights(weights, "ctvit") for weights in tokenizers):
        rebuild_network(tokenizer, "ctvit")
        assert file.description["codebook_sha256"] == codebook_sha256(tokenizer)


def test_superres_takes_the_average(load_recording, folder):
    recording = load_recording("unet_cross_everywhere")
    file = find_weights(str(folder), "superres")
    network = rebuild_network(file, "unet")
    described, config = file.description["networks"]["unet"], recording.config
    assert described["dim_mults"] == config["dim_mults"]
    assert (described["heads"], described["dim_head"]) == (config["attn_heads"], config["attn_dim_head"])
    assert described["cross_attention"] == [True] * len(config["dim_mults"])
    assert network.state_dict()["first_convolution.branches.0.weight"].abs().sum() > 0
    assert rebuild_process(file) == SuperResProcess.released()


@pytest.mark.parametrize("stage", ["transformer", "superres"])
def test_prompts_are_cleaned_for_a_frozen_t5_alone(folder, stage):
    text = find_weights(str(folder), stage).description["text"]
    assert text["encoder"]["kind"] == "t5"
    assert text["adapter"] is None
    assert text["clean_prompt"] is True


@pytest.mark.parametrize(("stage", "network"), [("ctvit", CTViT), ("transformer", MaskGIT), ("superres", SuperResUNet)])
def test_the_published_sizes_are_read_and_load_strictly(fixtures_dir, stage, network):
    path = fixtures_dir.parent / "spec" / "released_checkpoint_layout.json"
    if not path.is_file():
        pytest.skip(f"no layout of the published files at {path}")

    def empty(node: dict | list):
        if isinstance(node, dict):
            return {key: empty(value) for key, value in node.items()}
        return torch.empty(node[0], device="cpu" if 8192 in node[0] else "meta")  # a codebook is hashed

    description, state = released_stage(empty(json.loads(path.read_text())[f"{stage}_pretrained.pt"]))
    [(name, arguments)] = description["networks"].items()
    with torch.device("meta"):
        own = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        network(**arguments).load_state_dict(own, assign=True)


SURPRISES = {
    "ctvit": lambda content: content.update({"surprise.weight": torch.zeros(1)}),
    "transformer": lambda content: content.update({"critic.surprise": torch.zeros(1)}),
    "superres": lambda content: content["model"].update({"unets.2.surprise": torch.zeros(1)}),
}


@pytest.mark.parametrize("stage", SURPRISES)
def test_a_tensor_too_many_is_named(content, tmp_path, stage):
    changed = {key: dict(value) if key == "model" else value for key, value in content[stage].items()}
    SURPRISES[stage](changed)
    torch.save(changed, tmp_path / "a.pt")
    with pytest.raises(InputError, match=rf"resembles the released {stage}_pretrained\.pt.*surprise") as caught:
        read_stage_file(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "network", "key"),
    [
        ("ctvit", "ctvit", "to_pixels.0.bias"),
        ("ctvit", "ctvit", "enc_spatial_transformer.layers.0.1.q_scale"),
        ("transformer", "maskgit", "maskgit.to_logits.bias"),
        ("transformer", "maskgit", "ctvit.vq._codebook.embed"),
    ],
)
def test_a_tensor_too_few_is_refused(content, tmp_path, stage, network, key):
    torch.save({name: value for name, value in content[stage].items() if name != key}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a\.pt") as caught:
        rebuild_network(read_stage_file(tmp_path / "a.pt"), network)
    assert "\n" not in str(caught.value)


def test_a_tensor_of_another_size_is_refused(content, tmp_path):
    torch.save({**content["ctvit"], "to_pixels.0.bias": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a\.pt.*voxels\.rest\.bias") as caught:
        rebuild_network(read_stage_file(tmp_path / "a.pt"), "ctvit")
    assert "\n" not in str(caught.value)
