"""Training does not start on what the doctor refuses, unless told."""

import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.hounsfield import Scaling
from generatect.ct.volume import CTVolume
from generatect.data.inspection.archive import headers_of, inspect_archive
from generatect.data.inspection.facts import VoxelFacts
from generatect.data.inspection.gate import refuse_bad
from generatect.data.inspection.verdicts import VERSION, recall, remember
from generatect.data.manifest import Record
from generatect.data.stamp import stamp_of
from generatect.errors import InputError
from generatect.kept_lines import KeptLines
from generatect.phantom.pairs import PhantomPairs

TEXT = "Lungs and heart are both normal."


@pytest.fixture
def gate(tmp_path, scan, spoil, pairs_of):
    """Function that asks the gate about two volumes, the second of which may be spoilt and have other fields."""
    records = []
    for index in range(2):
        path = tmp_path / f"{index}.nii.gz"
        spoil["write"](path, scan(index))
        records.append(Record(f"name-{index}", path, f"patient-{index}", TEXT))

    def ask(damage=None, doctor: str = "refuse", on_bad: str = "raise", sides=((), ()), **fields) -> str | None:
        if damage is not None:
            damage(records[1].path)
        second = Record("name-1", records[1].path, fields.pop("patient", "patient-1"), TEXT, **fields)
        first = Record("name-0", records[0].path, "patient-0", TEXT, split="train")
        try:
            cache = str(tmp_path / "cache")
            refuse_bad(pairs_of([first, second]), *sides, doctor=doctor, on_bad=on_bad, cache_dir=cache)
        except InputError as error:
            return str(error)
        return None

    return ask


def look(pairs, folder, cache: str):
    """What the doctor does with voxels=true."""
    stamps = [stamp_of(record.path) for record in pairs.records]
    inspection = inspect_archive(
        pairs,
        headers_of(pairs, cache, lambda *_: None),
        {"kind": "hashed_words", "max_tokens": 128},
        kept=folder / "voxels.jsonl",
        num_workers=1,
        show=lambda *_: None,
    )
    remember(pairs, stamps, inspection.headers, inspection.voxels, cache)
    return inspection


def garble(path):
    path.write_bytes(b"garbled")


def test_a_sound_archive_passes(gate):
    assert gate() is None


def test_an_unreadable_header_is_refused_in_one_line(gate):
    message = gate(garble)
    assert message.startswith("data: the doctor refuses 1 of 2 volumes, first name-1: ")
    assert "\n" not in message
    for advice in ("generatect.doctor", "data.on_bad=skip", "data.doctor=ignore"):
        assert advice in message


def test_skip_takes_volumes_that_cannot_be_read(gate):
    assert gate(garble, on_bad="skip") is None


def test_ignore_asks_nothing(gate, tmp_path):
    assert gate(garble, doctor="ignore") is None
    assert not (tmp_path / "cache").exists()


def test_a_patient_on_both_sides_is_not_mended_by_skipping(gate):
    for on_bad in ("raise", "skip"):
        message = gate(patient="patient-0", split="val", on_bad=on_bad)
        assert "patient in training and validation" in message
        assert "on_bad" not in message


def test_warnings_do_not_refuse(gate, spoil):
    assert gate(lambda path: spoil["z spacing"](path, 1.0)) is None


def test_a_name_cannot_break_the_line(pairs_of, tmp_path):
    (tmp_path / "a.nii").write_bytes(b"garbled")
    records = [Record("two\nlines\x1b[31m", tmp_path / "a.nii", "p", TEXT)]
    with pytest.raises(InputError, match=r"two\?lines\?\[31m") as caught:
        refuse_bad(pairs_of(records), [], [], doctor="refuse", on_bad="raise", cache_dir=str(tmp_path / "cache"))
    assert "\n" not in str(caught.value)


def test_pairs_without_files_and_unknown_choices(tmp_path):
    refuse_bad(PhantomPairs(num=1), [], [], doctor="refuse", on_bad="raise", cache_dir=str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
    with pytest.raises(InputError, match="expected refuse or ignore"):
        refuse_bad(PhantomPairs(num=1), [], [], doctor="ask", on_bad="raise", cache_dir=str(tmp_path))


def test_what_the_doctor_saw_in_voxels_is_refused_too_until_the_file_changes(tmp_path, scan, spoil, pairs_of):
    cache, path = str(tmp_path / "cache"), tmp_path / "tub.nii.gz"
    spoil["write"](path, spoil["water"](scan(0)))
    pairs = pairs_of([Record("tub", path, "patient", TEXT)])
    refuse_bad(pairs, [], [], doctor="refuse", on_bad="raise", cache_dir=cache)  # its header is all right
    look(pairs, tmp_path, cache)
    for on_bad in ("raise", "skip"):  # it can be read, so skipping does not leave it out
        with pytest.raises(InputError, match="first tub: no lungs found"):
            refuse_bad(pairs, [], [], doctor="refuse", on_bad=on_bad, cache_dir=cache)
    spoil["write"](path, scan(0))
    refuse_bad(pairs, [], [], doctor="refuse", on_bad="raise", cache_dir=cache)


def refusal(pairs, cache: str, train=(), val=()) -> str | None:
    try:
        refuse_bad(pairs, train, val, doctor="refuse", on_bad="raise", cache_dir=cache)
    except InputError as error:
        return str(error)
    return None


@pytest.fixture
def twice(tmp_path, scan, spoil, pairs_of):
    """Pairs of three volumes, the third of which is the first, as float32 and under another patient."""
    paths = [tmp_path / f"{name}.nii.gz" for name in "abc"]
    for seed, path in enumerate(paths[:2]):
        spoil["write"](path, scan(seed))
    image = nib.load(paths[0])
    other = nib.Nifti1Image(image.get_fdata().astype(np.float32), image.affine, image.header)
    other.set_data_dtype(np.float32)
    nib.save(other, paths[2])
    return pairs_of([Record(path.name[0], path, f"patient-{path.name[0]}", TEXT) for path in paths])


def test_one_scan_of_two_patients_is_refused_on_both_sides_of_a_drawn_split(twice, tmp_path):
    cache = str(tmp_path / "cache")
    assert refusal(twice, cache, [0, 2], [1]) is None
    assert not (tmp_path / "cache" / "inspection" / "voxels.jsonl").exists()  # nothing was read for it
    for _ in range(2):  # read the first time, remembered the second
        message = refusal(twice, cache, [0, 1], [2])
        assert (
            "first c: same volume in training and validation (train and val: the same as a, another patient's"
            in message
        )
        assert "on_bad" not in message
    (tmp_path / "c.nii.gz").unlink()
    assert "same volume" not in refusal(twice, cache, [0, 1], [2])


def test_a_volume_that_the_doctor_has_read_is_known_however_it_is_stored(twice, tmp_path, capsys):
    """Stored from the other end, it is another one at a glimpse."""
    cache, path = str(tmp_path / "cache"), tmp_path / "c.nii.gz"
    image = nib.load(path)
    turn = np.diag([1.0, 1.0, -1.0, 1.0])
    turn[2, 3] = image.shape[2] - 1
    nib.save(nib.Nifti1Image(np.flip(image.get_fdata(), 2), image.affine @ turn, image.header), path)
    assert refusal(twice, cache, [0, 1], [2]) is None
    found = look(twice, tmp_path, cache).findings
    assert ("duplicate-patients", "c") in [(finding.code, finding.name) for finding in found]
    assert "same volume in training and validation" in refusal(twice, cache, [0, 1], [2])
    path.touch()
    assert refusal(twice, cache, [0, 1], [2]) is None
    assert "1 of 3 volumes have changed since the doctor read their voxels" in capsys.readouterr().out


def test_what_could_not_be_compared_is_said(twice, tmp_path, scan, spoil, capsys):
    voxels = scan(1).voxels_hu.copy()
    voxels[:20] = -1024
    spoil["write"](tmp_path / "b.nii.gz", CTVolume(voxels, scan(1).affine))
    assert refusal(twice, str(tmp_path / "cache"), [0, 2], [1]) is None
    assert "1 of 3 volumes show nothing at a glimpse" in capsys.readouterr().out
    assert refusal(twice, str(tmp_path / "cache"), [0, 1, 2], []) is None
    assert capsys.readouterr().out.strip() == ""


def test_what_the_doctor_said_of_a_table_does_not_stick_to_its_files(tmp_path, scan, spoil, pairs_of):
    """One patient on both sides and one file twice: mended in the table."""
    cache = str(tmp_path / "cache")
    for seed, name in enumerate("ab"):
        spoil["write"](tmp_path / f"{name}.nii.gz", scan(seed))
    shutil.copy(tmp_path / "a.nii.gz", tmp_path / "c.nii.gz")

    def pairs(*rows: tuple[str, str, str]):
        return pairs_of([Record(n, tmp_path / f"{n}.nii.gz", p, TEXT, split=s) for n, p, s in rows])

    wrong = pairs(("a", "p", "train"), ("b", "p", "val"), ("c", "r", "val"))
    found = {finding.code for finding in look(wrong, tmp_path, cache).findings}
    assert {"patient-in-both-splits", "duplicate-across-splits"} <= found
    assert "patient in training and validation" in refusal(wrong, cache)
    assert refusal(pairs(("a", "p", "train"), ("b", "q", "val")), cache) is None


def test_the_doctor_s_word_on_a_volume_holds_in_another_table_and_ends_with_its_cause(tmp_path, scan, spoil, pairs_of):
    cache = str(tmp_path / "cache")
    spoil["write"](tmp_path / "a.nii.gz", scan(0))
    spoil["write"](tmp_path / "b.nii.gz", scan(1))
    bad, good = Scaling(1.0, -1024.0), Scaling(1.0, 0.0)
    first = Record("a", tmp_path / "a.nii.gz", "p", TEXT, metadata=bad)
    second = Record("b", tmp_path / "b.nii.gz", "q", TEXT)
    options = {"hu_policy": "metadata"}
    look(pairs_of([first], **options), tmp_path, cache)
    message = refusal(pairs_of([first], **options), cache)
    assert "as the doctor saw in its voxels" in message
    assert refusal(pairs_of([second, first], **options), cache).startswith(
        "data: the doctor refuses 1 of 2 volumes, first a"
    )
    assert refusal(pairs_of([replace(first, metadata=good)], **options), cache) is None


def test_kept_facts_that_are_damaged_or_of_another_version_are_made_again(twice, tmp_path):
    cache, store = str(tmp_path / "cache"), tmp_path / "cache" / "inspection" / "voxels.jsonl"
    expected = refusal(twice, cache, [0, 1], [2])
    assert "same volume" in expected
    strange = {"stamp": [1, 2, 3], "is_judged": True, "code": "of-another-version", "content": None}
    whole = store.read_bytes()
    KeptLines(store, VERSION).add(dict.fromkeys(KeptLines(store, VERSION).read(lambda v: v), strange))
    for content in (store.read_bytes(), whole[:50], b"\xff" + whole, whole.replace(b"false", b"true "), b"[" * 100_000):
        store.write_bytes(content)
        assert refusal(twice, cache, [0, 1], [2]) == expected


def test_what_may_lie_outside_of_a_file_is_no_verdict_on_it(twice, tmp_path):
    cache = str(tmp_path / "cache")
    stamps = [stamp_of(record.path) for record in twice.records]
    refusals = ("cannot be read (Permission denied)", "too large for the memory of this machine; try workers=1", "NaN")
    headers = headers_of(twice, cache, lambda *_: None)
    remember(twice, stamps, headers, [VoxelFacts(refusal=refusal) for refusal in refusals], cache)
    seen, _ = recall(twice, cache)
    assert [entry and entry.code for entry in seen] == [None, None, "unreadable"]
