"""A plan's filters become conditions, and points become rows, the same for both engines."""

from datetime import UTC, datetime

import numpy as np
import pytest

from infra.qdrant.plan import FIELDS, AnyOf, Between, Condition, NotAnyOf, Point, SearchPlan, conditions
from infra.qdrant.stored import rows_by_revision, split_patch
from schemas.searches import Filters

ALWAYS: list[Condition] = [AnyOf("state", ("live",)), AnyOf("tenant", ("acme",))]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000


def plan(filters: Filters) -> SearchPlan:
    return SearchPlan(np.ones(4, dtype=np.float32), "acme", filters)


def test_a_plan_without_filters_still_asks_for_live_points_of_its_tenant() -> None:
    assert conditions(plan(Filters())) == ALWAYS


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        (Filters(source=("social",)), AnyOf("source", ("social",))),
        (Filters(category=("shoe", "bag")), AnyOf("category", ("shoe", "bag"))),
        (Filters(brand=("Acme",)), AnyOf("brand", ("Acme",))),
        (Filters(creator=("ana",)), AnyOf("creator", ("ana",))),
        (Filters(colours=("red", "navy")), AnyOf("shades", ("red", "navy"))),
        (Filters(tags=("sale",)), AnyOf("tags", ("sale",))),
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


def test_every_field_of_a_condition_has_a_payload_index() -> None:
    everything = Filters(
        source=("social",), category=("a",), brand=("a",), creator=("a",), colours=("red",), tags=("a",),
        in_stock=True, price_min=1, currency="EUR", created_after=NOON, exclude_items=("a",),
    )  # fmt: skip
    asked = {condition.field for condition in conditions(plan(everything))}
    assert asked | {"revision", "category_source"} == {field.name for field in FIELDS}


def test_rows_hold_each_id_once_at_its_newest_revision() -> None:
    batch = [_point("a", 2), _point("b", 7), _point("a", 7), _point("c", 7), _point("a", 3)]
    groups = rows_by_revision(batch, 4)
    assert {revision: sorted(row.id for row in rows) for revision, rows in groups.items()} == {7: ["a", "b", "c"]}


def test_of_equal_revisions_in_one_batch_the_first_stays() -> None:
    batch = [_point("a", 2, "first"), _point("a", 2, "second")]
    [[row]] = rows_by_revision(batch, 4).values()
    assert row.payload["title"] == "first"


def test_a_patch_is_taken_apart_into_keys_to_set_and_keys_to_remove() -> None:
    patch = split_patch({"revision": 3, "price": 1.0, "brand": None})
    assert patch.sets == {"revision": 3, "price": 1.0}
    assert patch.removes == ["brand"]
    assert patch.where == [Between("revision", below=3), AnyOf("state", ("live",))]


def _point(id_: str, revision: int, title: str = "") -> Point:
    return Point(id_, {"state": "live", "revision": revision, "title": title}, np.ones(4, dtype=np.float32))
