"""Grouping: at most so many hits of each group."""

from consumers.searching.grouping import Grouping
from infra.qdrant.contract import ScoredPoint


def hit(name: str, brand: object) -> ScoredPoint:
    return ScoredPoint(name, 0.5, {"item_id": name, "brand": brand})


def test_hits_without_a_value_are_groups_of_their_own_and_count_for_no_other() -> None:
    hits = [hit("a", None), hit("b", ""), hit("c", None), hit("d", ""), hit("e", "acme"), hit("f", "acme")]
    collapsed = Grouping(10, "brand", 1).collapse(hits)
    assert [point.payload["item_id"] for point in collapsed] == ["a", "b", "c", "e"]
