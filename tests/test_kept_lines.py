"""Whatever happens to a file of kept lines, what is read from it was once written under that key and version."""

import json
import random

import pytest

from generatect.errors import InputError
from generatect.kept_lines import KeptLines


def plain(value):
    return value


@pytest.fixture
def written(tmp_path) -> tuple[KeptLines, dict]:
    values = {f"key {n}": {"shape_zyx": [n, 2, 3], "name": "ä\u2028\n", "nothing": None} for n in range(5)}
    kept = KeptLines(tmp_path / "deeper" / "kept.jsonl", "1")
    kept.add(values)
    return kept, values


def test_what_was_written_is_read_and_is_json(written):
    kept, values = written
    assert KeptLines(kept.path, "1").read(plain) == values
    lines = [json.loads(line) for line in kept.path.read_text(encoding="utf-8").split("\n") if line]
    assert {line["key"]: line["value"] for line in lines} == values


def test_the_last_line_of_a_key_counts(written):
    kept, values = written
    kept.add({"key 1": "new"})
    assert kept.read(plain) == values | {"key 1": "new"}


def test_another_version_reads_nothing(written):
    assert KeptLines(written[0].path, "2").read(plain) == {}


def test_any_flipped_bit_and_any_cut_leaves_the_rest(written):
    kept, values = written
    content, draws = kept.path.read_bytes(), random.Random(0)
    places = [draws.randrange(8 * len(content)) for _ in range(200)]
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        kept.path.write_bytes(damaged)
        found = kept.read(plain)
        assert found.items() <= values.items()
        assert len(found) >= len(values) - 2  # a lost line break joins two lines
    for end in range(0, len(content), 7):
        kept.path.write_bytes(content[:end])
        assert kept.read(plain).items() <= values.items()
        kept.add({"after": end})
        assert kept.read(plain)["after"] == end


def test_what_does_not_decode_is_passed_over(written):
    kept, _ = written
    kept.add({"short": [1]})
    found = kept.read(lambda value: value["shape_zyx"][0])
    assert found == {f"key {n}": n for n in range(5)}
    kept.add({"key 3": "of no shape"})  # a newer line without meaning does not bring an older one back
    assert "key 3" not in kept.read(lambda value: value["shape_zyx"][0])


def test_superseded_lines_do_not_pile_up(written):
    kept, values = written
    for number in range(200):
        kept.add({"key 0": number})
    assert kept.path.read_bytes().count(b"crc") <= 2 * len(values)
    assert kept.read(plain) == values | {"key 0": 199}


def test_a_folder_in_its_place_is_absent_to_readers_and_one_line_to_writers(tmp_path):
    (tmp_path / "kept").mkdir()
    kept = KeptLines(tmp_path / "kept", "1")
    assert kept.read(plain) == {}
    with pytest.raises(InputError, match=r"kept: cannot be written \(Is a directory\)"):
        kept.add({"a": 1})
