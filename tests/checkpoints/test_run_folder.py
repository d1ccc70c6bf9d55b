"""A run's folder: one training at a time, nothing written over, everything moved and nothing lost."""

import os
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from generatect.checkpoints.run_folder import alone_in, move_aside, refuse_to_overwrite, write_settings
from generatect.errors import InputError
from generatect.lock import only_process

RUN = ("config.yaml", "config-1.yaml", "run.json", "logs/metrics.csv", "tables/a.csv", "checkpoints/a.ckpt")
RUN += ("previous.ckpt", "last.ckpt", "ctvit.safetensors")
OTHERS = ("transformer.safetensors", "job.json", "notes.txt", "demo/generated.nii.gz")


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def write(tmp_path):
    """Function that writes files, each with its name in it."""

    def files(*names: str, what: str = "") -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(what + name)
        return tmp_path

    return files


@pytest.mark.parametrize("name", ["last.ckpt", "previous.ckpt", "checkpoints/a.ckpt", "ctvit.safetensors"])
def test_results_are_not_written_over(write, name):
    folder = write(name)
    with pytest.raises(InputError, match=f"output={folder}: holds a run \\({name}.*fresh=true moves it aside"):
        refuse_to_overwrite(folder, "ctvit", None)
    with pytest.raises(InputError, match="holds a run"):  # one that goes on from elsewhere is another run, too
        refuse_to_overwrite(folder, "ctvit", str(folder.parent / "other" / "last.ckpt"))
    refuse_to_overwrite(folder, "ctvit", str(folder / "last.ckpt"))


def test_a_folder_of_other_things_is_not_refused(write):
    refuse_to_overwrite(write(*OTHERS, "config.yaml", "logs/metrics.csv"), "ctvit", None)


def test_a_run_is_moved_aside_whole_and_alone(write):
    folder = write(*RUN, *OTHERS)
    assert move_aside(folder, "ctvit") == folder / "before-1"
    assert contents(folder) == {**{name: name for name in OTHERS}, **{f"before-1/{name}": name for name in RUN}}
    assert move_aside(folder, "ctvit") is None  # nothing is left of it
    write("last.ckpt", what="second ")
    assert move_aside(folder, "ctvit") == folder / "before-2"
    assert contents(folder)["before-2/last.ckpt"] == "second last.ckpt"


@pytest.mark.parametrize("cut", range(9))
def test_a_move_that_was_cut_is_finished_by_the_next(write, monkeypatch, cut):
    folder, replace, moved = write(*RUN, *OTHERS), os.replace, 0

    def until_cut(source, target):
        nonlocal moved
        if moved == cut:
            raise KeyboardInterrupt
        moved += 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", until_cut)
    with pytest.raises(KeyboardInterrupt):
        move_aside(folder, "ctvit")
    monkeypatch.setattr(os, "replace", replace)
    move_aside(folder, "ctvit")
    assert contents(folder) == {**{name: name for name in OTHERS}, **{f"before-1/{name}": name for name in RUN}}


def test_what_a_run_starts_from_is_not_moved_away(write):
    folder = write(*RUN)
    with pytest.raises(InputError, match="fresh=true would move it aside"):
        move_aside(folder, "ctvit", init=str(folder / "last.ckpt"), tokenizer=None)
    assert set(contents(folder)) == set(RUN)
    assert move_aside(folder, "transformer", init=None, tokenizer=str(folder / "ctvit.safetensors")) is not None
    assert (folder / "ctvit.safetensors").exists()


def test_other_settings_keep_those_before(tmp_path):
    first, second = (
        {"steps": steps, "stage": {"betas": (0.9, 0.99)}, "resume": None, "fresh": False} for steps in (4, 6)
    )
    for settings in (first, {**first, "resume": "auto"}, second, second, {**second, "steps": 8}):
        write_settings(tmp_path, settings)
    found = {path.name: OmegaConf.load(path).steps for path in tmp_path.iterdir()}
    assert found == {"config-1.yaml": 4, "config-2.yaml": 6, "config.yaml": 8}


def test_a_file_of_somebody_else_is_kept_too(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff: [not ours")
    write_settings(tmp_path, {"steps": 4})
    assert (tmp_path / "config-1.yaml").read_bytes() == b"\xff: [not ours"


def test_settings_on_a_full_disk_leave_the_old_ones(tmp_path, monkeypatch):
    write_settings(tmp_path, {"steps": 4})

    def full(settings, path):
        Path(path).write_text("ste")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OmegaConf, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_settings(tmp_path, {"steps": 6})
    assert OmegaConf.load(tmp_path / "config.yaml").steps == 4


def test_a_second_process_is_refused(tmp_path):
    with only_process(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()}"), alone_in(str(tmp_path)):
        pass


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path):
    with pytest.raises(KeyError), alone_in(str(tmp_path / "a" / "b")):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with alone_in(str(tmp_path / "a" / "b")) as folder:
        (folder / "kept").write_text("")
    assert (tmp_path / "a" / "b" / "kept").exists()


def test_processes_that_train_together_leave_the_lock_to_the_first(tmp_path, monkeypatch):
    with only_process(tmp_path):
        monkeypatch.setattr(rank_zero_only, "rank", 1, raising=False)
        with alone_in(str(tmp_path)) as folder:
            assert folder == tmp_path
        assert (tmp_path / ".lock").exists()
