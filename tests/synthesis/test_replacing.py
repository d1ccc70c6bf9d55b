"""Nothing that lies in a folder is replaced, mixed or counted along without being asked for."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from generatect.ct.dicom import read_series
from generatect.ct.dicom_export import write_series
from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.ct.quality import QualityLimits
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume
from generatect.data.prompts import Prompt, gather_prompts
from generatect.errors import InputError
from generatect.evaluation.volumes import read_folder
from generatect.lock import only_process
from generatect.sidecar import DESCRIPTION
from generatect.stage_models import StageModel
from generatect.synthesis.gate import Gate
from generatect.synthesis.kept import reject
from generatect.synthesis.make import alone, make_volumes
from generatect.synthesis.makers import Made
from generatect.synthesis.replacing import (
    clear_unfinished,
    make_room,
    refuse_foreign,
    refuse_replacing,
    remove_volume,
)
from generatect.synthesis.work import Shard, WorkItem

QUICK = ("tokens.steps=1", "upscale=null", "device=cpu", "gate=null")
ITEM = WorkItem(Prompt("a", "Clear."), 0, 5)
SIDECAR = {"prompt": "Clear.", "seed": 5, "attempt": 0, "weights_sha256": {"ctvit": "1"}, "volume_sha256": "2"}


def volume(num_slices: int = 5) -> CTVolume:
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL_DIRECTIONS_RAS * 2
    return CTVolume(np.random.default_rng(0).integers(-1000, 900, (num_slices, 8, 8)).astype(np.int16), affine)


@pytest.mark.parametrize(
    ("change", "request_", "said"),
    [
        ({}, {}, None),
        ({"prompt": "Effusion."}, {}, "made with another prompt;"),
        ({"seed": 6}, {}, "made with another seed;"),
        ({"seed": 6, "prompt": "x"}, {}, "made with another prompt and seed;"),
        ({}, {"weights_sha256": {"ctvit": "9"}}, "made with another weights;"),
        ({}, {"dicom": True}, None),  # the same volume; only its series is missing
        (None, {}, "a.json is no sidecar of a volume"),
    ],
)
def test_what_was_made_otherwise_is_refused(tmp_path, change, request_, said):
    content = ["somebody's"] if change is None else {**SIDECAR, **change}
    (tmp_path / "a.json").write_text(json.dumps(content))
    if said is None:
        refuse_replacing(tmp_path, [ITEM], lambda item: request_)
        return
    with pytest.raises(InputError, match=r"^output=.*: a is there already: .*; choose another output") as refused:
        refuse_replacing(tmp_path, [ITEM], lambda item: request_)
    assert said in str(refused.value)


def test_only_what_we_left_half_done_may_go(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", volume(), description=DESCRIPTION)
    refuse_replacing(tmp_path, [ITEM], lambda item: {})
    write_nifti(tmp_path / "a.nii.gz", volume(), description="a scan")
    with pytest.raises(InputError, match=r"a\.nii\.gz was not written by generatect"):
        refuse_replacing(tmp_path, [ITEM], lambda item: {})
    (tmp_path / "a.nii.gz").unlink()
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png belongs to no volume"):
        refuse_replacing(tmp_path, [ITEM], lambda item: {})


def test_a_second_prompt_does_not_replace_the_first_unless_asked_to(command, tmp_path):
    folder, aside = tmp_path / "d", tmp_path / "d-before-1"
    asked = (*QUICK, f"output={folder}")
    assert command("generate", "prompt=Clear.", *asked).code == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ended = command("generate", "prompt=Emphysema.", *asked)
    assert ended.code == 2
    assert "generated is there already: made with another prompt; choose another output, or add fresh=true" in ended.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    ended = command("generate", "prompt=Emphysema.", *asked, "fresh=true")
    assert ended.code == 0, ended.err
    assert f"what was made otherwise is in {aside} now" in ended.out
    assert json.loads((folder / "generated.json").read_text())["prompt"] == "Emphysema."
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == before


def test_a_shorter_table_does_not_leave_volumes_that_would_be_counted(command, tmp_path):
    table, folder = tmp_path / "p.csv", tmp_path / "d"
    table.write_text("prompt\nClear.\nEffusion.\nNodule.\n")
    asked = (f"prompts={table}", *QUICK, f"output={folder}")
    assert command("generate", *asked).code == 0
    assert len(read_folder(folder, "fake").volumes) == 3
    table.write_text("prompt\nClear.\n")
    ended = command("generate", *asked)
    assert ended.code == 2
    assert "2 volumes there, first 0001, belong to no row of this table" in ended.err
    ended = command("generate", *asked, "fresh=true")
    assert ended.code == 0, ended.err
    assert "1 of 1 volumes are there from before" in ended.out
    assert [item.name for item in read_folder(folder, "fake").volumes] == ["0000"]
    assert not list(folder.glob("000[12]*"))
    assert {path.name for path in (tmp_path / "d-before-1").glob("*.json")} == {"0001.json", "0002.json"}

    write_nifti(folder / "more.nii.gz", read_nifti(folder / "0000.nii.gz"))
    with pytest.raises(InputError, match=r"1 of 2 volumes are not in its manifest\.jsonl, first more"):
        read_folder(folder, "fake")


def test_what_describes_a_dataset_is_not_written_over_somebodys_file_of_that_name(command, tmp_path):
    """A table of prompts may be called table.csv, and lie where the dataset is to be."""
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "table.csv").write_text("prompt\nClear.\n")
    asked = (f"prompts={folder / 'table.csv'}", f"output={folder}", *QUICK)
    ended = command("generate", *asked)
    assert ended.code == 2
    assert f"output={folder}: table.csv is there already and belongs to no dataset" in ended.err
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"table.csv": "prompt\nClear.\n"}
    assert make_room(folder, [ITEM], lambda item: {}, {"a"}, is_dataset=True) == tmp_path / "d-before-1"
    assert (tmp_path / "d-before-1" / "table.csv").read_text() == "prompt\nClear.\n"
    refuse_foreign(folder)


def test_what_describes_a_dataset_goes_with_its_volumes(tmp_path):
    """Until the new one is finished, the old table would say other texts of the volumes that are there."""
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(SIDECAR))
    describing = {name: name for name in ("manifest.jsonl", "README.md", "table.csv", "rejected.csv")}
    for name in describing:
        (folder / name).write_text(name)
    assert make_room(folder, [ITEM], lambda item: {}, {"a"}, is_dataset=True) is None
    assert make_room(folder, [ITEM], lambda item: {"weights_sha256": {}}, {"a"}, is_dataset=True) is not None
    moved = {path.name: path.read_text() for path in (tmp_path / "d-before-1").iterdir()}
    assert moved == {**describing, "a.json": json.dumps(SIDECAR)}
    assert list(folder.iterdir()) == []


def test_a_rejected_prompt_does_not_keep_a_dataset_from_being_evaluated(tmp_path):
    write_nifti(tmp_path / "b.nii.gz", volume())
    reject(tmp_path, ITEM, {"weights_sha256": {}}, {}, [["no air"]])
    assert [item.name for item in read_folder(tmp_path, "fake").volumes] == ["b"]


class Fixed:
    """Makes the volume that it is given."""

    def __init__(self, made: CTVolume, **asked) -> None:
        preset = PhysicalPreset(num_slices=5, size=8, upscaled_size=8)
        model = StageModel(preset=preset, paths={}, hashes={}, notice=None, device=torch.device("cpu"))
        self.made, self.asked = Made(made, model), {"weights_sha256": {}, **asked}

    def request(self, item: WorkItem) -> dict:
        return self.asked

    def make(self, item: WorkItem, seed: int, show) -> Made:
        return self.made


def run(folder: Path, maker: Fixed, gate: Gate | None = None):
    return make_volumes(maker, [ITEM], folder, None, gate, lambda *_: None)


def test_a_volume_that_is_replaced_takes_nothing_of_the_one_before(tmp_path):
    run(tmp_path, Fixed(volume(7), tokens=1, dicom=True))
    assert len(list((tmp_path / "a").iterdir())) == 7
    (tmp_path / "a.tokens.npy").touch()
    run(tmp_path, Fixed(volume(5), tokens=2))
    assert {path.name for path in tmp_path.iterdir()} == {"a.nii.gz", "a.json", "a.png"}
    assert json.loads((tmp_path / "a.json").read_text())["shape_zyx"] == [5, 8, 8]


def test_a_volume_that_is_replaced_by_none_is_not_counted_on(tmp_path):
    """Nothing passes this gate; what was made of another request would be counted with the dataset."""
    run(tmp_path, Fixed(volume(), tokens=1))
    tally = run(tmp_path, Fixed(volume(), tokens=2), Gate(1, QualityLimits(body=(0.99, 1.0))))
    assert tally.rejected == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.rejected.json"}


@pytest.mark.parametrize("name", ["a.rejected", "a.png", "table.csv", "README.md", "b.JSON"])
def test_names_that_end_as_files_beside_volumes_do_are_refused(tmp_path, name):
    table = tmp_path / "p.csv"
    table.write_text(f"name,prompt\na,Clear.\n{name},Nodule.\n")
    with pytest.raises(InputError, match=r"row 2: name .* ends in \.\w+, as files beside volumes do"):
        gather_prompts(None, str(table))


def test_a_share_of_a_table_has_one_process_and_a_table_one_way_of_being_cut_up(tmp_path):
    with ExitStack() as held:
        held.enter_context(alone(tmp_path, Shard(0, 2), "a"))
        held.enter_context(alone(tmp_path, Shard(1, 2), "a"))  # others do other rows
        with pytest.raises(InputError, match=r"another process works on shard 0 of 2 in it"):
            held.enter_context(alone(tmp_path, Shard(0, 2), "a"))
        with pytest.raises(InputError, match=r"^shard\.count=3: another process works on shard 0 of 2"):
            held.enter_context(alone(tmp_path, Shard(1, 3), "a"))
    (tmp_path / ".shard-0-of-2.lock").write_text("of a killed process")
    with alone(tmp_path, Shard(1, 3), "a"):
        pass


def test_generate_refuses_a_share_that_another_process_does(command, tmp_path):
    table = tmp_path / "p.csv"
    table.write_text("prompt\nClear.\n")
    (tmp_path / "d").mkdir()
    with only_process(tmp_path / "d", share="shard 0 of 1"):
        ended = command("generate", f"prompts={table}", *QUICK, f"output={tmp_path / 'd'}")
    assert ended.code == 2
    assert "another process works on shard 0 of 1 in it" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_only_parts_of_the_volume_itself_are_cleared(tmp_path):
    own = (".a.nii.gz.abcdefg1.part", ".a.json.abcdefg2.part", ".a.tokens.npy.abcdefg3.part", ".a.abcdefg4.part")
    others = (".a.b.json.abcdefg1.part", ".a.b.nii.gz.abcdefg1.part", ".ab.json.abcdefg1.part", ".a.b.abcdefg4.part")
    for name in (*own[:3], *others):
        (tmp_path / name).touch()
    (tmp_path / own[3]).mkdir()  # a DICOM series
    (tmp_path / own[3] / "0000.dcm").touch()
    clear_unfinished(tmp_path, "a")
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_a_series_replaces_the_one_before_and_nothing_else(tmp_path):
    folder = tmp_path / "a"
    write_series(folder, volume(17), identity="one", description="x")
    write_series(folder, volume(5), identity="two", description="x")
    assert len(list(folder.iterdir())) == 5
    np.testing.assert_array_equal(read_series(folder).voxels_hu, volume(5).voxels_hu)
    (folder / "0003.dcm").write_bytes(b"somebody's")
    with pytest.raises(InputError, match=r"0003\.dcm is no slice that generatect wrote"):
        write_series(folder, volume(5), identity="two", description="x")
    remove_volume(tmp_path, "a")
    assert (folder / "0003.dcm").read_bytes() == b"somebody's"
    assert not list(Path(tmp_path).glob(".*"))
