"""The metric of a collection: the directions that it suppresses, and its stored form."""

import json

import numpy as np
import pytest

from consumers.scoring.group_statistics import normalise_rows, whitening, within_class_covariance
from consumers.scoring.metric import DEFAULT_METRIC, Metric, MetricCheck, parse_metric
from schemas.ranking import INTENTS


def grouped(rng: np.random.Generator, groups: int = 20, size: int = 6) -> tuple[np.ndarray, list[str]]:
    """Points whose groups differ in four dimensions, and that differ within their groups in one other."""
    means = np.repeat(rng.normal(size=(groups, 4)), size, axis=0)
    nuisance = rng.normal(size=(groups * size, 1)) * 3
    points = normalise_rows(np.concatenate([means + rng.normal(size=means.shape) * 0.2, nuisance], axis=1))
    return points, [f"g{n // size}" for n in range(groups * size)]


def test_directions_in_which_groups_differ_within_themselves_lose_their_weight() -> None:
    points, names = grouped(np.random.default_rng(1))
    covariance = within_class_covariance(points, names)
    assert covariance is not None
    metric = Metric(whitening(covariance, 0.1))
    same, other = metric.object_cosines(points[0], points[1:6]).mean(), metric.object_cosines(points[0], points[6:])
    plain_same, plain_other = (points[1:6] @ points[0]).mean(), points[6:] @ points[0]
    assert (same > other).mean() > (plain_same > plain_other).mean()


def test_the_default_metric_is_the_cosine_of_the_looks() -> None:
    points, _ = grouped(np.random.default_rng(2))
    assert np.allclose(DEFAULT_METRIC.object_cosines(points[0], points), points @ points[0])
    assert DEFAULT_METRIC.adapt_weights(INTENTS["exact"]) == INTENTS["exact"]


def test_a_part_of_zeros_is_like_nothing() -> None:
    metric = Metric(np.eye(3, dtype=np.float32))
    assert metric.object_cosines(np.zeros(3, np.float32), np.eye(3, dtype=np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("factor", "colour"), [(0.0, 0.0), (2.0, 0.3), (10.0, 1.0)])
def test_the_colour_weight_of_an_intent_is_that_of_the_collection(factor: float, colour: float) -> None:
    weights = Metric(colour_factor=factor).adapt_weights(INTENTS["similar"])
    assert weights.object == INTENTS["similar"].object
    assert weights.colour == pytest.approx(colour)


def test_a_metric_survives_its_note() -> None:
    check = MetricCheck(points=300, groups=12, default=0.5, own=0.75, margin=0.1)
    metric = Metric(np.arange(9, dtype=np.float32).reshape(3, 3), 0.5, 0.1, check=check)
    again = parse_metric(json.loads(json.dumps(metric.note())))
    assert again.transform is not None
    assert np.array_equal(again.transform, np.arange(9).reshape(3, 3))
    assert (again.colour_factor, again.shrinkage, again.check) == (0.5, 0.1, check)
    assert is_default(parse_metric(json.loads(json.dumps(DEFAULT_METRIC.note()))))


def is_default(metric: Metric) -> bool:
    """Whether it compares looks as they are."""
    return (metric.transform, metric.colour_factor, metric.shrinkage) == (None, 1.0, 0.0)


@pytest.mark.parametrize("note", [{}, {"transform": None}, {"colour_factor": "x"}])
def test_a_note_without_a_metric_is_the_default(note: dict[str, object]) -> None:
    assert is_default(parse_metric(note))


def test_hits_of_the_likely_category_get_most_of_the_boost() -> None:
    centroids = np.eye(3, dtype=np.float32)
    metric = Metric(category_weight=0.2, categories=("disc", "bag", "shoe"), centroids=centroids)
    boosts = metric.category_boosts(np.array([0.9, 0.4, 0], np.float32))
    assert sum(boosts.values()) == pytest.approx(0.2, abs=1e-6)
    assert boosts["disc"] > 0.19
    assert boosts["bag"] > boosts["shoe"]
    assert DEFAULT_METRIC.category_boosts(centroids[0]) == {}


def test_a_note_holds_the_categories_and_numbers_that_lost_their_point() -> None:
    metric = Metric(category_weight=1.0, categories=("disc",), centroids=np.ones((1, 2), np.float32))
    stored = json.loads(json.dumps(metric.note())) | {"category_weight": 1, "colour_factor": 1, "shrinkage": 0}
    again = parse_metric(stored)
    assert again.category_boosts(np.ones(2, np.float32)) == {"disc": pytest.approx(1)}


def test_people_read_what_was_chosen_and_by_how_much_it_is_better() -> None:
    check = MetricCheck(points=300, groups=12, default=0.5, own=0.75, margin=0.1)
    description = Metric(np.eye(2, dtype=np.float32), 5 / 3, 0.1, 0.2, check=check).describe()
    assert description == (
        "own, shrinkage 0.1, all views, colour weight x 1.7, category boost 0.2: of the nearest neighbours of 300 "
        "pictures in 12 categories 75% are of the same category, 50% by default"
    )
    assert "whole view alone" in Metric(whole_view=True, check=check).describe()
    assert "too few" in DEFAULT_METRIC.describe()


def test_without_the_head_the_cosine_is_that_of_the_other_dimensions() -> None:
    points, _ = grouped(np.random.default_rng(2))
    headed = np.concatenate([points * 0.6, points[::-1, :2]], axis=1).astype(np.float32)
    metric = Metric(omitted=2)
    assert metric.changes_objects
    assert np.allclose(metric.object_cosines(headed[0], headed), points @ points[0], atol=1e-5)
    assert "without the fitted head" in Metric(omitted=2, check=MetricCheck(300, 12, 0.5, 0.75, 0.1)).describe()
    assert parse_metric(json.loads(json.dumps(metric.note()))).omitted == 2
    earlier = {name: value for name, value in metric.note().items() if name != "omitted"}
    assert parse_metric(earlier).omitted == 0


def test_the_choice_of_views_survives_its_note_and_leaves_the_looks_of_the_index_alone() -> None:
    metric = Metric(whole_view=True)
    assert parse_metric(json.loads(json.dumps(metric.note()))).whole_view
    assert not metric.changes_objects
    earlier = {name: value for name, value in metric.note().items() if name != "whole_view"}
    assert not parse_metric(earlier).whole_view
