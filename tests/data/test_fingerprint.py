"""A scan's hash and stamp change with every file that reading it would open."""

import os

from generatect.data.fingerprint import fingerprint
from generatect.data.stamp import stamp_of


def test_slices_behind_a_link_are_of_the_series(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for number, folder in enumerate(("series", "elsewhere")):
        (tmp_path / folder / f"{number}.dcm").write_bytes(b"slice")
    (tmp_path / "series" / "rest").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "series" / "rest" / "above").symlink_to(tmp_path / "series")  # in a circle
    before = fingerprint(tmp_path / "series", ""), stamp_of(tmp_path / "series")
    assert before[1][0] == 10  # bytes
    (tmp_path / "elsewhere" / "1.dcm").write_bytes(b"other")
    os.utime(tmp_path / "elsewhere" / "1.dcm", ns=(0, before[1][1] + 1))
    after = fingerprint(tmp_path / "series", ""), stamp_of(tmp_path / "series")
    assert before[0] != after[0]
    assert before[1] != after[1]
