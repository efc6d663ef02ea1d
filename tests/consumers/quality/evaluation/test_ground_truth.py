"""What is relevant: by labels, by judgements with grades, and that both say the same where they should."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.quality.evaluation.ground_truth import GroundTruth, answerable_queries, category_of
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Judgement, make_qrels
from consumers.quality.evaluation.ranking_metrics import DEPTH, per_query
from consumers.quality.evaluation.system_under_test import catalogue_id
from infra.config.errors import BadInput
from schemas.results import Hit, SearchResult

labels = st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=12)


def rows(role: str, names: Sequence[str]) -> tuple[LabelledImage, ...]:
    return tuple(LabelledImage(f"{role}{n}", Path(f"/{role}{n}"), label) for n, label in enumerate(names))


def result(positions: Sequence[int]) -> SearchResult:
    hits = tuple(
        Hit(item_id=catalogue_id(position), tenant="t", score=1 - rank / 100, image=0, source="catalog", revision=1)
        for rank, position in enumerate(positions)
    )
    return SearchResult(request_id="r", status="ok", hits=hits)


@given(labels, labels, st.integers(0, 3), st.data())
def test_judgements_made_from_labels_say_what_the_labels_say(
    catalogue: list[str], queries: list[str], shared: int, data: st.DataObject
) -> None:
    """`shared` queries are pictures of the catalogue, which are no hits of their own searches."""
    items = rows("c", catalogue)
    asks = (*items[:shared], *rows("q", queries))
    by_label = GroundTruth(items, asks)
    judgements = [
        Judgement(query.image, item.image, 1)
        for query in asks
        for item in items
        if query.label and query.label == item.label
    ]
    qrels = make_qrels(judgements, [row.image for row in asks], [row.image for row in items])
    by_judgement = GroundTruth(items, asks, 0, qrels)
    results = []
    for row in asks:
        others = [n for n in range(len(items)) if n != by_label.position_of(row)]
        results.append(result(data.draw(st.permutations(others))[:DEPTH]))
    one, other = (truth.relevance_of(asks, results) for truth in (by_label, by_judgement))
    by_value = by_label.relevance_of(asks, results, lambda row: row.label)
    for relevance in (other, by_value):
        assert np.array_equal(one.right, relevance.right)
        assert np.array_equal(one.relevant, relevance.relevant)
        for name, values in per_query(one).items():
            assert values == pytest.approx(per_query(relevance)[name]), name


def test_grades_count_in_ndcg_and_nothing_else() -> None:
    items, [ask] = rows("c", ["", "", "", ""]), rows("q", [""])
    qrels = make_qrels([Judgement("q0", "c1", 3), Judgement("q0", "c3", 1)], ["q0"], [row.image for row in items])
    truth = GroundTruth(items, (ask,), 0, qrels)
    relevance = truth.relevance_of([ask], [result([0, 3, 1, 2])])
    values = per_query(relevance)
    assert values["recall@1"].tolist() == [0]
    assert values["mAP@10"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    discounts = 1 / np.log2(np.arange(2, 6))
    assert values["nDCG@10"] == pytest.approx((discounts[1] + 3 * discounts[2]) / (3 * discounts[0] + discounts[1]))
    assert per_query(relevance.subset([0]))["nDCG@10"] == values["nDCG@10"]


def test_a_judgement_of_0_or_of_a_strange_name_says_nothing() -> None:
    judgements = [
        Judgement("q0", "c0", 0), Judgement("q0", "c1", -1), Judgement("q0", "c2", 2), Judgement("q0", "c2", 9),
        Judgement("q0", "elsewhere", 1), Judgement("nobody", "c0", 1), Judgement("q1", "c0", 1),
    ]  # fmt: skip
    qrels = make_qrels(judgements, ["q0", "q1", "q2"], ["c0", "c1", "c2"])
    assert [values.tolist() for values in qrels.of("q0")] == [[2], [2]]
    assert [values.tolist() for values in qrels.of("q1")] == [[0], [1]]
    assert [qrels.of(name)[0].tolist() for name in ("q2", "nobody")] == [[], []]
    assert [qrels.without([2]).of(name)[0].tolist() for name in ("q0", "q1")] == [[], [0]]
    assert make_qrels([], [], []).of("q0")[0].tolist() == []


def test_queries_without_an_answer_are_told_from_those_with_one() -> None:
    truth = GroundTruth(rows("c", ["a", "b"]), rows("q", ["a", "c", ""]))
    assert [row.image for row in answerable_queries(truth)] == ["q0"]
    with pytest.raises(BadInput, match="no query has its label in the catalogue"):
        answerable_queries(GroundTruth(rows("c", ["a"]), rows("q", ["b"])))
    with pytest.raises(BadInput, match="see that the set is complete"):
        answerable_queries(GroundTruth(rows("c", ["a"]), rows("q", ["b"]), 0, make_qrels([], ["q0"], ["c0"])))


def test_agreement_in_a_category_needs_one() -> None:
    items = (LabelledImage("a", Path("/a"), "x", "hats"), LabelledImage("b", Path("/b"), "x"))
    asks = (LabelledImage("q", Path("/q"), "x", "hats"), LabelledImage("r", Path("/r"), "x"))
    relevance = GroundTruth(items, asks).relevance_of(asks, [result([1, 0])] * 2, category_of)
    assert relevance.right[:, :2].tolist() == [[False, True], [False, False]]
    assert relevance.relevant.tolist() == [1, 0]
