"""Every YAML composes, passes the check, and builds what it describes."""

import re
from pathlib import Path

import lightning as L
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from generatect.audit import audit
from generatect.checkpoints.stage_file import StageFile
from generatect.config.build import build
from generatect.config.check import check_arguments, check_config
from generatect.config.job import resolve
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.convert import convert
from generatect.doctor import doctor
from generatect.errors import InputError
from generatect.evaluate import evaluate
from generatect.evaluation.table import results_table
from generatect.export import export
from generatect.generate import generate
from generatect.import_dicom import import_dicom
from generatect.phantom.__main__ import write_phantoms
from generatect.pipeline import TokenOptions, UpscaleOptions
from generatect.prepare import prepare
from generatect.prompts import prompts
from generatect.prove import prove
from generatect.reconstruct import reconstruct
from generatect.render import render
from generatect.reproduce import reproduce
from generatect.search import search
from generatect.serve import serve
from generatect.shard import shard
from generatect.stages import assemble
from generatect.text.t5 import T5TextEncoder
from generatect.train import train
from generatect.upscale import upscale
from generatect.utility import utility

CONF = config_folder()
ROOT = CONF.parent
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
CHOICES = [(path.parent.name, path.stem) for path in sorted(CONF.glob("*/*.yaml"))]
RECIPES = ROOT / "experiments"
EXPERIMENTS = [path.relative_to(RECIPES).with_suffix("").as_posix() for path in sorted(RECIPES.rglob("*.yaml"))]
ENTRY_POINTS = {
    "train": train,
    "search": search,
    "generate": generate,
    "reconstruct": reconstruct,
    "prove": prove,
    "phantom": write_phantoms,
    "export": export,
    "convert": convert,
    "doctor": doctor,
    "evaluate": evaluate,
    "evaluate_table": results_table,
    "audit": audit,
    "prepare": prepare,
    "shard": shard,
    "import_dicom": import_dicom,
    "prompts": prompts,
    "reproduce": reproduce,
    "upscale": upscale,
    "serve": serve,
    "render": render,
    "utility": utility,
}
MANDATORY = {
    "folder": ["data.root=x", "data.table=y"],
    "generatect": ["data.root=x", "data.table=y"],
    "npz": ["data.root=x", "data.table=y"],
    "ct_rate": ["data.root=x"],
    "streamed": ["data.root=x"],
    "reconstruct": ["input=x"],
    "export": ["weights=x"],
    "convert": ["source=x", "output=y"],
    "doctor": ["data.root=x", "data.table=y"],
    "evaluate": ["real=x", "fake=y"],
    "audit": ["train=x", "generated=y", "heldout=z"],
    "clip_score": ["callbacks.clip_score.detector=x"],
    "shard": ["output=x"],
    "import_dicom": ["input=x"],
    "reproduce": ["file=x"],
    "upscale": ["input=x"],
    "render": ["input=x"],
}
BESIDE = {("model", "released"): ["preset=released"]}
MILLION = 1e6


def composed(name: str, *overrides: str) -> dict:
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = compose(name, overrides=list(overrides))
        plain = resolve(config)
    check_config(plain)
    check_arguments(ENTRY_POINTS[name], plain)
    return plain


def networks(config: dict, stage: str, monkeypatch) -> dict[str, torch.nn.Module]:
    """Networks of a stage on the meta device; a later stage gets a tokenizer file that holds no numbers."""
    ctvit = {key: value for key, value in config["model"]["ctvit"].items() if not key.startswith("_")}
    preset = {key: value for key, value in config["preset"].items() if not key.startswith("_")}
    name = config["preset"]["_target_"].rpartition(".")[2].removesuffix("Preset").lower()
    description = {"stage": "ctvit", "networks": {"ctvit": ctvit}, "preset": {"name": name, **preset}}
    with torch.device("meta"):
        state = {f"ctvit.{key}": value for key, value in build(config["model"]["ctvit"]).state_dict().items()}
        file = StageFile(Path("tokenizer.safetensors"), description, state, "0" * 64)
        monkeypatch.setattr(assemble, "codebook_sha256", lambda _: "0" * 64)  # no numbers, no hash
        built = assemble.assemble(
            stage,
            model=config["model"],
            preset=config["preset"],
            text_encoder=config["text_encoder"],
            tokenizer=file,
            cache_dir=None,
            label_names=("Emphysema", "Lung nodule"),
        )
    return {key: value for key, value in built.module.items() if isinstance(value, torch.nn.Module)}


def num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture
def t5_of_published_width(monkeypatch):
    """T5 is on the Hub, which tests do not reach; only its width and length matter here."""
    monkeypatch.setattr(
        T5TextEncoder, "__init__", lambda self, **given: setattr(self, "max_tokens", given["max_tokens"])
    )
    monkeypatch.setattr(T5TextEncoder, "width", 768)
    monkeypatch.setattr(T5TextEncoder, "identity", "0")
    monkeypatch.setattr(T5TextEncoder, "describe", lambda self: {"kind": "t5"}, raising=False)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_command_composes(name):
    plain = composed(name, *MANDATORY.get(name, []))
    if "tokens" in plain:
        check_arguments(TokenOptions, plain["tokens"])
        check_arguments(UpscaleOptions, plain["upscale"])


def test_every_file_is_a_command_or_a_choice():
    commands = {path.stem for path in CONF.glob("*.yaml")} - {"trainer"}
    assert commands == set(ENTRY_POINTS)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_builds(group, choice, monkeypatch, t5_of_published_width):
    single = [f"callbacks={choice}"] if group == "callbacks" else [f"{group}={choice}"]
    entry_point = "evaluate" if group == "evaluation" else "train"
    mandatory = (*MANDATORY.get(entry_point, []), *MANDATORY.get(choice, []))
    config = composed(entry_point, *single, *mandatory, *BESIDE.get((group, choice), []))
    match group:
        case "callbacks" | "debug":
            for node in config["callbacks"].values():
                objects = {"preset": build(config["preset"])} if node["_target_"].endswith("Previews") else {}
                assert isinstance(build(node, **objects), L.Callback)
        case "data":
            if choice == "phantom":
                assert len(build(config["data"]["pairs"])) == config["data"]["pairs"]["num"]
        case "evaluation":
            assert build(config["evaluation"]).name == choice
        case "logger":
            assert choice in config["logger"]
        case "model":
            for stage in ("ctvit", "transformer", "superres", "ctnet"):
                assert networks(config, stage, monkeypatch)
        case "preset":
            assert build(config["preset"]).name == choice
        case "text_encoder":
            assert "text" in networks(config, "transformer", monkeypatch)
        case "stage":
            assert config["stage"]["name"] == choice
            built = build(config["stage"]["module"]["optimizer"])([torch.nn.Parameter(torch.zeros(1))])
            assert isinstance(built, torch.optim.Optimizer)
        case "strategy":
            build(config["trainer"], accelerator="cpu", devices=1, logger=False, callbacks=[])
        case "precision" if choice != "fp16":  # that one needs a GPU
            build(config["trainer"], accelerator="cpu", logger=False, callbacks=[])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_builds(name, monkeypatch, t5_of_published_width):
    header = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert header[0] == "# @package _global_"
    command = re.match(rf"# python -m generatect\.(\w+) (?:-m )?(experiments={name}\b.*)", header[1])
    assert command is not None
    config = composed(command[1], *command[2].split())
    if command[1] == "train":
        assert networks(config, config["stage"]["name"], monkeypatch)


def test_previews_show_averaged_weights():
    """Lightning calls them in this order, and averaging takes its weights away again."""
    names = list(composed("train")["callbacks"])
    assert names.index("previews") < names.index("ema")


@pytest.mark.parametrize("stage", ["ctvit", "transformer", "superres"])
def test_recipes_of_published_size_hold_the_published_settings(stage, t5_of_published_width):
    config = composed("train", f"experiments=base/{stage}", *MANDATORY["folder"])
    module, trainer = config["stage"]["module"], config["trainer"]
    assert module["optimizer"]["lr"] == {"ctvit": 3e-5, "transformer": 3e-5, "superres": 5e-4}[stage]
    assert module["optimizer"]["betas"] == [0.9, 0.99]
    assert trainer["precision"] == "bf16-mixed"
    assert module["gradient_clip"] == {"ctvit": 0.5, "transformer": 2.0, "superres": None}[stage]


def test_new_models_read_as_many_tokens_as_t5_was_trained_on(monkeypatch, t5_of_published_width):
    for stage in ("transformer", "superres"):
        config = composed("train", f"experiments=base/{stage}", *MANDATORY["folder"])
        built = networks(config, stage, monkeypatch)
        assert built["text"].max_tokens == 512
    assert built["unet"].text.max_tokens == 512


def test_the_released_upscaler_refuses_longer_texts_than_it_reads(monkeypatch, t5_of_published_width):
    released = ("model=released", "preset=released")
    built = networks(composed("train", *released, "text_encoder=t5_released"), "superres", monkeypatch)
    assert built["text"].max_tokens == built["unet"].text.max_tokens == 256
    with pytest.raises(InputError, match=r"max_tokens=512, but the upscaler stops at model.unet.max_text_tokens=256"):
        networks(composed("train", *released, "text_encoder=t5"), "superres", monkeypatch)


def test_published_sizes(monkeypatch, t5_of_published_width):
    config = composed("train", "model=released", "preset=released", "text_encoder=t5_released")
    sizes = {
        name: num_parameters(network) / MILLION
        for stage in ("ctvit", "transformer", "superres")
        for name, network in networks(config, stage, monkeypatch).items()
        if name not in ("tokenizer", "text")
    }
    expected = {"ctvit": 43.3, "discriminator": 20.7, "maskgit": 40.4, "unet": 22.2}
    assert sizes == {name: pytest.approx(value, abs=0.05) for name, value in expected.items()}
    assert build(config["preset"]).grid.shape_zyx == (201, 128, 128)
