"""A phantom is what it says: tissues have their HU, findings lie where the case puts them, every grid agrees."""

import dataclasses

import numpy as np
import pytest

from generatect.ct.grid import Grid
from generatect.errors import InputError
from generatect.phantom.case import PhantomCase, labels, sample_case
from generatect.phantom.findings import FINDINGS, LABELS, SIDED, Finding
from generatect.phantom.render import render

GRID = Grid((67, 128, 128), (4.5, 3.0, 3.0))
SMALL = Grid((17, 48, 48), (301.5 / 17, 8.0, 8.0))
HEALTHY = sample_case(3, prevalence=0.0)


def with_finding(name: str, side: str = "", place: str = "", grade: float = 1.0) -> PhantomCase:
    finding = Finding(name, side, place, "", grade, (0.0, 0.0, 0.0))
    return dataclasses.replace(HEALTHY, findings=(finding,))


def value(voxels: np.ndarray, z: float, y: float, x: float) -> float:
    """HU at a position in millimetres of the average chest."""
    scale = HEALTHY.patient.scale
    index = [
        round(p * scale / s + (n - 1) / 2)
        for p, s, n in zip((z, y, x), GRID.spacing_mm_zyx, GRID.shape_zyx, strict=True)
    ]
    return float(voxels[tuple(index)])


@pytest.fixture(scope="module")
def healthy() -> np.ndarray:
    return render(HEALTHY, GRID).voxels_hu


def test_same_seed_same_bytes_and_another_seed_another_scan():
    first, again, other = (render(sample_case(seed), SMALL, 20.0).voxels_hu.tobytes() for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_canonical_volume_on_the_grid():
    volume = render(HEALTHY, SMALL)
    assert volume.shape_zyx == SMALL.shape_zyx
    assert volume.voxels_hu.dtype == np.float32
    np.testing.assert_array_equal(volume.affine, SMALL.affine())


def test_tissues_have_their_hounsfield_units(healthy):
    assert healthy[:, :20, :].max() == -1000
    assert value(healthy, -20, 44, 24) == pytest.approx(180, abs=1), "descending aorta"
    assert value(healthy, 100, 11, -1) < -950, "trachea"
    assert value(healthy, -110, 0, -70) == pytest.approx(60, abs=1), "liver"
    lung = np.median(healthy[(healthy > -980) & (healthy < -700)])
    assert -890 < lung < -820
    assert (healthy > 300).sum() > 500, "bone"
    assert healthy.min() >= -1000
    assert healthy.max() < 1000, "no metal without a device"


def test_heart_lies_left_and_liver_right(healthy):
    blood = healthy[26, 40:70] > 90
    columns = np.nonzero(blood)[1] - 63.5
    assert columns.mean() > 0
    liver = np.abs(healthy[18] - 60) < 1
    assert liver[:, :64].sum() > 3 * liver[:, 64:].sum()


def test_coarse_is_the_average_of_fine():
    case = sample_case(11, prevalence=0.5)
    coarse = render(case, SMALL).voxels_hu
    fine = render(case, Grid((68, 144, 144), (301.5 / 68, 384 / 144, 384 / 144))).voxels_hu
    difference = coarse - fine.reshape(17, 4, 48, 3, 48, 3).mean((1, 3, 5))
    assert np.sqrt(np.square(difference).mean()) < 40
    assert abs(difference.mean()) < 6


def test_noise_has_the_given_deviation():
    clean, noisy = (render(HEALTHY, SMALL, noise).voxels_hu for noise in (0.0, 25.0))
    assert (noisy - clean).std() == pytest.approx(25, rel=0.02)
    assert abs((noisy - clean).mean()) < 1


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", SIDED)
def test_a_sided_finding_changes_its_own_side_alone(name, side, healthy):
    place = "" if name == "Pleural effusion" else "lower"
    change = np.abs(render(with_finding(name, side, place), GRID).voxels_hu - healthy)
    right, left = change[:, :, :64].sum(), change[:, :, 64:].sum()
    own, other = (right, left) if side == "right" else (left, right)
    assert own * np.prod(GRID.spacing_mm_zyx) > 1e6, "at least a nodule's worth of HU mm³"
    assert other < 0.01 * own


def test_both_sides_are_the_right_and_the_left_one():
    right, left, both = (render(with_finding("Pleural effusion", s), GRID).voxels_hu for s in ("right", "left", "both"))
    np.testing.assert_array_equal(both[:, :, :64], right[:, :, :64])
    np.testing.assert_array_equal(both[:, :, 64:], left[:, :, 64:])


def test_upper_lies_above_lower(healthy):
    for name in ("Lung nodule", "Consolidation"):
        heights = []
        for place in ("lower", "upper"):
            change = np.abs(render(with_finding(name, "left", place), GRID).voxels_hu - healthy).sum((1, 2))
            heights.append((change * np.arange(len(change))).sum() / change.sum())
        assert heights[0] + 5 < heights[1]


def test_the_other_findings_look_like_themselves(healthy):
    def change(name: str) -> np.ndarray:
        return render(with_finding(name), GRID).voxels_hu

    assert change("Medical material").max() > 2000
    assert (change("Arterial wall calcification") > 700).sum() > (healthy > 700).sum() + 50
    blood = [np.sum(np.abs(v - 100) < 15) for v in (healthy, change("Cardiomegaly"))]
    assert blood[1] > 1.5 * blood[0]
    fluid = [np.sum(np.abs(v - 8) < 0.5) for v in (healthy, change("Pericardial effusion"))]
    assert fluid[1] - fluid[0] > 5000
    assert value(change("Hiatal hernia"), -60, 50, 0) != value(healthy, -60, 50, 0)
    assert value(change("Lymphadenopathy"), 52, 2, -40) == pytest.approx(60, abs=1)
    lungs = (healthy > -900) & (healthy < -800)
    assert np.median(change("Emphysema")[lungs]) < np.median(healthy[lungs]) - 70


def test_labels_and_prevalence():
    cases = [sample_case(seed, 0.3) for seed in range(800)]
    assert all(set(labels(case)) == set(LABELS) for case in cases)
    assert all(labels(case)[finding.name] == 1 for case in cases for finding in case.findings)
    assert all(sum(labels(case)[name] for name in FINDINGS) == len(case.findings) for case in cases)
    shares = np.array([[labels(case)[name] for name in FINDINGS] for case in cases])
    np.testing.assert_allclose(shares.mean(0), 0.3, atol=0.06)
    assert np.abs(np.corrcoef(shares.T) - np.eye(len(FINDINGS))).max() < 0.15, "findings are independent"


def test_patients_differ_and_one_patient_keeps_the_body():
    cases = [sample_case(seed) for seed in range(50)]
    assert {case.sex for case in cases} == {"male", "female"}
    assert len({case.age for case in cases}) > 20
    assert len({case.size for case in cases}) == 50
    assert sample_case(8, patient_seed=7).patient == sample_case(7).patient


def test_impossible_cases_are_refused():
    with pytest.raises(InputError, match=r"prevalence=1\.5"):
        sample_case(1, prevalence=1.5)
    with pytest.raises(InputError, match="seed=-1"):
        sample_case(-1)
