"""A plan's filters become conditions, and points become rows, the same for both engines."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from consumers.embedding.moderation import ModerationPolicy
from infra.qdrant.conditions import AnyOf, Below, Between, Condition, NoneOf, NotAnyOf, OneOf
from infra.qdrant.contract import (
    ACORN_SELECTIVITY,
    ACORN_SELECTIVITY_LINKED,
    FacetPlan,
    Patch,
    Point,
    SearchPlan,
    acorn_max_selectivity,
    conditions,
)
from infra.qdrant.payload_indexes import FIELDS, WORDS
from infra.qdrant.rows import group_ids_by_version, patch_conditions, rows_by_version, tombstone_conditions
from schemas.filters import Filters

ALWAYS: list[Condition] = [AnyOf("tenant", ("acme",)), NotAnyOf("state", ("region",))]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000


def plan(filters: Filters) -> SearchPlan:
    return SearchPlan(np.ones(4, dtype=np.float32), "acme", filters)


def test_a_plan_without_filters_still_asks_for_its_tenant() -> None:
    assert conditions(plan(Filters())) == ALWAYS


def test_a_plan_that_includes_regions_has_no_further_condition() -> None:
    assert conditions(replace(plan(Filters()), includes_regions=True)) == [AnyOf("tenant", ("acme",))]


def test_a_count_asks_for_live_points_alone() -> None:
    assert AnyOf("state", ("live",)) in conditions(FacetPlan("brand", "acme"))


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        (Filters(source=("social",)), AnyOf("source", ("social",))),
        (Filters(category=("shoe", "bag")), AnyOf("category", ("shoe", "bag"))),
        (Filters(brand=("Acme",)), AnyOf("brand", ("Acme",))),
        (Filters(creator=("ana",)), AnyOf("creator", ("ana",))),
        (Filters(colours=("red", "navy")), AnyOf("shades", ("red", "navy"))),
        (Filters(tags=("sale",)), AnyOf("tags", ("sale",))),
        (Filters(attributes=("size=M", "size=L")), AnyOf("attribute_values", ("size=M", "size=L"))),
        (Filters(revision_min=5, revision_max=9), Between("revision", at_least=5, at_most=9)),
        (Filters(in_stock=True), AnyOf("in_stock", ("true",))),
        (Filters(in_stock=False), AnyOf("in_stock", ("false",))),
        (Filters(currency="EUR"), AnyOf("currency", ("EUR",))),
        (Filters(exclude_items=("a", "b")), NotAnyOf("item_id", ("a", "b"))),
        (Filters(price_min=0), Between("price", at_least=0)),
        (Filters(price_min=1, price_max=2), Between("price", at_least=1, at_most=2)),
        (Filters(created_after=NOON), Between("created_at", at_least=NOON_US)),
        (Filters(created_before=NOON), Between("created_at", below=NOON_US)),
    ],
    ids=str,
)
def test_each_filter_is_one_condition(filters: Filters, condition: Condition) -> None:
    assert conditions(plan(filters)) == [*ALWAYS, condition]


def test_each_attribute_that_is_named_must_match() -> None:
    found = conditions(plan(Filters(attributes=("size=M", "material=felt", "size=L"))))
    sizes, materials = ("size=M", "size=L"), ("material=felt",)
    assert found == [*ALWAYS, AnyOf("attribute_values", sizes), AnyOf("attribute_values", materials)]


def test_every_field_of_a_condition_has_a_payload_index() -> None:
    everything = Filters(
        source=("social",), category=("a",), brand=("a",), creator=("a",), colours=("red",), tags=("a",),
        in_stock=True, price_min=1, currency="EUR", created_after=NOON, exclude_items=("a",),
        attributes=("size=M",), revision_min=1,
    )  # fmt: skip
    counted = FacetPlan("colours", "acme")
    used = [*conditions(plan(everything)), *patch_conditions(Patch("a", {"version": 1})), *tombstone_conditions(1)]
    used += conditions(counted)
    used += ModerationPolicy(frozenset("a"), frozenset("b")).visibility_conditions(restricted=False)
    named = {condition.field for condition in used if not isinstance(condition, OneOf | NoneOf)}
    others = {"category_source", "sha256", "duplicate_group", WORDS, counted.name}
    assert named | others == {field.name for field in FIELDS}


def test_rows_hold_each_id_once_at_its_newest_version_in_runs_of_one_version() -> None:
    batch = [_point("a", 2), _point("b", 7), _point("a", 7), _point("c", 7), _point("a", 3), _point("d", 1)]
    runs = [(version, [row.id for row in rows]) for version, rows in rows_by_version(batch, 4)]
    assert runs == [(7, ["a", "b", "c"]), (1, ["d"])]


def test_of_equal_versions_in_one_batch_the_first_stays() -> None:
    batch = [_point("a", 2, "first"), _point("a", 2, "second")]
    [(_, [row])] = rows_by_version(batch, 4)
    assert row.payload["title"] == "first"


def test_a_patch_is_for_points_of_live_items_whose_version_is_older() -> None:
    assert patch_conditions(Patch("a", {"version": 3, "price": 1.0})) == [
        Below("version", 3),
        AnyOf("state", ("live", "region")),
    ]


def test_ids_are_removed_together_with_those_of_their_version() -> None:
    assert group_ids_by_version({"a": 2, "b": 3, "c": 2}) == {2: ["a", "c"], 3: ["b"]}


def _point(id_: str, version: int, title: str = "") -> Point:
    return Point(id_, {"state": "live", "version": version, "title": title}, np.ones(4, dtype=np.float32))


@pytest.mark.parametrize(
    ("filters", "below"),
    [
        (Filters(), ACORN_SELECTIVITY_LINKED),
        (Filters(category=("a",), tags=("b",), exclude_items=("c",)), ACORN_SELECTIVITY_LINKED),
        (Filters(price_max=5), ACORN_SELECTIVITY),
        (Filters(category=("a",), created_after=NOON), ACORN_SELECTIVITY),
    ],
    ids=str,
)
def test_filters_whose_values_have_no_links_look_at_neighbours_of_neighbours_earlier(
    filters: Filters, below: float
) -> None:
    assert acorn_max_selectivity(plan(filters)) == below
    assert acorn_max_selectivity(SearchPlan(np.ones(2, np.float32), "t", any_of=(filters,))) == ACORN_SELECTIVITY
