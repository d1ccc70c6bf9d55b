"""Whatever a user can get wrong ends in one line and exit code 2, with nothing written."""

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from generatect.checkpoints.stage_file import read_stage_file, write_stage_file

GOOD_AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
HEADER = "volume,patient,text\n"


def scan() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (12, 12, 8)).astype(np.int16)


def write_scan(path: Path, voxels: np.ndarray | None = None, affine: np.ndarray = GOOD_AFFINE) -> Path:
    image = nib.Nifti1Image(scan() if voxels is None else voxels, None)
    image.header.set_xyzt_units("mm")
    image.header.set_sform(affine, code=1)  # by itself: nibabel makes no image with a singular affine
    nib.save(image, path)
    return path


def with_nan() -> np.ndarray:
    voxels = scan().astype(np.float32)
    voxels[3, 4, 5] = np.nan
    return voxels


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)


BAD_SCANS = {
    "nan": lambda path: write_scan(path, with_nan()),
    "constant": lambda path: write_scan(path, np.zeros((12, 12, 8), np.int16)),
    "four axes": lambda path: write_scan(path, np.stack([scan(), scan()], axis=-1)),
    "singular affine": lambda path: write_scan(path, affine=np.diag([2.0, 2.0, 0.0, 1.0])),
    "truncated": lambda path: truncate(write_scan(path)),
    "wrong checksum": lambda path: damage_checksum(write_scan(path)),
    "no nifti": lambda path: path.write_bytes(gzip.compress(b"hello" * 200)),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.fixture
def refused(command, tmp_path):
    """Function that runs a command and checks that it refused in the one right way, naming `part`."""

    def check(name: str, *overrides: str, part: str, output: Path | None = None) -> None:
        output = output or tmp_path / "output"
        ended = command(name, *overrides, f"output={output}")
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1, ended.err
        assert ended.err.startswith(f"generatect.{name}: ")
        assert part in ended.err
        assert [path for path in output.rglob("*") if path.is_file()] == []

    return check


@pytest.fixture
def table(tmp_path):
    """Function that writes a table beside a folder with one good scan, and returns the settings that name them."""
    (tmp_path / "scans").mkdir()
    write_scan(tmp_path / "scans" / "good.nii.gz")

    def write(rows: str, header: str = HEADER) -> list[str]:
        (tmp_path / "table.csv").write_text(header + rows)
        where = [f"data.root={tmp_path / 'scans'}", f"data.table={tmp_path / 'table.csv'}"]
        quick = ["model=tiny", "steps=1", "trainer.accelerator=cpu", f"cache_dir={tmp_path / 'cache'}"]
        return ["data=folder", *where, *quick, "stage.datamodule.val_fraction=0.0", "stage.datamodule.batch_size=1"]

    return write


class TestTrain:
    def test_the_good_scan_is_good(self, command, table, tmp_path):
        ended = command("train", *table("good,p,Clear.\n"), f"output={tmp_path / 'out'}")
        assert ended.code == 0, ended.err
        assert (tmp_path / "out" / "ctvit.safetensors").is_file()

    @pytest.mark.parametrize(
        ("rows", "header", "part"),
        [
            ("good,p,Clear.\nlost,q,Clear.\n", HEADER, "'lost'"),
            ("good,p,\n", HEADER, "row 1"),
            ("good,p,Not given.\n", HEADER, "row 1"),
            ("good,p\n", "volume,patient\n", "'text'"),
            ("good,Clear.\n", "volume,text\n", "'patient'"),
            ("p,Clear.\n", "patient,text\n", "'volume'"),
            ("", HEADER, "no rows"),
            ("", "", "empty"),
            ("good,p,Clear.\ngood,p,Clear.\n", HEADER, "already in row 1"),
            ("../scans/good,p,Clear.\n", HEADER, "expected a path below"),
            ("good,p,Clear, mostly.\n", HEADER, "quotes"),
        ],
    )
    def test_tables(self, refused, table, rows, header, part):
        refused("train", *table(rows, header), part=part)

    def test_a_missing_table_and_a_missing_root(self, refused, table, tmp_path):
        settings = table("good,p,Clear.\n")
        refused("train", *settings, "data.table=nowhere.csv", part="nowhere.csv")
        missing = f"data.root={tmp_path / 'nowhere'}"
        refused("train", *settings, missing, part=f"generatect.train: {missing}: not a folder")  # not Hydra's words

    @pytest.mark.parametrize("kind", BAD_SCANS)
    def test_scans(self, command, table, tmp_path, kind):
        BAD_SCANS[kind](tmp_path / "scans" / "bad.nii.gz")
        output = tmp_path / "out"
        ended = command("train", *table("bad,p,Clear.\n"), f"output={output}")
        assert ended.code == 2
        assert ended.err.count("\n") == 1, ended.err
        assert "bad" in ended.err  # as the table names it
        assert not list(output.rglob("*.safetensors")) + list(output.rglob("*.ckpt")) + list(output.rglob("*.part"))

    def test_checkpoints(self, refused, table, tiny_weights, tmp_path):
        settings = ["stage=transformer", *table("good,p,Clear.\n")]
        wrong, text = tiny_weights / "superres.safetensors", tmp_path / "text.ckpt"
        text.write_text("no checkpoint")
        refused("train", *settings, part="tokenizer=FILE")
        refused("train", *settings, f"tokenizer={wrong}", part="expected stage 'ctvit'")
        refused("train", *settings, f"tokenizer={text}", part="not a readable generatect checkpoint")
        refused("train", *settings, f"tokenizer={tmp_path / 'none'}", part="no such file")
        settings = [*settings, f"tokenizer={tiny_weights / 'ctvit.safetensors'}"]
        refused("train", *settings, f"resume={tiny_weights / 'ctvit.ckpt'}", part="expected stage 'transformer'")
        refused("train", *settings, f"resume={tiny_weights / 'transformer.safetensors'}", part="expected the .ckpt")

    def test_an_unwritable_output(self, refused, table, tmp_path):
        (tmp_path / "file").write_text("")
        refused("train", *table("good,p,Clear.\n"), output=tmp_path / "file" / "out", part="cannot write there")


class TestReconstruct:
    @pytest.mark.parametrize("kind", BAD_SCANS)
    def test_scans(self, refused, tiny_weights, tmp_path, kind):
        BAD_SCANS[kind](tmp_path / "bad.nii.gz")
        refused("reconstruct", f"input={tmp_path / 'bad.nii.gz'}", f"weights={tiny_weights}", part="bad.nii.gz")

    def test_inputs_and_outputs(self, refused, tiny_weights, tmp_path):
        (tmp_path / "empty").mkdir()
        good, weights = write_scan(tmp_path / "good.nii.gz"), f"weights={tiny_weights}"
        refused("reconstruct", f"input={tmp_path / 'none.nii'}", weights, part="none.nii")
        refused("reconstruct", f"input={tmp_path / 'empty'}", weights, part="no .nii or .nii.gz")
        refused("reconstruct", weights, part="input: a value is needed")
        refused("reconstruct", f"input={good}", weights, output=good / "below", part="cannot write there")
        refused(
            "reconstruct", f"input={good}", f"weights={tiny_weights / 'superres.ckpt'}", part="expected stage 'ctvit'"
        )
        refused("reconstruct", f"input={good}", weights, "device=cuda:77", part="device=cuda:77")

    def test_a_scan_is_never_overwritten(self, command, tiny_weights, tmp_path):
        folder = tmp_path / "scans"
        folder.mkdir()
        before = write_scan(folder / "a.nii.gz").read_bytes()
        ended = command("reconstruct", f"input={folder}", f"output={folder}", f"weights={tiny_weights}")
        assert ended.code == 2
        assert "upon the scan" in ended.err
        assert [path.name for path in folder.iterdir()] == ["a.nii.gz"]
        assert (folder / "a.nii.gz").read_bytes() == before

    def test_slices_too_small_for_ssim_are_no_error(self, command, tiny_weights, tmp_path):
        scan_file = write_scan(tmp_path / "small.nii.gz", scan()[:, :9])
        ended = command("reconstruct", f"input={scan_file}", f"output={tmp_path / 'out'}", f"weights={tiny_weights}")
        assert ended.code == 0, ended.err
        assert json.loads((tmp_path / "out" / "small.json").read_text())["ssim"] is None

    def test_one_bad_scan_among_good_ones_is_named(self, command, tiny_weights, tmp_path):
        folder = tmp_path / "scans"
        folder.mkdir()
        BAD_SCANS["truncated"](folder / "a.nii.gz")
        write_scan(folder / "b.NII.GZ")
        BAD_SCANS["nan"](folder / "c.nii.gz")
        (folder / "._b.nii.gz").write_bytes(b"a macOS file beside another")
        ended = command("reconstruct", f"input={folder}", f"output={tmp_path / 'out'}", f"weights={tiny_weights}")
        assert ended.code == 2
        assert ended.err.count("\n") == 1
        assert "2 of 3 volumes could not be done, each listed above; the others are done" in ended.err
        assert "a.nii.gz: cannot be read (truncated)" in ended.err
        listed = ended.out.partition("not done:\n")[2].splitlines()
        assert [line.partition(": ")[0] for line in listed] == [f"  {folder / name}.nii.gz" for name in "ac"]
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.nii.gz", "b.json", "b.png"}


class TestGenerate:
    @pytest.mark.parametrize(
        ("overrides", "part"),
        [
            ([], "prompt"),
            (["prompt="], "prompt: is empty"),
            (["prompt=  "], "prompt: is empty"),
            (["prompt=x", "prompts=y.csv"], "prompt"),
            (["prompts=nowhere.csv"], "nowhere.csv"),
            (["prompt=x", "tokens.steps=0"], "steps"),
            (["prompt=x", "tokens.steps=few"], "tokens.steps: 'few'"),
            (["prompt=x", "tokens.stepss=3"], "did you mean 'tokens.steps'?"),
            (["prompt=x", "upscale.sampler=magic"], "magic"),
            (["prompt=x", "upscale.slices_per_batch=0"], "slices_per_batch"),
            (["prompt=x", "device=abacus"], "device=abacus"),
            (["prompt=x", "seed=-1"], "seed=-1"),
            (["prompt=x", "seed=4294967296"], "seed=4294967296"),
            (["prompt=x", "weights=nowhere"], "weights=nowhere"),
        ],
    )
    def test_settings(self, refused, tiny_weights, overrides, part):
        refused("generate", f"weights={tiny_weights}", *overrides, part=part)

    @pytest.mark.parametrize(
        ("content", "part"),
        [
            ("name,report\na,x\n", "no column 'prompt'"),
            ("name,prompt\na,\n", "row 1"),
            ("name,prompt\na,x\na,y\n", "row 2"),
            ("name,prompt\n../a,x\n", "row 1"),
            ("name,prompt\na,Effusion, right.\n", "quotes"),
            ("name,prompt\n", "no rows"),
            ("", "empty"),
        ],
    )
    def test_tables_of_prompts(self, refused, tiny_weights, tmp_path, content, part):
        (tmp_path / "prompts.csv").write_text(content)
        refused("generate", f"weights={tiny_weights}", f"prompts={tmp_path / 'prompts.csv'}", part=part)

    def test_weights_and_output(self, refused, tiny_weights, tmp_path):
        mixed = tmp_path / "mixed"
        shutil.copytree(tiny_weights, mixed)
        shutil.copy(tiny_weights / "superres.safetensors", mixed / "transformer.safetensors")
        refused("generate", "prompt=x", f"weights={mixed}", part="expected stage 'transformer'")
        truncate(mixed / "ctvit.safetensors")
        refused("generate", "prompt=x", f"weights={mixed}", part="not a readable generatect checkpoint")
        (tmp_path / "file").write_text("")
        refused("generate", "prompt=x", f"weights={tiny_weights}", output=tmp_path / "file" / "x", part="cannot write")

    def test_stages_of_different_tokenizers_are_refused(self, refused, tiny_weights, train_tiny):
        other = train_tiny("ctvit", "seed=9", "steps=1", "~callbacks.previews") / "ctvit.safetensors"
        files = {stage: tiny_weights / f"{stage}.safetensors" for stage in ("transformer", "superres")}
        weights = f"weights={{ctvit:{other},transformer:{files['transformer']},superres:{files['superres']}}}"
        refused("generate", "prompt=x", weights, part="trained on the tokens of another tokenizer")

    def test_a_superres_of_another_tokenizer_is_refused(self, refused, tiny_weights, tmp_path):
        file = read_stage_file(tiny_weights / "superres.safetensors")
        path = tmp_path / "superres.safetensors"
        write_stage_file(path, {**file.description, "codebook_sha256": "another"}, file.state)
        files = {stage: tiny_weights / f"{stage}.safetensors" for stage in ("ctvit", "transformer")}
        weights = f"weights={{ctvit:{files['ctvit']},transformer:{files['transformer']},superres:{path}}}"
        refused("generate", "prompt=x", weights, part=f"{path}: trained on the tokens of another tokenizer")


def test_a_hostile_checkpoint_is_not_executed(refused, tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"generatect": {"format": 1, "stage": "ctvit"}, "state_dict": {"x": Payload()}}, tmp_path / "bad.ckpt")
    scan_file = write_scan(tmp_path / "good.nii.gz")
    refused("reconstruct", f"input={scan_file}", f"weights={tmp_path / 'bad.ckpt'}", part="not a readable")
    assert not (tmp_path / "executed").exists()
