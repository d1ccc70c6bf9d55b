"""The numbers of the audit against closed forms, simulations and other ways to compute them."""

import numpy as np
import pytest
import torch

from generatect.metrics.auroc import auroc
from generatect.privacy.copies import chance_of, nearness, of_other_patients, p_values, threshold
from generatect.privacy.embedding import WIDTH, sketch
from generatect.privacy.evidence import BODY_GREY, correlation
from generatect.privacy.membership import membership
from generatect.privacy.proportion import Proportion
from generatect.privacy.requirements import smallest_num_heldout
from generatect.privacy.space import Space, distances, nearest


@pytest.fixture
def draws() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("count", "num", "low", "high"), [(0, 20, 0.0, 0.161), (10, 20, 0.299, 0.701), (20, 20, 0.839, 1)]
)
def test_the_interval_of_a_share_is_wilsons(count, num, low, high):
    assert Proportion(count, num).interval == pytest.approx((low, high), abs=5e-4)


def test_the_interval_holds_the_shares_that_a_score_test_keeps():
    share = Proportion(7, 60)
    for end in share.interval:  # at its ends the test statistic is exactly 1.96
        assert abs(share.value - end) / np.sqrt(end * (1 - end) / share.num) == pytest.approx(1.959964, rel=1e-5)


@pytest.mark.parametrize(("rate", "least"), [(0.05, 19), (0.1, 9), (0.01, 99), (0.5, 1), (0.03, 33)])
def test_with_fewer_held_out_volumes_nothing_could_be_flagged(rate, least, draws):
    assert smallest_num_heldout(rate) == least
    assert (p_values(np.array([-9.0]), draws.random(least)) <= rate).all()
    assert least == 1 or (p_values(np.array([-9.0]), draws.random(least - 1)) > rate).all()


@pytest.mark.parametrize("num_heldout", [19, 20, 59, 137])
def test_a_volume_is_flagged_below_the_threshold_and_nowhere_else(num_heldout, draws):
    heldout, scores = draws.random(num_heldout), draws.random(500)
    scores[:num_heldout] = heldout  # ties, too
    assert ((p_values(scores, heldout) <= 0.05) == (scores < threshold(heldout, 0.05))).all()


@pytest.mark.parametrize("num_heldout", [19, 30, 100])
def test_fresh_volumes_are_flagged_no_more_often_than_stated(num_heldout, draws):
    scores = draws.standard_normal((4000, num_heldout + 1))
    flagged = [p_values(row[:1], row[1:])[0] <= 0.05 for row in scores]
    assert np.mean(flagged) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_the_chance_of_so_many_flags_is_what_simulation_gives(draws):
    num_heldout, num_generated, at_least = 99, 40, 5
    heldout, generated = draws.random((20_000, num_heldout)), draws.random((20_000, num_generated))
    limit = np.sort(heldout)[:, 4]
    simulated = np.mean((generated < limit[:, None]).sum(1) >= at_least)
    assert chance_of(at_least, num_generated, num_heldout, 0.05) == pytest.approx(simulated, abs=0.006)
    assert chance_of(0, num_generated, num_heldout, 0.05) == pytest.approx(1)
    assert chance_of(2300, 2300, 5000, 0.05) < 1e-100


def test_one_generated_volume_is_flagged_with_the_stated_probability():
    assert chance_of(1, 1, 19, 0.05) == pytest.approx(0.05)


def test_components_are_those_of_a_singular_value_decomposition(draws):
    for num, width in ((30, 200), (200, 30)):
        features = draws.standard_normal((num, width)) * np.linspace(3, 0.1, width)
        space = Space.of(features, 5)
        centred = features - features.mean(0)
        expected = np.linalg.svd(centred, full_matrices=False)[2][:5]
        assert space.axes.T @ space.axes == pytest.approx(np.eye(5), abs=1e-8)
        assert np.abs(expected @ space.axes[:, ::-1]) == pytest.approx(np.eye(5), abs=1e-6)


def test_volumes_that_are_the_same_span_no_component(draws):
    features = np.repeat(draws.standard_normal((3, 50)), 4, axis=0)
    space = Space.of(features)
    assert space.axes.shape == (50, 2)
    placed = space.place(features)
    assert distances(placed, placed) == pytest.approx(distances(features, features), abs=1e-6)


def test_distances_are_euclidean(draws):
    first, second = draws.standard_normal((4, 7)), draws.standard_normal((5, 7))
    direct = np.array([[np.linalg.norm(a - b) for b in second] for a in first])
    assert distances(first, second) == pytest.approx(direct)
    indices, apart = nearest(direct, direct > direct.min(1, keepdims=True))
    assert apart == pytest.approx(np.sort(direct, 1)[:, 1])
    assert (direct[np.arange(4), indices] == apart).all()


def test_a_sketch_keeps_distances():
    vectors = torch.randn(20, 30_000, generator=torch.Generator().manual_seed(1))
    ratio = (torch.pdist(sketch(vectors)) / torch.pdist(vectors)).numpy()
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert ratio.std() == pytest.approx(np.sqrt(1 / (2 * WIDTH)), rel=0.3)
    assert torch.equal(sketch(vectors), sketch(vectors))


def test_a_copy_scores_near_0_and_a_fresh_or_blurred_volume_about_1(draws):
    train, heldout, fresh = (draws.standard_normal((300, 20)) for _ in range(3))
    copies = nearness(train[:50] + 0.05 * draws.standard_normal((50, 20)), train, heldout)
    assert copies.score.max() < 0.2
    assert (copies.nearest == np.arange(50)).all()
    assert np.median(nearness(fresh, train, heldout).score) == pytest.approx(1, abs=0.05)
    blurred = nearness(fresh * 0.3, train, heldout)  # nearer to everything
    assert blurred.distance.mean() < 0.9 * nearness(fresh, train, heldout).distance.mean()
    assert np.median(blurred.score) == pytest.approx(1, abs=0.05)


def test_a_held_out_volume_is_not_compared_with_its_own_patient(draws):
    heldout = draws.standard_normal((40, 6))
    heldout[1::2] = heldout[::2] + 1e-3  # second scans
    patients = [f"p{index // 2}" for index in range(40)]
    allowed = of_other_patients(patients)
    assert not allowed.diagonal().any()
    score = nearness(heldout, draws.standard_normal((40, 6)), heldout, allowed).score
    assert score.max() < 10  # 1e-3 in the denominator would make a thousand


def test_membership_of_copies_is_certain_and_of_strangers_is_chance(draws):
    heldout, names = draws.random(200) + 1, [str(index) for index in range(200)]
    copied = membership(draws.random(100) * 0.5, heldout, names[:100], names)
    assert copied.auroc == 1
    assert copied.is_given_away
    strangers = membership(draws.random(200) + 1, heldout, names, names)
    assert strangers.interval[0] < 0.5 < strangers.interval[1]
    assert not strangers.is_given_away
    assert strangers.control == pytest.approx(0.5, abs=0.01)
    # Under chance, the variance of the AUC of n against m is (n + m + 1) / (12 n m) (Mann & Whitney 1947).
    spread = np.sqrt(201 / (12 * 100 * 100))
    low, high = strangers.control_interval
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.1)


def test_the_interval_is_delongs_where_every_volume_is_a_patient(draws):
    train, heldout = draws.standard_normal(150), draws.standard_normal(150) + 0.5
    names = [str(index) for index in range(150)]
    measured = membership(train, heldout, names, names)
    expected = auroc(-train, -heldout)
    assert measured.auroc == expected.value
    assert measured.interval == pytest.approx((expected.low, expected.high), abs=0.012)


def test_scans_of_one_patient_are_drawn_together(draws):
    train, heldout = draws.standard_normal(60), draws.standard_normal(60)
    fourfold, names = [np.repeat(scores, 4) for scores in (train, heldout)], [str(index // 4) for index in range(240)]
    apart = membership(*fourfold, [str(index) for index in range(240)], [str(index) for index in range(240)])
    together = membership(*fourfold, names, names)
    width = [high - low for low, high in (apart.interval, together.interval)]
    assert width[1] / width[0] == pytest.approx(2, rel=0.15)


def test_correlation_is_pearsons_within_the_body_and_blind_to_brightness(draws):
    first = draws.integers(0, 200, (6, 8, 8)).astype(np.uint8)
    second = np.clip(first.astype(int) + draws.integers(-20, 20, first.shape), 0, 255).astype(np.uint8)
    body = (first >= BODY_GREY) | (second >= BODY_GREY)
    assert correlation(first, second) == pytest.approx(np.corrcoef(first[body], second[body])[0, 1])
    assert correlation(first, first) == pytest.approx(1)
    bright = draws.integers(120, 180, (6, 8, 8)).astype(np.uint8)
    assert correlation(bright, bright + np.uint8(60)) == pytest.approx(1)
    assert correlation(first, np.full_like(first, 120)) == 0
    empty = np.zeros_like(first)
    assert correlation(empty, empty) == 0
