"""Calibration curves: monotone, with the right threshold, fitted to labels if there are any, for any weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.arrays import pack_array
from consumers.scoring.calibration import (
    ABSENT,
    MIN_POINTS,
    OTHER,
    PART_COUNT,
    SAME,
    UNKNOWN,
    Calibration,
    Neighbourhood,
    parse_calibration,
    stack_probes,
)
from consumers.scoring.calibration_curve import (
    MIN_SLOPE,
    PRIOR_MEAN,
    THRESHOLD_MARGIN,
    UNCALIBRATED,
    CalibrationCurve,
    fit_logistic,
)
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import Metric
from infra.array_types import Floats
from schemas.ranking import INTENTS, Weights

OBJECT = Weights(object=1)
scores = st.lists(st.floats(-1, 1), min_size=1, max_size=30)


def lone(values: Floats) -> Floats:
    """Cosines [n, 1, 4] of one candidate each, whose object part alone counts."""
    cosines = np.zeros((len(values), 1, PART_COUNT), np.float32)
    cosines[:, 0, 0] = values
    return cosines


def measured(nulls: Floats, near: Floats, same: Floats | None = None) -> Calibration:
    agree = np.full((len(near), 1), UNKNOWN, np.int8) if same is None else same.astype(np.int8)[:, None]
    photos, points = (np.zeros(len(some), np.int8) for some in (nulls, near))
    return Calibration(len(near), lone(nulls), photos, lone(near), agree, points)


@given(scores, st.floats(-0.5, 0.9), st.floats(0.05, 1), st.floats(0.5, 9))
def test_confidence_rises_with_the_score_and_is_0_below_the_threshold(
    given: list[float], threshold: float, scale: float, slope: float
) -> None:
    curve = CalibrationCurve(threshold, scale, -1.0, slope)
    ordered = np.sort(np.array(given))
    confidence = curve.confidence(ordered)
    assert np.all(np.diff(confidence) >= 0)
    assert np.all((confidence >= 0) & (confidence <= 1))
    assert np.array_equal(confidence == 0, ordered < threshold)


def test_without_a_calibration_nothing_is_cut() -> None:
    assert not UNCALIBRATED.has_threshold
    assert np.all(UNCALIBRATED.confidence(np.array([-0.9, 0.0, 0.5, 1.0])) > 0)


def test_the_threshold_leaves_most_null_pictures_below_and_most_neighbours_above() -> None:
    rng = np.random.default_rng(0)
    nulls, near = rng.normal(0.2, 0.05, 200).astype(np.float32), rng.normal(0.7, 0.05, 300).astype(np.float32)
    threshold = measured(nulls, near).curve(OBJECT).threshold
    assert np.mean(nulls < threshold) >= 0.95
    assert np.mean(near >= threshold) >= 0.95


def test_where_null_pictures_come_as_near_as_neighbours_the_neighbours_are_kept() -> None:
    rng = np.random.default_rng(0)
    both = [rng.normal(0.5, 0.05, 200).astype(np.float32) for _ in range(2)]
    threshold = measured(both[0], both[1] - np.float32(0.1)).curve(OBJECT).threshold
    assert np.mean(both[1] - 0.1 >= threshold) >= 0.95


def test_with_few_points_nothing_is_cut() -> None:
    nulls = np.linspace(0.1, 0.3, 201, dtype=np.float32)
    assert measured(nulls, np.full(MIN_POINTS - 1, 0.9, np.float32)).curve(OBJECT) == UNCALIBRATED
    assert measured(nulls, np.full(MIN_POINTS, 0.9, np.float32)).curve(OBJECT).has_threshold


def test_photos_and_studio_pictures_have_thresholds_of_their_own() -> None:
    near = np.full(MIN_POINTS, 0.9, np.float32)
    mixed = replace(measured(np.array([0.2] * 50 + [0.6] * 50, np.float32), near), studio=np.repeat([0, 1], 50))
    assert mixed.curve(OBJECT).threshold == pytest.approx(0.2 + THRESHOLD_MARGIN * 0.7)
    studio = replace(mixed, kinds=np.ones(MIN_POINTS, np.int8))
    assert studio.curve(OBJECT, studio=True).threshold == pytest.approx(0.6 + THRESHOLD_MARGIN * 0.3)


def test_the_curve_gives_the_share_of_right_neighbours() -> None:
    rng = np.random.default_rng(1)
    near = rng.uniform(0.3, 1.0, 4000).astype(np.float32)
    share = 1 / (1 + np.exp(-12 * (near - 0.7)))
    same = np.where(rng.random(4000) < share, SAME, OTHER)
    curve = measured(np.full(200, 0.2, np.float32), near, same).curve(OBJECT)
    points = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    assert curve.confidence(points) == pytest.approx(1 / (1 + np.exp(-12 * (points - 0.7))), abs=0.05)


def test_a_few_labels_move_the_curve_but_little() -> None:
    near = np.linspace(0.4, 0.9, 40, dtype=np.float32)
    nulls = np.full(200, 0.2, np.float32)
    without = measured(nulls, near).curve(OBJECT).confidence(np.array([0.65]))
    same = np.full(40, UNKNOWN)
    same[20] = OTHER
    with_one = measured(nulls, near, same).curve(OBJECT).confidence(np.array([0.65]))
    assert without - 0.25 < with_one < without


def test_what_studio_pictures_score_with_each_other_says_nothing_of_photos() -> None:
    near, nulls = np.linspace(0.6, 0.9, 40, dtype=np.float32), np.full(200, 0.2, np.float32)
    among_photos = measured(nulls, near, np.full(40, OTHER))
    among_studio = replace(among_photos, kinds=np.ones(40, np.int8))
    of_photos, of_studio = among_photos.curve(OBJECT), among_studio.curve(OBJECT)
    assert of_studio.threshold == pytest.approx(0.2)
    assert of_photos.threshold > 0.25
    assert (of_studio.intercept, of_studio.slope) == pytest.approx(PRIOR_MEAN)
    assert of_studio.confidence(np.array([0.7])) > of_photos.confidence(np.array([0.7]))


def test_a_curve_for_other_weights_is_what_its_own_scores_would_give() -> None:
    rng = np.random.default_rng(2)
    nulls, near = (
        rng.uniform(low, high, (200, 8, PART_COUNT)).astype(np.float32) for low, high in ((-0.2, 0.4), (0.5, 1))
    )
    weights = Weights(object=0.5, style=0.3, colour=0.4)
    shares = np.array([0.5, 0.3, 0.4, 0], np.float32) / np.float32(1.2)
    photos, unknown = np.zeros(200, np.int8), np.full((200, 8), UNKNOWN, np.int8)
    curve = Calibration(1, nulls, photos, near, unknown, photos).curve(weights)
    unrelated, related = (np.quantile((part @ shares).max(1), q) for part, q in ((nulls, 0.95), (near, 0.05)))
    assert curve.threshold == pytest.approx(unrelated + THRESHOLD_MARGIN * (related - unrelated), abs=1e-6)


def test_a_calibration_survives_its_note() -> None:
    rng = np.random.default_rng(3)
    probes = [
        Neighbourhood(rng.random((n, PART_COUNT), np.float32), np.full(n, SAME, np.int8))
        for n in [2, 0, 3] * MIN_POINTS
    ]
    near, same = stack_probes(probes)
    kinds = rng.integers(0, 2, len(near)).astype(np.int8)
    before = Calibration(
        7, rng.random((6, 2, PART_COUNT), np.float32), np.array([0, 1] * 3, np.int8), near, same, kinds
    )
    after = parse_calibration(json.loads(json.dumps(before.note())))
    assert after.points == 7
    assert np.array_equal(after.same, before.same)
    assert np.array_equal(after.kinds, before.kinds)
    for name, weights in INTENTS.items():
        ours, theirs = before.curve(weights), after.curve(weights)
        assert theirs.threshold == pytest.approx(ours.threshold, abs=2e-3), name


def test_parts_weigh_and_compare_part_by_part() -> None:
    parts = LookParts(2, 1)
    look, others = np.array([1, 0, 1, 0.6, 0.8], np.float32), np.eye(5, dtype=np.float32)
    cosines = parts.cosines(look, others)
    assert cosines.shape == (5, 3)
    weights = Weights(object=0.5, style=0.25, colour=0.25)
    shares = np.array([0.5, 0.25, 0.25], np.float32)
    np.testing.assert_allclose(cosines @ shares, others @ parts.apply_weights(look, weights), atol=1e-6)
    assert LookParts(5, 0).cosines(np.ones(6, np.float32), np.ones((1, 6), np.float32)).tolist() == [[5, 0, 1]]


def test_scores_under_a_metric_have_a_curve_of_their_own() -> None:
    rng = np.random.default_rng(4)
    nulls, near = (
        rng.uniform(low, high, (200, 8, PART_COUNT)).astype(np.float32) for low, high in ((-0.2, 0.4), (0.5, 1))
    )
    nulls[:, :, 3], near[:, :, 3] = nulls[:, :, 0] / 2, near[:, :, 0] / 2
    photos, unknown = np.zeros(200, np.int8), np.full((200, 8), UNKNOWN, np.int8)
    calibration = Calibration(1, nulls, photos, near, unknown, photos)
    metric = Metric(np.eye(4, dtype=np.float32))
    plain, adapted = calibration.curve(OBJECT), calibration.curve(OBJECT, metric=metric)
    assert adapted.threshold == pytest.approx(plain.threshold / 2, abs=1e-6)


def test_the_note_of_a_version_without_a_metric_is_read() -> None:
    rng = np.random.default_rng(5)
    near, codes = rng.random((30, 2, PART_COUNT), np.float32), np.ones((30, 2), np.int8)
    before = Calibration(7, near, codes[:, 0], near, codes, codes[:, 0])
    old = before.note() | {name: pack_array(near[:, :, :3]) for name in ("nulls", "near")}
    after = parse_calibration({name: value for name, value in old.items() if name not in ("metric", "summary")})
    assert after.metric.transform is None
    assert np.allclose(after.near[:, :, 3], near[:, :, 0], atol=1e-3)
    assert after.curve(OBJECT) == after.curve(OBJECT, metric=Metric(np.eye(4, dtype=np.float32)))


def test_labels_that_say_nothing_give_a_flat_curve() -> None:
    """Whole steps of Newton's method ran away from this one."""
    rng = np.random.default_rng(0)
    u = np.concatenate([rng.normal(0, 1, 200), np.random.default_rng(1).normal(0, 1, 200)]).astype(np.float32)
    intercept, slope = fit_logistic(u, np.arange(400) < 200)
    assert abs(intercept) < 0.5
    assert slope == MIN_SLOPE


def test_coverage_is_learnt_from_the_mean_of_the_nearest_under_the_metric_without_near_duplicates() -> None:
    rng, count = np.random.default_rng(6), 200
    near = np.zeros((count, 3, PART_COUNT), np.float32)
    near[:, :, 0] = (0.98, 0.5, 0.4)  # the first is a near-duplicate
    near[:, 0, 3], near[:, 1:, 3] = 0.98, rng.normal(0.7, 0.02, (count, 2))
    photos, unknown = np.zeros(count, np.int8), np.full((count, 3), UNKNOWN, np.int8)
    metric = Metric(np.eye(4, dtype=np.float32), colour_factor=0.0)
    absent = rng.normal(0.3, 0.02, count).astype(np.float32)
    curve = Calibration(count, near, photos, near, unknown, photos, metric, absent).coverage(studio=False)
    assert curve is not None
    assert curve.middle == pytest.approx(0.5, abs=0.02)
    assert curve.estimate(0.7) > 0.9
    assert curve.estimate(0.3) < 0.1


def test_a_note_of_a_version_with_other_scores_of_coverage_has_none_and_is_made_again() -> None:
    rng = np.random.default_rng(5)
    near, codes = rng.random((80, 2, PART_COUNT), np.float32), np.ones((80, 2), np.int8)
    before = Calibration(80, near, codes[:, 0], near, codes, codes[:, 0], absent=near[:, 0, 1])
    assert not parse_calibration(before.note()).is_outdated
    old = {name: value for name, value in before.note().items() if name != ABSENT}
    after = parse_calibration(old | {"absent": pack_array(before.absent)})
    assert after.is_outdated
    assert after.coverage(studio=True) is None
