"""A folder of volumes: what counts as one, and by which name it is known."""

import json
import os
import unicodedata

import pytest

from generatect.errors import InputError
from generatect.evaluation.volumes import read_folder
from tests.evaluation.folders import noise, write_folder, write_volume


def test_endings_in_capitals_count_and_hidden_files_do_not(tmp_path):
    write_folder(tmp_path, 3, 0, (5, 6, 7), prompts=False)
    (tmp_path / "v2.nii.gz").rename(tmp_path / "v2.NII.GZ")
    for index in range(3):
        (tmp_path / f"._v{index}.nii.gz").write_bytes(b"\0\5\x16\7" + bytes(100))  # macOS, on a foreign disk
    assert [volume.name for volume in read_folder(tmp_path, "fake").volumes] == ["v0", "v1", "v2"]
    write_volume(tmp_path / "v2.nii.gz", noise(9, 5, 6, 7))
    with pytest.raises(InputError, match="v2 is there with two endings"):
        read_folder(tmp_path, "fake")


def test_a_table_and_a_disk_may_spell_a_name_differently(tmp_path):
    apart, composed = (unicodedata.normalize(form, "Größe") for form in ("NFD", "NFC"))
    write_volume(tmp_path / f"{apart}.nii.gz", noise(0, 5, 6, 7))
    write_volume(tmp_path / "b.nii.gz", noise(1, 5, 6, 7))
    (tmp_path / "b.nii.gz").rename(tmp_path / "b.NII.GZ")
    (tmp_path / "reports.csv").write_text(f"volume,text\n{composed}.nii.gz,Clear.\nb.NII.GZ,Nodule.\n")
    found = {volume.name: volume.prompt for volume in read_folder(tmp_path, "real").volumes}
    assert found == {composed: "Clear.", "b": "Nodule."}


def test_a_manifest_and_a_disk_may_spell_a_name_differently(tmp_path):
    """A table of prompts from a Mac names the files of its dataset with letters taken apart."""
    apart = unicodedata.normalize("NFD", "Größe")
    write_volume(tmp_path / f"{apart}.nii.gz", noise(0, 5, 6, 7))
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"volume": f"{apart}.nii.gz"}) + "\n", encoding="utf-8")
    assert len(read_folder(tmp_path, "fake").volumes) == 1
    write_volume(tmp_path / "other.nii.gz", noise(1, 5, 6, 7))
    with pytest.raises(InputError, match=r"1 of 2 volumes are not in its manifest\.jsonl, first other"):
        read_folder(tmp_path, "fake")


def test_a_name_that_is_no_utf8_is_spelled_by_escapes(tmp_path):
    write_volume(tmp_path / "a.nii.gz", noise(0, 5, 6, 7))
    (tmp_path / "a.nii.gz").rename(tmp_path / os.fsdecode(b"gr\xfc\xdfe.nii.gz"))
    folder = read_folder(tmp_path, "real")
    assert [volume.name for volume in folder.volumes] == [r"gr\udcfc\udcdfe"]
    assert len(folder.sha256) == 64
    assert folder.volumes[0].read_hu().shape == (5, 6, 7)
