"""Measures of ranked answers: by hand, and what must hold of any."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance, per_query

rankings = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=DEPTH, max_size=DEPTH), st.integers(0, 30)), min_size=1, max_size=20
)


def judged(*rows: tuple[str, int]) -> Relevance:
    right = np.array([[letter == "1" for letter in marks.ljust(DEPTH, "0")] for marks, _ in rows])
    return Relevance(right, np.array([relevant for _, relevant in rows]))


def of(found: list[tuple[list[bool], int]]) -> Relevance:
    """A possible judgement: at least as many are relevant as were found."""
    right = np.array([marks for marks, _ in found])
    return Relevance(right, right.sum(1) + np.array([more for _, more in found]))


def test_measures_by_hand() -> None:
    values = per_query(judged(("0101", 3)))
    assert [values[f"recall@{k}"][0] for k in (1, 5, 10)] == [0, 1, 1]
    assert [values[f"precision@{k}"][0] for k in (1, 5, 10)] == pytest.approx([0, 0.4, 0.2])
    assert values["mAP@10"][0] == pytest.approx((1 / 2 + 2 / 4) / 3)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert values["nDCG@10"][0] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)


def test_one_right_answer_at_rank_three() -> None:
    values = per_query(judged(("001", 1)))
    assert values["mAP@10"][0] == pytest.approx(1 / 3)
    assert values["nDCG@10"][0] == pytest.approx(0.5)


@given(st.integers(1, 40))
def test_a_perfect_ranking_scores_one(relevant: int) -> None:
    values = per_query(judged(("1" * min(relevant, DEPTH), relevant)))
    perfect = [values[name][0] for name in ("recall@1", "recall@10", "precision@1", "mAP@10", "nDCG@10")]
    assert perfect == pytest.approx([1] * 5)


@given(rankings)
def test_every_measure_lies_between_zero_and_one(found: list[tuple[list[bool], int]]) -> None:
    for values in per_query(of(found)).values():
        assert np.all((values >= 0) & (values <= 1 + 1e-12))


@given(rankings)
def test_the_order_of_the_queries_changes_nothing(found: list[tuple[list[bool], int]]) -> None:
    whole, turned = per_query(of(found)), per_query(of(found[::-1]))
    for name, values in whole.items():
        assert values == pytest.approx(turned[name][::-1])


@given(rankings, st.integers(0, DEPTH - 2))
def test_a_right_hit_that_moves_up_never_hurts(found: list[tuple[list[bool], int]], rank: int) -> None:
    before = of(found)
    after = before.right.copy()
    after[:, rank] |= before.right[:, rank + 1]
    after[:, rank + 1] = before.right[:, rank] & before.right[:, rank + 1]
    better = per_query(Relevance(after, before.relevant))
    for name, values in per_query(before).items():
        assert np.all(better[name] >= values - 1e-12), name


def test_a_judgement_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="2 queries"):
        Relevance(np.zeros((1, DEPTH), bool), np.array([1, 1]))
