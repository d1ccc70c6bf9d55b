"""Equal files are found by their bytes, whatever their names."""

import shutil

import pytest

from generatect.data.inspection.content import SAMPLED_BYTES, add_content, content_hash
from generatect.data.inspection.facts import HeaderFacts


@pytest.mark.parametrize("at", [0, SAMPLED_BYTES - 1, 2 * SAMPLED_BYTES, -1])
def test_a_changed_byte_at_either_end_or_in_the_middle_changes_the_hash(tmp_path, at):
    content = bytearray(4 * SAMPLED_BYTES)
    (tmp_path / "a").write_bytes(content)
    shutil.copy(tmp_path / "a", tmp_path / "copy")
    content[at] = 1
    (tmp_path / "b").write_bytes(content)
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "copy") != content_hash(tmp_path / "b")
    assert content_hash(tmp_path / "absent") is None


def test_only_files_of_equal_size_are_hashed(tmp_path):
    sizes = [3, 5, 3, 0, 0]
    paths = [tmp_path / str(index) for index in range(5)]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(b"x" * size)
    facts = add_content(paths, [HeaderFacts(size) for size in sizes], map, lambda label, done, total: None)
    assert [of_file.content is not None for of_file in facts] == [True, False, True, False, False]
    assert facts[0].content == facts[2].content
