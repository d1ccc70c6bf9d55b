"""A setting that an error advises is one that the command has, and it helps."""

import re

import nibabel as nib
import numpy as np
import pytest

from generatect.config.advice import as_settings

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def write_scan(path, *, seed=0, has_forms=True, has_air=True, unit=2):
    voxels = np.random.default_rng(seed).integers(-1000 if has_air else 0, 1000, (12, 12, 8)).astype(np.int16)
    image = nib.Nifti1Image(voxels, None)
    image.header.set_zooms((2.0, 2.0, 3.0))
    image.header["xyzt_units"] = unit
    if has_forms:
        image.header.set_sform(AFFINE, code=1)
    nib.save(image, path)


@pytest.fixture
def settings(tmp_path):
    """Function that gives the settings with which a command reads the only scan of a folder."""
    scans, others, table = tmp_path / "scans", tmp_path / "others", tmp_path / "table.csv"
    scans.mkdir()
    others.mkdir()
    for seed in (1, 2):
        write_scan(others / f"{seed}.nii.gz", seed=seed)
    table.write_text("volume,patient,text\nodd,p,Clear.\n")
    quick = ["steps=1", "model=tiny", "trainer.accelerator=cpu", "stage.datamodule.val_fraction=0.0"]

    def of(command: str) -> list[str]:
        return {
            "reconstruct": [f"input={scans}", f"cache_dir={tmp_path / 'c'}"],
            "render": [f"input={scans}", "views=[montage]"],
            "evaluate": [
                f"real={scans}",
                f"fake={others}",
                "metrics=[hu_histogram]",
                "evaluation.floor_splits=0",
                f"cache_dir={tmp_path / 'cache'}",
            ],
            "train": [
                "data=folder",
                f"data.root={scans}",
                f"data.table={table}",
                f"cache_dir={tmp_path / 'c'}",
                *quick,
            ],
        }[command]

    return of


@pytest.mark.parametrize("name", ["reconstruct", "render", "evaluate", "train"])
@pytest.mark.parametrize(
    ("spoilt", "key", "value"),
    [({"has_forms": False}, "assume_axes", "LPS"), ({"has_air": False}, "hu_policy", "unchecked")],
    ids=["assume_axes", "hu_policy"],
)
def test_a_command_has_what_it_advises_and_it_helps(command, settings, tmp_path, name, spoilt, key, value):
    write_scan(tmp_path / "scans" / "odd.nii.gz", **spoilt)
    write_scan(tmp_path / "scans" / "other_odd.nii.gz", seed=3, **spoilt)
    given = [*settings(name), f"output={tmp_path / 'out'}"]
    ended = command(name, *given)
    assert ended.code == 2
    (advised,) = set(re.findall(rf"[\w.]*{key}=(?=\w)", ended.err))
    assert advised == (f"data.{key}=" if name == "train" else f"{key}=")
    assert ended.err.count("\n") == 1
    again = command(name, *given, f"{advised}{value}")
    assert "odd" not in again.err  # whatever else such a scan cannot be used for
    assert "no such setting" not in again.err


def test_a_unit_is_called_by_its_name(command, settings, tmp_path):
    write_scan(tmp_path / "scans" / "odd.nii.gz", unit=1)
    ended = command("render", *settings("render"), f"output={tmp_path / 'out'}")
    assert ended.err.endswith("odd.nii.gz: lengths are in metres; expected millimetres, so store them in millimetres\n")


def test_a_table_is_advised_where_there_is_one_alone(command, settings, tmp_path):
    write_scan(tmp_path / "scans" / "odd.nii.gz", has_air=False)
    ended = command("render", *settings("render"), "hu_policy=metadata", f"output={tmp_path / 'out'}")
    assert "a table gives no slope and intercept for it" in ended.err


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["hu_policy", "data"], "say hu_policy=header; /a/hu_policy=b.nii stays"),
        (["data.pairs.hu_policy", "data.hu_policy"], "say data.hu_policy=header; /a/hu_policy=b.nii stays"),
        (["output"], "say hu_policy=header; /a/hu_policy=b.nii stays"),
    ],
)
def test_an_argument_becomes_the_setting_that_it_is(keys, expected):
    assert as_settings("say hu_policy=header; /a/hu_policy=b.nii stays", keys) == expected
