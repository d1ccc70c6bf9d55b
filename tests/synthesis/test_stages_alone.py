"""Each stage alone: low-resolution volumes now, their slices later; together what one command makes, byte for byte."""

import json
import shutil
from dataclasses import asdict, fields
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from generatect.checkpoints.weights import SHIPPED
from generatect.ct.nifti import read_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.data.prompts import Prompt
from generatect.diffusion.process import SuperResProcess
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.unet import SuperResUNet
from generatect.options import TokenOptions, UpscaleOptions
from generatect.pipeline import TextToCT
from generatect.sidecar import write_generated
from generatect.stage_models import LowresModel, TokensToCT, UpscaleModel
from generatect.synthesis.lowres_sources import gather_sources
from generatect.synthesis.makers import FromPrompts
from generatect.synthesis.refine import REFINED, FromLowres
from generatect.synthesis.work import WorkItem
from generatect.text.conditioner import build_conditioner

PROMPTS = "name,prompt,Cardiomegaly\na,Large right pleural effusion.,0\nb,Cardiomegaly is seen.,1\n"
QUICK = ("device=cpu", "gate=null")
TOKENS, SLICES = "tokens.steps=2", "upscale.steps=1"


@pytest.fixture(scope="module")
def made(command, tmp_path_factory) -> dict[str, Path]:
    """A table of two: in one go, at low resolution, and that refined; of the shipped weights, seed 7."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "p.csv").write_text(PROMPTS)
    table = f"prompts={folder / 'p.csv'}"
    for ended in (
        command("generate", table, "seed=7", TOKENS, SLICES, *QUICK, f"output={folder / 'whole'}"),
        command("generate", table, "seed=7", TOKENS, "upscale=null", *QUICK, f"output={folder / 'low'}"),
        command("upscale", f"input={folder / 'low'}", SLICES, *QUICK, f"output={folder / 'refined'}"),
    ):
        assert ended.code == 0, ended.err
    return {name: folder / name for name in ("whole", "low", "refined")}


def test_one_after_the_other_is_what_one_command_makes(made):
    names = sorted(path.name for path in made["whole"].iterdir() if "manifest" not in path.name)
    assert names == [
        "README.md",
        *(f"{name}{end}" for name in "ab" for end in (".json", ".nii.gz", ".png")),
        "table.csv",
    ]
    for name in names:
        one, two = ((made[kind] / name).read_bytes() for kind in ("whole", "refined"))
        assert two.replace(b"refined", b"whole") == one if name == "README.md" else two == one, name
    lines = [
        [{**json.loads(line), "seconds": 0} for line in (made[kind] / "manifest.jsonl").read_text().splitlines()]
        for kind in ("whole", "refined")
    ]
    assert lines[0] == lines[1]


def test_what_is_left_at_low_resolution_says_so_and_has_its_own_place(made):
    volume = read_nifti(made["low"] / "a.nii.gz")
    preset = TextToCT.load("phantom", "cpu").preset
    assert volume.shape_zyx == preset.grid.shape_zyx
    np.testing.assert_allclose(volume.affine, preset.grid.affine(), atol=1e-4)
    sidecar = json.loads((made["low"] / "a.json").read_text())
    assert sidecar["upscale"] is None
    assert set(sidecar["weights_sha256"]) == {"ctvit", "transformer"}
    assert "generatect.upscale" in (made["low"] / "README.md").read_text()


def test_both_are_reproduced(command, made):
    for kind in ("low", "refined"):
        ended = command("reproduce", f"file={made[kind] / 'b.nii.gz'}", "device=cpu")
        assert ended.code == 0, ended.err + ended.out
        assert "the same, byte for byte" in ended.out


def test_no_stage_is_read_that_is_not_needed(tmp_path):
    def only(*stages: str) -> str:
        folder = tmp_path / "-".join(stages)
        folder.mkdir()
        for stage in stages:
            shutil.copy(SHIPPED["phantom"] / f"{stage}.safetensors", folder)
        return str(folder)

    assert set(LowresModel.load(only("ctvit", "transformer"), "cpu").hashes) == {"ctvit", "transformer"}
    assert set(UpscaleModel.load(only("superres"), "cpu").hashes) == {"superres"}
    assert set(TokensToCT.load(only("ctvit", "superres"), "cpu").hashes) == {"ctvit", "superres"}


def test_a_refinement_that_was_cut_goes_on(command, made, tmp_path):
    folder = tmp_path / "refined"
    shutil.copytree(made["refined"], folder)
    kept = (folder / "b.nii.gz").stat().st_mtime_ns
    (folder / "a.json").unlink()  # the last that is written of a volume
    (folder / ".a.json.abcd1234.part").write_text("{")
    ended = command("upscale", f"input={made['low']}", SLICES, *QUICK, f"output={folder}")
    assert ended.code == 0, ended.err
    assert "1 of 2 volumes are there from before" in ended.out
    assert (folder / "b.nii.gz").stat().st_mtime_ns == kept
    assert (folder / "a.json").read_bytes() == (made["whole"] / "a.json").read_bytes()
    assert not list(folder.glob(".*"))


def test_another_prompt_is_said_and_kept_apart(command, made, tmp_path):
    asked = (f"input={made['low'] / 'a.nii.gz'}", "prompt=Emphysema.", SLICES, *QUICK, f"output={tmp_path}")
    ended = command("upscale", *asked)
    assert ended.code == 0, ended.err
    assert "1 of 1 volumes were generated with another prompt, first a" in ended.out
    sidecar = json.loads((tmp_path / "a.json").read_text())
    assert sidecar["prompt"] == "Emphysema."
    assert sidecar["lowres"] == {"prompt": "Large right pleural effusion.", "seed": 7}
    ended = command("reproduce", f"file={tmp_path / 'a.json'}", "device=cpu")
    assert "the same, byte for byte" in ended.out, ended.err
    ended = command("upscale", *asked, "prompt=Nodule.")
    assert ended.code == 2
    assert "a is there already: made with another prompt" in ended.err


def test_a_scan_is_brought_down_and_refined_in_its_place(command, made, tmp_path):
    """A volume without its sidecar is a scan like any other; here it is moved 40 mm to the left."""
    image = nib.load(made["whole"] / "a.nii.gz")
    moved = np.asarray(image.affine) + 0.0
    moved[0, 3] -= 40
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), tmp_path / "in" / "a.nii.gz")
    asked = (f"input={tmp_path / 'in'}", SLICES, *QUICK, f"output={tmp_path / 'out'}")
    ended = command("upscale", *asked)
    assert ended.code == 2
    assert "no prompt for it; give prompt= for all, or table=" in ended.err
    (tmp_path / "t.csv").write_text("volume,text\na.nii.gz,Effusion.\n")
    ended = command("upscale", *asked, f"table={tmp_path / 't.csv'}")
    assert ended.code == 0, ended.err
    scan, result = read_nifti(tmp_path / "in" / "a.nii.gz"), read_nifti(tmp_path / "out" / "a.nii.gz")
    np.testing.assert_allclose(result.affine, scan.affine, atol=1e-3)
    sidecar = json.loads((tmp_path / "out" / "a.json").read_text())
    assert sidecar["notice"].startswith(REFINED)
    assert not (tmp_path / "out" / "README.md").exists()  # a patient's scan is no synthetic dataset
    ended = command("reproduce", f"file={tmp_path / 'out' / 'a.json'}", "device=cpu", f"input={tmp_path / 'in'}")
    assert "the same, byte for byte" in ended.out, ended.err
    ended = command("reproduce", f"file={tmp_path / 'out' / 'a.json'}", "device=cpu")
    assert "name it with input=" in ended.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("volume", "was changed after it was made"),
        ("weights", "its stage ctvit is"),
        ("seed", "in its .json seed is not what generate writes there"),
        ("table", "there is no volume"),
    ],
)
def test_what_does_not_belong_together_is_one_line(command, made, tmp_path, change, message):
    shutil.copytree(made["low"], tmp_path / "low")
    more = []
    if change == "volume":
        (tmp_path / "low" / "a.nii.gz").write_bytes((tmp_path / "low" / "b.nii.gz").read_bytes())
    if change == "weights":
        sidecar = json.loads((tmp_path / "low" / "a.json").read_text())
        sidecar["weights_sha256"]["ctvit"] = "0" * 64
        (tmp_path / "low" / "a.json").write_text(json.dumps(sidecar))
    if change == "seed":
        sidecar = json.loads((tmp_path / "low" / "a.json").read_text())
        (tmp_path / "low" / "a.json").write_text(json.dumps({**sidecar, "seed": str(sidecar["seed"])}))
    if change == "table":
        (tmp_path / "t.csv").write_text("volume,text\nnobody,Clear.\n")
        more = [f"table={tmp_path / 't.csv'}"]
    ended = command("upscale", f"input={tmp_path / 'low'}", SLICES, *QUICK, f"output={tmp_path / 'out'}", *more)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_without_its_tokens_a_volume_is_refined_from_its_rounded_voxels_and_that_is_said(command, made, tmp_path):
    shutil.copytree(made["low"], tmp_path / "low")
    (tmp_path / "low" / "a.tokens.npy").unlink()
    asked = (f"input={tmp_path / 'low' / 'a.nii.gz'}", SLICES, *QUICK, f"output={tmp_path / 'out'}")
    ended = command("upscale", *asked)
    assert ended.code == 0, ended.err
    assert "no tokens beside them, first a.nii.gz: refined from their HU, which are rounded" in ended.out
    exact, rounded = (
        read_nifti(path).voxels_hu for path in (made["whole"] / "a.nii.gz", tmp_path / "out" / "a.nii.gz")
    )
    assert (exact != rounded).any()
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.999


def test_slices_of_published_size_are_the_same_by_both_roads(tmp_path):
    """Networks of the published sizes with random weights: 128² decoded from tokens, 512² refined."""
    torch.manual_seed(0)
    preset = PhysicalPreset(num_slices=3, size=128, upscaled_size=512, fov_mm_zyx=(4.5, 384.0, 384.0))
    text = build_conditioner({"encoder": {"kind": "hashed_words", "width": 768, "num_buckets": 64}})
    sizes = {"dim": 512, "codebook_size": 8192, "image_size": 128, "patch_size": 16, "slice_patch_size": 2}
    tokens = {"num_tokens": 8192, "max_tokens": 128, "dim": 512, "depth": 6, "heads": 8, "dim_head": 64}
    unet = {"dim": 64, "dim_mults": [1, 2, 4], "num_blocks": 2, "max_text_tokens": 256, "num_text_latents": 32}
    networks = {
        "tokenizer": CTViT(**sizes, spatial_depth=4, temporal_depth=4),
        "maskgit": MaskGIT(**tokens, text_width=768),
        "unet": SuperResUNet(**unet, text_width=768, heads=8, dim_head=64, cross_attention=[True] * 3),
    }
    for parameter in networks["unet"].parameters():  # a fresh U-Net ends in zeros and would ignore what it is given
        torch.nn.init.normal_(parameter, std=0.02)
    model = TextToCT(
        **{name: network.eval().requires_grad_(False) for name, network in networks.items()},
        preset=preset,
        token_critic=None,
        tokens_text=text,
        slices_text=text,
        process=SuperResProcess.released(),
        paths={},
        hashes={stage: stage for stage in ("ctvit", "transformer", "superres")},
        notice=None,
        device=torch.device("cpu"),
    )
    item, options = (
        WorkItem(Prompt("a", "Clear."), 0, 3),
        (TokenOptions(steps=1), UpscaleOptions(steps=1, slices_per_batch=3)),
    )
    one = FromPrompts(model, *options, {}).make(item, 3, silent)
    low = FromPrompts(model, options[0], None, {}).make(item, 3, silent)
    assert (low.volume.shape_zyx, one.volume.shape_zyx) == ((3, 128, 128), (3, 512, 512))
    settings = {"tokens": asdict(options[0]), "upscale": None, "seed": 3, "attempt": 0}
    write_generated(tmp_path, item.prompt, model, low.volume, settings, low.token_ids)
    (source,) = gather_sources(tmp_path, None, None, None)
    both = TokensToCT(**{each.name: getattr(model, each.name) for each in fields(TokensToCT)})
    two = FromLowres(both, {"a": source}, options[1], "auto").make(source.item, source.item.seed, silent)
    np.testing.assert_array_equal(one.volume.voxels_hu, two.volume.voxels_hu)


def silent(_label: str, _done: int, _total: int) -> None:
    pass
