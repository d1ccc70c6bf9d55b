"""Intervals and differences of the study: laws, and closed forms."""

import numpy as np
import pytest

from generatect.metrics.auroc import auroc
from generatect.metrics.average_precision import average_precision
from generatect.utility_study.statistics import MEAN, Score, judge, judged, patient_weights

FINDINGS = ["Emphysema", "Lung nodule"]


def volumes(num: int, generator: np.random.Generator, gap: float = 1.5, seeds: int = 2) -> tuple:
    """Scores "seeds n k" that lie `gap` higher where a finding is, labels "n k", and patients of one volume each."""
    labels = generator.random((num, len(FINDINGS))) < 0.5
    scores = generator.standard_normal((seeds, num, len(FINDINGS))) + gap * labels
    return scores, labels, [f"patient-{index}" for index in range(num)]


def judge_of(scores: dict, labels, patients, resamples=300, seed=0) -> dict[tuple, Score]:
    found = judge(scores, labels, FINDINGS, patients, resamples, np.random.default_rng(seed))
    return {(each.training_set, each.finding, each.metric): each for each in found}


def test_values_are_the_means_of_plain_metrics():
    scores, labels, patients = volumes(80, np.random.default_rng(0))
    found = judge_of({"real": scores}, labels, patients)
    areas = np.array([[auroc(own[has, k], own[~has, k]).value for k, has in enumerate(labels.T)] for own in scores])
    precisions = np.array([[average_precision(own[:, k], has) for k, has in enumerate(labels.T)] for own in scores])
    for metric, values in (("auroc", areas), ("average_precision", precisions)):
        assert found["real", MEAN, metric].score.value == pytest.approx(values.mean())
        assert found["real", MEAN, metric].score.seeds_sd == pytest.approx(np.std(values.mean(axis=1), ddof=1))
        for column, finding in enumerate(FINDINGS):
            assert found["real", finding, metric].score.by_seed == pytest.approx(tuple(values[:, column]))
            assert found["real", finding, metric].difference is None


def test_the_interval_is_as_wide_as_delong_says():
    scores, labels, patients = volumes(500, np.random.default_rng(1), seeds=1)
    found = judge_of({"real": scores}, labels, patients, resamples=2000)
    for column, finding in enumerate(FINDINGS):
        has = labels[:, column]
        exact, own = auroc(scores[0, has, column], scores[0, ~has, column]), found["real", finding, "auroc"].score
        assert (own.low, own.high) == pytest.approx((exact.low, exact.high), abs=0.006)
        assert own.seeds_sd is None


def test_equal_scores_differ_by_exactly_nothing():
    scores, labels, patients = volumes(60, np.random.default_rng(2))
    found = judge_of({"real": scores, "both": scores.copy()}, labels, patients)
    for finding in (MEAN, *FINDINGS):
        difference = found["both", finding, "auroc"].difference
        assert (difference.value, difference.low, difference.high, difference.seeds_sd) == (0.0, 0.0, 0.0, 0.0)
        assert difference.sign == 0


def test_a_difference_is_paired():
    """Two classifiers that err on the same volumes differ far less than the patients vary."""
    generator = np.random.default_rng(3)
    scores, labels, patients = volumes(200, generator)
    nearly = scores + 0.02 * generator.standard_normal(scores.shape)
    found = judge_of({"real": scores, "both": nearly}, labels, patients)["both", MEAN, "auroc"]
    assert found.difference.high - found.difference.low < 0.2 * (found.score.high - found.score.low)


def test_a_better_set_is_told_from_a_worse_one():
    generator = np.random.default_rng(4)
    scores, labels, patients = volumes(200, generator)
    sets = {"real": scores, "both": scores + 1.5 * labels, "synthetic": generator.standard_normal(scores.shape)}
    found = judge_of(sets, labels, patients)
    assert found["both", MEAN, "auroc"].difference.sign == 1
    assert found["synthetic", MEAN, "auroc"].difference.sign == -1


def test_a_difference_that_only_some_seeds_show_is_none():
    scores, labels, patients = volumes(200, np.random.default_rng(5))
    better = scores.copy()
    better[0] += 3 * labels
    better[1] -= 0.05 * labels
    difference = judge_of({"real": scores, "both": better}, labels, patients)["both", MEAN, "auroc"].difference
    assert difference.low > 0
    assert difference.sign == 0


def test_patients_are_resampled_with_all_of_their_volumes():
    """Each volume three times, as three scans of its patient, tells no more than once."""
    scores, labels, patients = volumes(40, np.random.default_rng(6))
    once = judge_of({"real": scores}, labels, patients)
    thrice = judge_of({"real": scores.repeat(3, axis=1)}, labels.repeat(3, axis=0), list(np.repeat(patients, 3)))
    as_others = judge_of(
        {"real": scores.repeat(3, axis=1)}, labels.repeat(3, axis=0), [f"{index}" for index in range(120)]
    )
    own, clustered, wrong = (found["real", MEAN, "auroc"].score for found in (once, thrice, as_others))
    assert (clustered.low, clustered.high) == pytest.approx((own.low, own.high), abs=1e-12)
    assert wrong.high - wrong.low < 0.75 * (own.high - own.low)


def test_weights_of_patients():
    patients = ["b", "a", "b", "c"]
    weights = patient_weights(patients, 4000, np.random.default_rng(0))
    assert weights[0].tolist() == [1, 1, 1, 1]
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights[1:].mean(axis=0) == pytest.approx(1, abs=0.06)
    assert weights[1:, 1].var() == pytest.approx(2 / 3, abs=0.06)  # binomial of 3 draws at 1/3


def test_a_finding_that_nobody_has_is_not_judged_and_not_in_the_mean():
    scores, labels, patients = volumes(60, np.random.default_rng(7))
    labels[:, 1] = False
    assert judged(labels).tolist() == [True, False]
    found = judge_of({"real": scores, "both": scores}, labels, patients)
    assert found["real", "Lung nodule", "auroc"].score is None
    assert found["both", "Lung nodule", "auroc"].difference is None
    assert found["real", MEAN, "auroc"].score == found["real", "Emphysema", "auroc"].score


def test_no_finding_can_be_judged():
    scores, labels, patients = volumes(10, np.random.default_rng(8))
    found = judge_of({"real": scores}, np.zeros_like(labels), patients)
    assert all(each.score is None for each in found.values())
