"""Training does not start on what the doctor refuses, unless told."""

import pytest

from generatect.data.inspection.archive import headers_of, inspect_archive
from generatect.data.inspection.gate import refuse_bad
from generatect.data.inspection.verdicts import remember
from generatect.data.manifest import Record
from generatect.errors import InputError
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

    def ask(damage=None, doctor: str = "refuse", on_bad: str = "raise", **fields) -> str | None:
        if damage is not None:
            damage(records[1].path)
        second = Record("name-1", records[1].path, fields.pop("patient", "patient-1"), TEXT, **fields)
        first = Record("name-0", records[0].path, "patient-0", TEXT, split="train")
        try:
            cache = str(tmp_path / "cache")
            refuse_bad(pairs_of([first, second]), doctor=doctor, on_bad=on_bad, cache_dir=cache)
        except InputError as error:
            return str(error)
        return None

    return ask


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
        refuse_bad(pairs_of(records), doctor="refuse", on_bad="raise", cache_dir=str(tmp_path / "cache"))
    assert "\n" not in str(caught.value)


def test_pairs_without_files_and_unknown_choices(tmp_path):
    refuse_bad(PhantomPairs(num=1), doctor="refuse", on_bad="raise", cache_dir=str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
    with pytest.raises(InputError, match="expected refuse or ignore"):
        refuse_bad(PhantomPairs(num=1), doctor="ask", on_bad="raise", cache_dir=str(tmp_path))


def test_what_the_doctor_saw_in_voxels_is_refused_too_until_the_file_changes(tmp_path, scan, spoil, pairs_of):
    cache, path = str(tmp_path / "cache"), tmp_path / "tub.nii.gz"
    spoil["write"](path, spoil["water"](scan(0)))
    pairs = pairs_of([Record("tub", path, "patient", TEXT)])
    refuse_bad(pairs, doctor="refuse", on_bad="raise", cache_dir=cache)  # its header is all right
    inspection = inspect_archive(
        pairs,
        headers_of(pairs, cache, lambda *_: None),
        {"kind": "hashed_words", "max_tokens": 128},
        kept=tmp_path / "voxels.jsonl",
        num_workers=1,
        show=lambda *_: None,
    )
    remember(pairs, inspection.findings, cache)
    for on_bad in ("raise", "skip"):  # it can be read, so skipping does not leave it out
        with pytest.raises(InputError, match="first tub: no lungs found"):
            refuse_bad(pairs, doctor="refuse", on_bad=on_bad, cache_dir=cache)
    spoil["write"](path, scan(0))
    refuse_bad(pairs, doctor="refuse", on_bad="raise", cache_dir=cache)
