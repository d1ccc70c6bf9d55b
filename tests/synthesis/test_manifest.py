"""Lines of a manifest are divided by line breaks alone, whatever a report is made of."""

import pytest

from generatect.errors import InputError
from generatect.synthesis.audited import CARD, audited_section, keep_audit, require_dataset
from generatect.synthesis.manifest import MANIFEST, append_line, read_manifest, seconds_by_volume, write_manifest
from generatect.synthesis.work import Shard

SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\n"


@pytest.fixture
def dataset(tmp_path):
    lines = [
        {"volume_sha256": f"{index}" * 64, "prompt": f"Clear.{letter}No effusion.", "seconds": 1.0 + index}
        for index, letter in enumerate(SEPARATORS)
    ]
    for line in lines:
        append_line(tmp_path, Shard(), line)
    write_manifest(tmp_path, lines)
    (tmp_path / CARD).write_text("# Card\n", encoding="utf-8")
    return tmp_path, lines


def test_every_line_is_read_back(dataset):
    folder, lines = dataset
    assert read_manifest(folder) == lines
    assert seconds_by_volume(folder) == {line["volume_sha256"]: line["seconds"] for line in lines}


def test_an_audit_goes_into_the_card_of_such_a_dataset(dataset):
    folder, lines = dataset
    require_dataset(folder, "generated")
    keep_audit(folder, "## Privacy\n\nnothing\n")
    assert audited_section(folder, [line["volume_sha256"] for line in lines]) == "\n## Privacy\n\nnothing\n"


@pytest.mark.parametrize("damage", [b'{"volume_sha256": ', b"[1]\n", b'{"prompt": "x"}\n', b"\xff\n"])
def test_a_damaged_manifest_is_refused_before_an_audit_begins(dataset, damage):
    folder, _ = dataset
    with (folder / MANIFEST).open("ab") as file:
        file.write(damage)
    with pytest.raises(InputError, match=r"manifest.jsonl: .*; finish the dataset again") as refused:
        require_dataset(folder, "generated")
    assert "\n" not in str(refused.value)
