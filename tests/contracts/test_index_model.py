"""Every Index answers as a brute-force model in numpy does: same items, same scores, same order."""

import math
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.searching.grouping import Grouping, gather
from infra.qdrant.condition_eval import satisfies_all
from infra.qdrant.contract import FacetPlan, Index, Point, SearchPlan, Vector, conditions
from infra.qdrant.rows import version_of
from schemas.filters import Filters
from schemas.items import revision_at

SIZE = 8
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MOMENTS = [NOON + timedelta(hours=hour) for hour in range(4)]
PRICES = [5.0, 9.99, 20.0]
SHADES = {"#b4143c~1": ["L8.12.4"], "#b4143c~5": ["L8.12.4", "L7.12.4", "L8.12.5", "L8.13.4"]}
"""The Lab cells that these colours stand for; #b4143c is L 38.8, a 60.7, b 21.6."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def point(tenant: str, item: str, version: int, n: int, vector: Vector | None, facts: dict[str, object]) -> Point:
    """Picture `n` of an item; a tombstone when there is no vector."""
    id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}:{item}:{n}"))
    state = "dead" if vector is None else "live"
    named = {"item": f"{tenant}:{item}", "item_id": item, "tenant": tenant, "n": n}
    return Point(id_, {**facts, **named, "version": version, "state": state}, vector)


def some_facts(rng: np.random.Generator) -> dict[str, object]:
    """Facts that leave out about a third of the fields, from few values, so that filters meet them."""
    full: dict[str, object] = {
        "source": rng.choice(["catalog", "social"]).item(),
        "category": rng.choice(["shoe", "bag", "lamp"]).item(),
        "brand": rng.choice(["Acme", "Öko"]).item(),
        "creator": rng.choice(["ana", "bo"]).item(),
        "shades": rng.choice(["red", "blue", "L8.12.4", "L7.12.4"], 2, replace=False).tolist(),
        "tags": rng.choice(["new", "sale", "old"], 2, replace=False).tolist(),
        "in_stock": rng.choice(["true", "false"]).item(),
        "price": rng.choice(PRICES).item(),
        "currency": rng.choice(["EUR", "USD"]).item(),
        "attribute_values": rng.choice(["size=M", "size=L", "material=felt"], 2, replace=False).tolist(),
        "revision": rng.integers(1, 6).item(),
        "created_at": revision_at(MOMENTS[rng.integers(len(MOMENTS))]),
    }
    return {name: value for name, value in full.items() if rng.random() < 0.7}


def region(picture: Point, number: int, vector: Vector) -> Point:
    """A region of a picture, which has the facts of its item."""
    payload = {**picture.payload, "state": "region", "region_of": picture.payload["n"]}
    del payload["n"]
    return Point(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{picture.id}:{number}")), payload, vector)


def catalogue(tenant: str, seed: int) -> list[Point]:
    """Up to 14 items with up to 8 pictures each, some written twice and some deleted, in any order of versions.

    Some pictures have regions.
    """
    rng = np.random.default_rng(seed)
    points = []
    for item in range(rng.integers(1, 15)):
        facts = some_facts(rng)
        for n in range(rng.integers(1, 9)):
            for version in rng.choice(9, 1 + (rng.random() < 0.2), replace=False) + 1:
                vector = None if rng.random() < 0.1 else rng.standard_normal(SIZE).astype(np.float32)
                points.append(point(tenant, str(item), int(version), n, vector, facts))
            picture, count = points[-1], rng.choice([0, 0, 0, 2, 5])
            looks = rng.standard_normal((count, SIZE)).astype(np.float32)
            points += [region(picture, number, look) for number, look in enumerate(looks)]
    return points


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    """None, one or two of the values."""
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


@st.composite
def some_filters(draw: st.DrawFn, least: int = 0) -> Filters:
    low, high = sorted(draw(st.tuples(st.sampled_from(PRICES), st.sampled_from(PRICES))))
    start, end = sorted(draw(st.lists(st.sampled_from(MOMENTS), min_size=2, max_size=2, unique=True)))
    every = {
        "source": draw(some("catalog", "social")),
        "category": draw(some("shoe", "bag", "sofa")),
        "brand": draw(some("Acme", "Öko")),
        "creator": draw(some("ana", "bo")),
        "colours": draw(some("red", "blue", "teal", "#b4143c~1", "#b4143c~5")),
        "tags": draw(some("new", "sale")),
        "attributes": draw(some("size=M", "size=L", "material=felt")),
        "in_stock": draw(st.booleans()),
        "price_min": low,
        "price_max": high,
        "currency": draw(st.sampled_from(["EUR", "USD"])),
        "created_after": start,
        "created_before": end,
        "revision_min": 2,
        "revision_max": 4,
        "exclude_items": draw(some("0", "1", "2")),
    }
    names = draw(st.sets(st.sampled_from(sorted(every)), min_size=least, max_size=3))
    return Filters.model_validate({name: every[name] for name in names})


def passes(facts: dict[str, Any], search_plan: Filters) -> bool:
    """The filters, said again in plain Python."""
    any_of = {name: getattr(search_plan, name) for name in ("source", "category", "brand", "creator", "tags")}
    any_of["shades"] = [shade for colour in search_plan.colours for shade in SHADES.get(colour, [colour])]
    for name, values in any_of.items():
        held = facts.get(name, ())
        if values and not set(values) & set([held] if isinstance(held, str) else held):
            return False
    for name in {pair.partition("=")[0] for pair in search_plan.attributes}:
        values = {pair for pair in search_plan.attributes if pair.startswith(f"{name}=")}
        if not values & set(facts.get("attribute_values", ())):
            return False
    revision = facts.get("revision", math.nan)
    price, created = facts.get("price", math.nan), facts.get("created_at", math.nan)
    stock = None if search_plan.in_stock is None else str(search_plan.in_stock).lower()
    return (
        facts["item_id"] not in search_plan.exclude_items
        and stock in (None, facts.get("in_stock"))
        and search_plan.currency in (None, facts.get("currency"))
        and (search_plan.revision_min is None or revision >= search_plan.revision_min)
        and (search_plan.revision_max is None or revision <= search_plan.revision_max)
        and (search_plan.price_min is None or price >= search_plan.price_min)
        and (search_plan.price_max is None or price <= search_plan.price_max)
        and (search_plan.created_after is None or created >= revision_at(search_plan.created_after))
        and (search_plan.created_before is None or created < revision_at(search_plan.created_before))
    )


def admits(search_plan: SearchPlan | FacetPlan, facts: dict[str, Any]) -> bool:
    """Whether a point with these facts may be a hit."""
    some_of = not search_plan.any_of or any(passes(facts, filters) for filters in search_plan.any_of)
    return (
        passes(facts, search_plan.filters)
        and some_of
        and not any(passes(facts, filters) for filters in search_plan.none_of)
    )


def expected(points: Sequence[Point], search_plan: SearchPlan) -> list[tuple[str, float]]:
    """Ids and scores by brute force: newest wins, best picture of each item, best first."""
    stored = {each.id: each for each in sorted(points, key=lambda each: version_of(each.payload))}
    assert search_plan.vector is not None
    vector = search_plan.vector
    scored = [
        (str(each.payload["item"]), float(np.dot(each.vector, vector)), each.id)
        for each in stored.values()
        if each.vector is not None and admits(search_plan, dict(each.payload))
        if search_plan.includes_regions or each.payload["state"] != "region"
    ]
    best = [max(group)[1:] for _item, group in groupby(sorted(scored), key=lambda row: row[0])]
    ranked = [(id_, score) for score, id_ in sorted(best, reverse=True)]
    return [
        (id_, score) for id_, score in ranked if search_plan.min_score is None or score >= search_plan.min_score
    ][: search_plan.limit]


def lists_of_filters() -> st.SearchStrategy[tuple[Filters, ...]]:
    """None, or one or two filters that each ask for something; only what `Filters` writes down is something."""
    return st.lists(some_filters(1).filter(lambda one: one != Filters()), max_size=2).map(tuple)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    filters=st.lists(some_filters(), min_size=1, max_size=3),
    limit=st.integers(1, 12),
    min_score=st.one_of(st.none(), st.floats(-2, 2)),
    any_of=lists_of_filters(),
    none_of=lists_of_filters(),
    includes_regions=st.booleans(),
)
def test_every_engine_answers_as_brute_force_does(
    index: Index,
    seed: int,
    filters: list[Filters],
    limit: int,
    min_score: float | None,
    any_of: tuple[Filters, ...],
    none_of: tuple[Filters, ...],
    includes_regions: bool,
) -> None:
    tenant = f"t{uuid.uuid4().hex}"
    points = catalogue(tenant, seed)
    query = np.random.default_rng(seed + 1).standard_normal(SIZE).astype(np.float32)
    plans = [
        SearchPlan(query, tenant, each, any_of, none_of, limit, min_score, includes_regions=includes_regions)
        for each in filters
    ]
    index.upsert(points)
    for search_plan, found in zip(plans, index.search(plans), strict=True):
        model = expected(points, search_plan)
        assert [hit.id for hit in found] == [id_ for id_, _ in model]
        assert [hit.score for hit in found] == pytest.approx([score for _, score in model], abs=1e-4)
    index.remove({each.id: 2**53 for each in points})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    filters=some_filters(),
    any_of=lists_of_filters(),
    none_of=lists_of_filters(),
)
def test_conditions_hold_in_python_of_the_points_that_every_engine_finds(
    index: Index, seed: int, filters: Filters, any_of: tuple[Filters, ...], none_of: tuple[Filters, ...]
) -> None:
    tenant = f"t{uuid.uuid4().hex}"
    points = [each for each in catalogue(tenant, seed) if each.payload.get("n") == 0]
    stored = {each.id: each for each in sorted(points, key=lambda each: version_of(each.payload))}
    index.upsert(points)
    plan = SearchPlan(np.ones(SIZE, np.float32), tenant, filters, any_of, none_of, limit=100)
    search_plan = conditions(plan)
    holding = {
        id for id, each in stored.items() if each.vector is not None and satisfies_all(search_plan, each.payload)
    }
    assert {found.id for found in index.search([plan])[0]} == holding
    index.remove({each.id: 2**53 for each in points})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    field=st.sampled_from([None, "brand", "creator"]),
    size=st.integers(1, 3),
    count=st.integers(1, 6),
)
def test_groups_are_cut_and_pages_filled_on_every_engine_as_brute_force_does(
    index: Index, seed: int, field: str | None, size: int, count: int
) -> None:
    tenant = f"t{uuid.uuid4().hex}"
    points = catalogue(tenant, seed)
    query = np.random.default_rng(seed + 1).standard_normal(SIZE).astype(np.float32)
    index.upsert(points)
    [found] = gather(index, [SearchPlan(query, tenant)], [Grouping(count, field, size)])
    facts = {each.id: each.payload for each in points}
    sizes, expected_ids = Counter[object](), list[str]()
    for id_, _ in expected(points, SearchPlan(query, tenant, limit=100)):
        group = facts[id_].get(field or "", id_)
        sizes[group] += 1
        expected_ids += [id_] if field is None or sizes[group] <= size else []
    assert [hit.id for hit in found][:count] == expected_ids[:count]
    index.remove({each.id: 2**53 for each in points})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    filters=some_filters(),
    any_of=lists_of_filters(),
    none_of=lists_of_filters(),
)
def test_items_are_counted_by_their_values_on_every_engine_as_brute_force_does(
    index: Index, seed: int, filters: Filters, any_of: tuple[Filters, ...], none_of: tuple[Filters, ...]
) -> None:
    tenant = f"t{uuid.uuid4().hex}"
    points = catalogue(tenant, seed)
    index.upsert(points)
    plans = [FacetPlan(name, tenant, filters, any_of, none_of) for name in ("category", "tags", "in_stock")]
    stored = {each.id: each for each in sorted(points, key=lambda each: version_of(each.payload))}
    for plan, found in zip(plans, index.facets(plans), strict=True):
        counts = Counter[object]()
        for each in stored.values():
            facts: dict[str, Any] = dict(each.payload)
            if each.vector is not None and facts.get("n") == 0 and admits(plan, facts):
                held = facts.get(plan.name, [])
                counts.update([held] if isinstance(held, str) else held)
        assert found == counts
    index.remove({each.id: 2**53 for each in points})
