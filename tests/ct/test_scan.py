"""A scan is read as the command says, where its files do not."""

import numpy as np
import pytest

from generatect.ct.scan import AS_STATED, Reading
from generatect.errors import InputError
from tests.dicom_writer import SERIES_UID, save, series_of, unique_hu


def test_one_of_several_series_is_chosen_by_number_or_uid(tmp_path):
    uids = (SERIES_UID, f"{SERIES_UID}.9")
    for number, uid in enumerate(uids):
        save(tmp_path / f"{number}", series_of(unique_hu()[::-1] if number else None, SeriesInstanceUID=uid))
    with pytest.raises(InputError, match=r"holds 2 series .*reconstruct and render take series=NUMBER"):
        AS_STATED.read(tmp_path)
    first, second = (Reading(series=number).read(tmp_path).volume.voxels_hu for number in (1, 2))
    assert not np.array_equal(first, second)
    assert np.array_equal(Reading(series=uids[1]).read(tmp_path).volume.voxels_hu, second)


@pytest.mark.parametrize(
    ("settings", "part"), [({"hu_policy": "magic"}, "hu_policy='magic'"), ({"assume_axes": "LPX"}, "assume_axes='LPX'")]
)
def test_what_cannot_be_is_refused_before_any_file_is_read(settings, part):
    with pytest.raises(InputError, match=part):
        Reading(**settings)
