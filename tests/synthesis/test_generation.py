"""A dataset is the same however its making was cut up and broken off, and it is one that trainings can read."""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from generatect.config.words import read_words
from generatect.ct.dicom import read_series
from generatect.ct.nifti import read_nifti
from generatect.data.safe_csv import write_csv
from generatect.errors import InputError
from generatect.placement import device_of_shard
from generatect.reproduce import name_the_file
from generatect.synthesis.prompt_tables import phantom_prompts
from generatect.synthesis.work import Shard, work_of

QUICK = ("tokens.steps=2", "upscale.steps=1", "device=cpu", "gate=null")
NUM = 20
LONG = "\u2028The rest is said again." * 60
"""Makes a report longer than the 128 tokens that are read, and has line ends that JSON does not escape."""


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.csv"
    rows = phantom_prompts(NUM, 3, "train", 0.35)
    rows[1]["prompt"] += LONG
    for index, row in enumerate(rows):
        row |= {"Bronchiectasis": str(int(index == 0)), "Unnamed: 0": str(index % 2)}
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])
    return path


@pytest.fixture(scope="module")
def whole(command, tiny_weights, table, tmp_path_factory) -> Path:
    """The dataset of one uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    ended = command("generate", f"prompts={table}", f"weights={tiny_weights}", f"output={folder}", *QUICK)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture(scope="module")
def few(table) -> Path:
    """The first four prompts."""
    path = table.with_name("few.csv")
    with table.open(encoding="utf-8", newline="") as file:
        path.write_text("".join(file.readlines()[:5]), encoding="utf-8", newline="")
    return path


@pytest.fixture(scope="module")
def shipped(command, few, tmp_path_factory) -> Path:
    """Four volumes of the shipped weights: of the smallest test model no reader takes the slices, 60 mm apart."""
    folder = tmp_path_factory.mktemp("shipped")
    ended = command("generate", f"prompts={few}", f"output={folder}", *QUICK)
    assert ended.code == 0, ended.err
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.nii.gz"))}


def test_shards_that_were_killed_make_the_same_dataset(whole, tiny_weights, table, tmp_path):
    overrides = [f"prompts={table}", f"weights={tiny_weights}", f"output={tmp_path / 'd'}", *QUICK]
    script = Path(__file__).with_name("kill_generation.py")
    ended = subprocess.run(
        [sys.executable, str(script), "2", "2", *overrides],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["codes"] == [0, 0]
    assert told["killed"] >= 3
    assert hashes(tmp_path / "d") == hashes(whole)
    assert not list((tmp_path / "d").glob(".*"))
    for name in ("table.csv", "README.md"):
        assert (tmp_path / "d" / name).read_text() == (whole / name).read_text().replace(whole.name, "d")
    lines = [json.loads(line) for line in (tmp_path / "d" / "manifest.jsonl").read_text().strip().split("\n")]
    assert all(line["seconds"] > 0 for line in lines)
    assert [line["volume"] for line in lines] == [f"{index:06d}.nii.gz" for index in range(NUM)]
    assert {line["volume"]: line["volume_sha256"] for line in lines} == hashes(whole)
    assert [line["seed"] for line in lines] == list(range(NUM))


def test_a_sweep_over_shards_fills_one_dataset(command, shipped, few, tmp_path):
    shards = ["shard.index=0,1", "shard.count=2", f"prompts={few}", f"output={tmp_path / 'd'}"]
    ended = command("generate", "--multirun", *shards, *QUICK)
    assert ended.code == 0, ended.err
    assert hashes(tmp_path / "d") == hashes(shipped)
    assert (tmp_path / "d" / "table.csv").read_text() == (shipped / "table.csv").read_text()
    with (tmp_path / "d" / "shards" / "sweep.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "done"]

    other = command("generate", "--multirun", *shards, *QUICK, "seed=1,2")
    assert other.code == 2
    assert "seed=1,2: jobs over shard.index fill one dataset; sweep nothing else beside it" in other.err


def test_a_damaged_volume_is_made_again_and_a_whole_one_is_kept(command, whole, tiny_weights, table, tmp_path):
    folder = tmp_path / "d"
    settings = (f"prompts={table}", f"weights={tiny_weights}", f"output={folder}", *QUICK)
    assert command("generate", *settings, "shard.index=1", "shard.count=5").code == 0
    assert not (folder / "table.csv").exists()  # others have still to do theirs
    first, second = sorted(folder.glob("*.nii.gz"))[:2]
    kept = second.stat().st_mtime_ns
    first.write_bytes(first.read_bytes()[:-9])
    ended = command("generate", *settings, "shard.index=1", "shard.count=5")
    assert ended.code == 0, ended.err
    assert "3 of 4 volumes are there from before" in ended.out
    assert "1 of 4 prompts are longer than the 128 tokens that the text encoder reads" in ended.out
    assert "labels of the prompts that these weights never met: Bronchiectasis\n" in ended.out
    assert second.stat().st_mtime_ns == kept
    assert hashes(folder).items() <= hashes(whole).items()


def test_a_training_reads_the_dataset(command, shipped, tmp_path):
    data = ("data=folder", f"data.root={shipped}", f"data.table={shipped / 'table.csv'}")
    labels = "data.label_columns=[Pleural effusion,Cardiomegaly]"
    small = ("model=tiny", "steps=1", "val_every=1", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    where = (f"output={tmp_path / 'ctvit'}", f"cache_dir={tmp_path / 'cache'}")
    ended = command("train", *data, labels, *small, *where)
    assert ended.code == 0, ended.err
    assert (tmp_path / "ctvit" / "ctvit.safetensors").is_file()


def test_labels_age_and_sex_come_along(whole, table):
    with (whole / "table.csv").open(encoding="utf-8") as file:
        made = list(csv.DictReader(file))
    with table.open(encoding="utf-8") as file:
        asked = list(csv.DictReader(file))
    for row, prompt in zip(made, asked, strict=True):
        assert row["text"] == prompt["prompt"]
        assert all(row[key] == prompt[key] for key in prompt if key not in ("name", "prompt"))
    assert len({row["patient"] for row in made}) == NUM
    card = (whole / "README.md").read_text()
    count = sum(prompt["Pleural effusion"] == "1" for prompt in asked)
    assert f"| Pleural effusion | {count} |" in card
    assert "SYNTHETIC" in card
    assert "The model never met Bronchiectasis: the prompts ask for it, no volume can show it." in card
    assert "Unnamed" not in card


def test_how_much_of_a_prompt_was_read_is_written_down(whole, table):
    with table.open(encoding="utf-8", newline="") as file:
        prompts = [row["prompt"] for row in csv.DictReader(file)]
    for index, prompt in enumerate(prompts):
        number = len(re.findall(r"\w+|[.,]", prompt))
        read = {"tokens": number, "read": min(128, number)}
        sidecar = json.loads((whole / f"{index:06d}.json").read_text(encoding="utf-8"))
        assert sidecar["text_read"] == {"transformer": read, "superres": read}
        assert (number > 128) == (index == 1)
    assert "* 1 of 20 prompts are longer than the 128 tokens" in (whole / "README.md").read_text(encoding="utf-8")


def test_what_never_passes_the_gate_is_listed_with_its_reasons(command, tiny_weights, few, tmp_path):
    """Weights of four steps make no chest."""
    folder = tmp_path / "d"
    settings = ("tokens.steps=2", "upscale.steps=1", "device=cpu", "gate.max_attempts=2", f"output={folder}")
    ended = command("generate", f"prompts={few}", f"weights={tiny_weights}", *settings)
    assert ended.code == 0, ended.err
    assert "4 prompts never passed" in ended.out
    with (folder / "rejected.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert all(row["attempts"] == "2" and "expected" in row["last attempt"] for row in rows)
    records = {path: path.stat().st_mtime_ns for path in folder.glob("*.rejected.json")}
    assert len(records) == 4
    again = command("generate", f"prompts={few}", f"weights={tiny_weights}", *settings)
    assert "4 prompts never passed" in again.out
    assert {path: path.stat().st_mtime_ns for path in records} == records  # they were not tried a third time
    wider = command("generate", f"prompts={few}", f"weights={tiny_weights}", *settings, "gate=null")
    assert "never passed" not in wider.out
    assert len(list(folder.glob("*.nii.gz"))) == 4
    assert not list(folder.glob("*rejected*"))


def test_dicom_on_request_is_the_same_volume(command, tmp_path):
    settings = ("prompt=Normal chest.", f"output={tmp_path}", *QUICK, "dicom=true")
    ended = command("generate", *settings)
    assert ended.code == 0, ended.err
    series = read_series(tmp_path / "generated")
    volume = read_nifti(tmp_path / "generated.nii.gz", hu_policy="unchecked")
    np.testing.assert_array_equal(series.voxels_hu, volume.voxels_hu)
    np.testing.assert_allclose(series.affine, volume.affine, atol=1e-4)


def test_a_volume_is_reproduced_from_its_sidecar(command, shipped, tmp_path):
    for name in ("000003.nii.gz", "000001.json"):
        ended = command("reproduce", f"file={shipped / name}", "device=cpu")
        assert ended.code == 0, ended.err
        assert "the same, byte for byte" in ended.out
    for suffix in (".nii.gz", ".json"):
        (tmp_path / f"a{suffix}").write_bytes((shipped / f"000003{suffix}").read_bytes())
    image = nib.load(tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine, image.header), tmp_path / "a.nii.gz")
    ended = command("reproduce", f"file={tmp_path / 'a.nii.gz'}", "device=cpu")
    assert ended.code == 1
    assert "was changed after it was made" in ended.out
    sidecar = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({**sidecar, "seed": sidecar["seed"] + 1}))
    ended = command("reproduce", f"file={tmp_path / 'a.nii.gz'}", "device=cpu")
    assert ended.code == 1
    assert "another one, at most" in ended.out


TOLD = {
    "prompt": "x",
    "seed": 1,
    "tokens": {},
    "upscale": None,
    "weights_sha256": {},
    "volume_sha256": "",
    "versions": {},
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no sidecar"),
        ("[1", "not JSON"),
        ('{"prompt": "x"}', "says nothing of seed"),
        (json.dumps({**TOLD, "seed": "1"}), "its seed is not what generate writes there"),
        (json.dumps({**TOLD, "tokens": []}), "its tokens is not what generate writes there"),
        (json.dumps({**TOLD, "weights_sha256": []}), "its weights_sha256 is not what generate writes there"),
    ],
)
def test_what_is_no_sidecar_is_one_line(command, tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    ended = command("reproduce", f"file={tmp_path / 'x.nii.gz'}")
    assert ended.code == 2
    assert message in ended.err


def test_other_weights_are_refused(command, whole):
    ended = command("reproduce", f"file={whole / '000000.nii.gz'}", "device=cpu")
    assert ended.code == 2
    assert "name those weights" in ended.err


def test_a_bare_file_is_the_file():
    assert name_the_file(["a b.nii.gz", "device=cpu", "--help"]) == ["file='a b.nii.gz'", "device=cpu", "--help"]
    for name in ("it's (1).nii.gz", "a,b [2] #3.nii.gz", "${x}.nii.gz", "back\\"):
        (word,) = read_words(name_the_file([name]), {"file": str})
        key, _, value = word.partition("=")
        config = OmegaConf.create({key: OverridesParser.create().parse_override(f"{key}={value}").value()})
        assert config.file == name


@pytest.mark.parametrize(
    ("name", "num_gpus", "expected"),
    [("auto", 2, ["cuda:0", "cuda:1", "cuda:0"]), ("auto", 1, ["auto"] * 3), ("cpu", 2, ["cpu"] * 3)],
)
def test_shards_take_the_gpus_of_a_machine_in_turn(name, num_gpus, expected):
    assert [device_of_shard(name, index, num_gpus) for index in range(3)] == expected


def test_the_work_of_all_shards_is_all_work_and_a_shard_that_is_none_is_refused(table):
    from generatect.data.prompts import gather_prompts

    prompts = gather_prompts(None, str(table))
    for count in (1, 3, 7, 50):
        shares = [work_of(prompts, 5, Shard(index, count)) for index in range(count)]
        together = sorted((item.number, item.seed) for share in shares for item in share)
        assert together == [(number, 5 + number) for number in range(NUM)]
    with pytest.raises(InputError, match=r"shard.index=4, shard.count=4"):
        work_of(prompts, 0, Shard(4, 4))
