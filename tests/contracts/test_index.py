"""The contract of Index: one suite for qdrant-client's memory engine, the bare shard and the embedded process."""

import math
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from infra.qdrant.conditions import AnyOf, Condition, HasWord, NoneOf
from infra.qdrant.contract import EncoderDiffers, FacetPlan, Index, Patch, Point, ScoredPoint, SearchPlan
from schemas.filters import Filters
from schemas.items import MAX_IMAGES, MAX_REGIONS, revision_at

FINGERPRINT, SIZE = "test-encoder", 8
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MOMENTS = [NOON + timedelta(hours=hour) for hour in range(4)]
PRICES = [5.0, 9.99, 20.0]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def point(tenant: str, item: str, version: int = 1, n: int = 0, **facts: object) -> Point:
    """A live point; its vector is one of its own, or the fact `look`."""
    id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}:{item}:{n}"))
    look = facts.pop("look", None)
    vector = np.eye(SIZE, dtype=np.float32)[n] if look is None else np.asarray(look, dtype=np.float32)
    payload = {"item": f"{tenant}:{item}", "item_id": item, "tenant": tenant, "n": n, "state": "live", **facts}
    return Point(id_, payload | {"version": version}, vector)


def region(picture: Point, number: int, **facts: object) -> Point:
    """A region of a picture, with the facts of its item; its vector is the fact `look`, or that of its picture."""
    look = facts.pop("look", picture.vector)
    payload = {**picture.payload, "state": "region", "region_of": picture.payload["n"], **facts}
    del payload["n"]
    id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{picture.id}:{number}"))
    return Point(id_, payload, np.asarray(look, dtype=np.float32))


def tombstone(live: Point, version: int, dead_at: int = 0) -> Point:
    """What a delete writes in place of a point."""
    return Point(live.id, {**live.payload, "state": "dead", "version": version, "dead_at": dead_at}, None)


def versions(index: Index, *points: Point) -> list[object]:
    """The version of each of these points, None where there is none."""
    stored = index.payloads([each.id for each in points], ("version",))
    return [stored.get(each.id, {}).get("version") for each in points]


def plan(tenant: str, look: Sequence[float] | None = None, **filters: Any) -> SearchPlan:
    """A search for every item of a tenant that passes the filters."""
    vector = np.ones(SIZE, dtype=np.float32) if look is None else np.asarray(look, dtype=np.float32)
    return SearchPlan(vector, tenant, Filters(**filters), limit=50)


def items(found: Sequence[ScoredPoint]) -> set[object]:
    """The items among the hits; fails when one is there twice."""
    names = [hit.payload["item_id"] for hit in found]
    assert len(names) == len(set(names))
    return set(names)


def items_for(index: Index, search_plan: SearchPlan) -> set[object]:
    """The items that a plan finds."""
    [found] = index.search([search_plan])
    return items(found)


# --- the newest version stays ---


def test_a_point_is_found_with_its_payload_and_score(index: Index, index_tenant: str) -> None:
    written = point(index_tenant, "a", title="Lamp", look=[0.5, 0, 0, 0, 0, 0, 0, 0.25])
    index.upsert([written])
    [[hit]] = index.search([plan(index_tenant, look=[1, 0, 0, 0, 0, 0, 0, 1])])
    assert (hit.id, hit.payload) == (written.id, written.payload)
    assert hit.score == pytest.approx(0.75)


def test_a_newer_version_replaces_and_an_older_or_equal_one_does_not(index: Index, index_tenant: str) -> None:
    for version, title in [(5, "five"), (4, "four"), (5, "five again"), (6, "six")]:
        index.upsert([point(index_tenant, "a", version, title=title)])
        [[hit]] = index.search([plan(index_tenant)])
        assert hit.payload["title"] == {5: "five", 4: "five", 6: "six"}[version]


def test_the_newest_of_one_batch_wins_in_any_order(index: Index, index_tenant: str) -> None:
    batch = [point(index_tenant, "a", version, title=str(version)) for version in (3, 7, 5)]
    for _replay in range(2):
        index.upsert(batch)
        [[hit]] = index.search([plan(index_tenant)])
        assert hit.payload["title"] == "7"


def test_large_versions_are_distinguished(index: Index, index_tenant: str) -> None:
    for version in (2**53 - 1, 2**53, 2**53 - 1):
        index.upsert([point(index_tenant, "a", version)])
    assert versions(index, point(index_tenant, "a")) == [2**53]


def test_payloads_and_vectors_return_the_existing_points(index: Index, index_tenant: str) -> None:
    alive, dead, missing = (point(index_tenant, name, title=name) for name in "abc")
    index.upsert([alive, tombstone(dead, 9)])
    ids = [alive.id, dead.id, missing.id]
    expected = {alive.id: {"version": 1, "title": "a"}, dead.id: {"version": 9, "title": "b"}}
    assert index.payloads(ids, ("version", "title", "brand")) == expected
    vectors = index.vectors(ids)
    assert list(vectors) == [alive.id]
    np.testing.assert_array_equal(vectors[alive.id], alive.vector)
    assert vectors[alive.id].dtype == np.float32


def test_a_payload_comes_back_as_it_was_written(index: Index, index_tenant: str) -> None:
    facts: dict[str, Any] = {
        "price": 5.0,
        "created_at": 2**53,
        "tags": ["b", "a"],
        "attributes": {"z": "1", "a": "ö"},
        "base": 1,
    }
    written = point(index_tenant, "a", 1, **facts)
    index.upsert([written])
    assert index.payloads([written.id], tuple(facts)) == {written.id: facts}


def test_nothing_to_do_is_done(index: Index) -> None:
    index.upsert([])
    index.patch([])
    index.remove({})
    index.flush()
    assert (index.search([]), index.payloads([], ("version",)), index.vectors([])) == ([], {}, {})


# --- tombstones, patches, removals ---


def test_a_tombstone_hides_an_item_until_a_newer_event_revives_it(index: Index, index_tenant: str) -> None:
    live = point(index_tenant, "a", 5)
    before = index.count()
    index.upsert([live])
    index.upsert([tombstone(live, 6)])
    index.upsert([live])
    assert items_for(index, plan(index_tenant)) == set()
    assert (index.count(), index.vectors([live.id])) == (before, {})
    index.upsert([point(index_tenant, "a", 7)])
    assert items_for(index, plan(index_tenant)) == {"a"}
    assert index.count() == before + 1


def test_a_patch_sets_and_removes_keys_of_one_picture(index: Index, index_tenant: str) -> None:
    pictures = [point(index_tenant, "a", 1, n, price=5.0, title="Lamp", brand="Acme") for n in range(2)]
    index.upsert(pictures)
    index.patch([Patch(each.id, {"version": 2, "price": 9.99, "brand": None}) for each in pictures])
    for n in range(2):
        [[hit]] = index.search([plan(index_tenant, look=np.eye(SIZE)[n].tolist(), price_min=9)])
        expected = {**pictures[n].payload, "price": 9.99, "version": 2}
        del expected["brand"]
        assert hit.payload == expected
    assert items_for(index, plan(index_tenant, brand=("Acme",))) == set()


def test_patches_of_one_batch_are_made_in_their_order(index: Index, index_tenant: str) -> None:
    live = point(index_tenant, "a")
    index.upsert([live])
    index.patch([Patch(live.id, {"version": version, "title": str(version)}) for version in (3, 2, 4)])
    assert index.payloads([live.id], ("title",)) == {live.id: {"title": "4"}}


def test_a_stale_patch_changes_nothing(index: Index, index_tenant: str) -> None:
    live = point(index_tenant, "a", 5, title="new")
    index.upsert([live])
    index.patch([Patch(live.id, {"version": 5, "title": None, "brand": "Acme"})])
    [[hit]] = index.search([plan(index_tenant)])
    assert hit.payload == live.payload


def test_a_patch_leaves_missing_and_dead_points_as_they_are(index: Index, index_tenant: str) -> None:
    dead, missing = tombstone(point(index_tenant, "a"), 5), point(index_tenant, "b")
    index.upsert([dead])
    index.patch([Patch(each.id, {"version": 6, "title": "ghost"}) for each in (dead, missing)])
    assert versions(index, dead, missing) == [5, None]


def test_only_points_below_the_version_are_removed(index: Index, index_tenant: str) -> None:
    points = [point(index_tenant, str(version), version) for version in (1, 2, 3)]
    index.upsert(points)
    index.remove({points[0].id: 2, points[1].id: 2, points[2].id: 4, point(index_tenant, "missing").id: 9})
    assert versions(index, *points) == [None, 2, None]


def test_tombstones_are_collected_when_they_are_old(index: Index, index_tenant: str) -> None:
    index.collect_tombstones(2**53)
    old, young, alive = (point(index_tenant, name) for name in "abc")
    index.upsert([tombstone(old, 5, dead_at=999), tombstone(young, 5, dead_at=1_000), alive])
    assert index.collect_tombstones(before_us=1_000) == 1
    assert versions(index, old, young, alive) == [None, 5, 1]
    assert index.collect_tombstones(before_us=1_000) == 0
    index.upsert([point(index_tenant, "b", 6)])
    assert index.collect_tombstones(before_us=2**53) == 0
    assert items_for(index, plan(index_tenant)) == {"b", "c"}


# --- bad input ---


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_vector_that_is_not_finite_is_refused_and_nothing_is_written(
    index: Index, index_tenant: str, number: float
) -> None:
    good, bad = point(index_tenant, "a"), point(index_tenant, "b", look=[number] + [1] * (SIZE - 1))
    with pytest.raises(ValueError, match=f"{bad.id} has a vector with NaN or infinity"):
        index.upsert([good, bad])
    assert versions(index, good, bad) == [None, None]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (point("t", "a", look=[1.0, 2.0]), "shape"),
        (point("t", "a", look=[0.0] * SIZE), "zeros"),
        (replace(point("t", "a"), vector=None), "dead by its vector"),
        (replace(point("t", "a"), payload={"state": "live"}), "version"),
    ],
    ids=["size", "zeros", "state", "version"],
)
def test_a_point_that_makes_no_sense_is_refused(index: Index, bad: Point, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        index.upsert([bad])


def test_a_patch_without_a_version_is_refused(index: Index) -> None:
    with pytest.raises(ValueError, match="version"):
        index.patch([Patch(str(uuid.uuid4()), {"title": "Lamp"})])


# --- searches ---


def test_an_item_is_one_hit_by_its_best_picture_however_many_it_has(index: Index, index_tenant: str) -> None:
    looks = np.linspace(1, 0.5, 8)
    pictures = [
        point(index_tenant, item, 1, n, look=[scale * look] * SIZE)
        for item, scale in [("best", 1.0), ("middle", 0.4), ("last", 0.1)]
        for n, look in enumerate(looks)
    ]
    index.upsert(pictures)
    [found] = index.search([replace(plan(index_tenant), limit=2)])
    assert [(hit.payload["item_id"], hit.payload["n"]) for hit in found] == [("best", 0), ("middle", 0)]


def test_plans_of_one_batch_are_answered_in_their_order(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, name, n=n) for n, name in enumerate("abcd")])
    looks = [np.eye(SIZE)[n].tolist() for n in (2, 0, 3)]
    answers = index.search([replace(plan(index_tenant, look), limit=1) for look in looks])
    assert [hit.payload["item_id"] for [hit] in answers] == ["c", "a", "d"]


def test_tenants_never_see_each_other(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, "mine"), point(f"{index_tenant}-other", "theirs")])
    assert items_for(index, plan(index_tenant)) == {"mine"}


def test_excluded_items_are_left_out(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, name, n=n) for n in range(2) for name in "abc"])
    assert items_for(index, plan(index_tenant, exclude_items=("a", "c"))) == {"b"}


def test_items_that_a_search_is_apart_from_are_no_hits_and_take_no_others_place(
    index: Index, index_tenant: str
) -> None:
    index.upsert([point(index_tenant, name, n=n) for name in "abcde" for n in range(MAX_IMAGES)])
    for apart, limit in ((("a",), 4), (("a", "b", "e"), 2), (("a",), 1), (("no such",), 5)):
        [found] = index.search([replace(plan(index_tenant), excluded_ids=apart, limit=limit)])
        items = [str(hit.payload["item_id"]) for hit in found]
        assert len(set(items)) == len(items) == limit
        assert not {*items} & {*apart}


def test_colours_are_asked_for_by_name_or_by_hex_code_with_a_distance(index: Index, index_tenant: str) -> None:
    shades = {"scarlet": ["red", "L8.12.4"], "near": ["red", "L7.12.4"], "sky": ["blue", "L14.-3.-5"]}
    index.upsert([point(index_tenant, name, shades=held) for name, held in shades.items()])
    index.upsert([point(index_tenant, "unknown")])
    colour_matches = {"red": {"scarlet", "near"}, "#b4143c~3": {"scarlet"}, "#b4143c~5": {"scarlet", "near"}}
    for colour, expected in colour_matches.items():
        assert items_for(index, plan(index_tenant, colours=(colour,))) == expected
    assert items_for(index, plan(index_tenant, colours=("blue", "#b4143c~3"))) == {"scarlet", "sky"}


def test_a_price_range_holds_its_ends_and_its_currency(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, f"{price:g}", price=price, currency="EUR") for price in PRICES])
    index.upsert([point(index_tenant, "dollars", price=9.99, currency="USD"), point(index_tenant, "free")])
    assert items_for(index, plan(index_tenant, price_min=5.0, price_max=9.99, currency="EUR")) == {"5", "9.99"}
    assert items_for(index, plan(index_tenant, price_min=9.99)) == {"9.99", "20", "dollars"}


def test_created_after_holds_its_moment_and_created_before_does_not(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, str(n), created_at=revision_at(when)) for n, when in enumerate(MOMENTS)])
    within = plan(index_tenant, created_after=MOMENTS[1], created_before=MOMENTS[3])
    assert items_for(index, within) == {"1", "2"}
    just_past = MOMENTS[1] + timedelta(microseconds=1)
    assert items_for(index, plan(index_tenant, created_after=just_past)) == {"2", "3"}


def test_in_stock_distinguishes_true_false_and_unknown(index: Index, index_tenant: str) -> None:
    stocked = [point(index_tenant, name, in_stock=keyword) for name, keyword in [("yes", "true"), ("no", "false")]]
    index.upsert([*stocked, point(index_tenant, "unknown")])
    assert items_for(index, plan(index_tenant, in_stock=True)) == {"yes"}
    assert items_for(index, plan(index_tenant, in_stock=False)) == {"no"}


def test_nothing_below_the_least_score_is_found(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, name, look=[score] + [0] * 7) for name, score in [("a", 0.9), ("b", 0.5)]])
    search_plan = plan(index_tenant, look=[1] + [0] * 7)
    assert items_for(index, replace(search_plan, min_score=0.7)) == {"a"}
    assert items_for(index, replace(search_plan, min_score=0.95)) == set()


def test_what_must_hold_besides_the_filters_holds(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, name, category_source=name) for name in ("given", "predicted")])
    only_given = replace(plan(index_tenant), extra_conditions=(AnyOf("category_source", ("given",)),))
    assert items_for(index, only_given) == {"given"}


def test_hits_come_with_no_more_payload_than_asked_for(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, "a", category="Lamps", title="Lamp")])
    [[hit]] = index.search([replace(plan(index_tenant), included_keys=("category", "brand"))])
    assert hit.payload == {"item_id": "a", "category": "Lamps"}


# --- samples and notes ---


def test_a_sample_holds_live_points_of_one_tenant_and_stays_the_same(index: Index, index_tenant: str) -> None:
    named = [point(index_tenant, str(n), category=f"c{n}", category_source="given", title="t") for n in range(5)]
    gone = point(index_tenant, "gone")
    index.upsert([*named, gone, point(f"{index_tenant}-other", "theirs")])
    index.upsert([tombstone(gone, 9)])
    whole = index.sample(index_tenant, 50)
    keys = ("item_id", "category", "category_source")
    assert whole == {each.id: {key: each.payload[key] for key in keys} for each in named}
    some = index.sample(index_tenant, 2)
    assert len(some) == 2
    assert some == index.sample(index_tenant, 2)
    assert some.items() <= whole.items()
    assert index.sample("nobody", 5) == {}


def test_points_are_counted_in_all_and_by_tenant(index: Index, index_tenant: str) -> None:
    before = index.count()
    index.upsert([point(index_tenant, name) for name in "ab"])
    assert (index.count(index_tenant), index.count("nobody"), index.count()) == (2, 0, before + 2)


def test_a_note_is_kept_until_the_next_one_and_never_found_or_counted(index: Index, index_tenant: str) -> None:
    before = index.count()
    assert index.notes([index_tenant]) == {}
    index.put_note(index_tenant, {"looks": [0.5, 1], "of": {"points": 3}})
    index.put_note(f"{index_tenant}-other", {"looks": []})
    assert index.notes([index_tenant, "nobody took it"]) == {index_tenant: {"looks": [0.5, 1], "of": {"points": 3}}}
    index.put_note(index_tenant, {"points": 4})
    assert index.notes([index_tenant]) == {index_tenant: {"points": 4}}
    assert index.count() == before
    assert items_for(index, plan(index_tenant)) == set()


# --- whose index it is ---


def test_the_encoder_that_made_the_index_opens_it_again(index: Index) -> None:
    index.open(FINGERPRINT, SIZE)


@pytest.mark.parametrize(("fingerprint", "size"), [("another-encoder", SIZE), (FINGERPRINT, SIZE + 1)])
def test_another_encoder_is_refused_in_one_sentence(index: Index, fingerprint: str, size: int) -> None:
    with pytest.raises(EncoderDiffers, match="LOOKSTREAM_QDRANT_COLLECTION") as refused:
        index.open(fingerprint, size)
    if size == SIZE:
        assert FINGERPRINT in str(refused.value)
        assert fingerprint in str(refused.value)
        assert "LOOKSTREAM_DATA" in str(refused.value)
    index.open(FINGERPRINT, SIZE)


def test_pages_give_every_point_once_with_payload_and_vector_and_no_notes(index: Index, index_tenant: str) -> None:
    live = [point(index_tenant, str(n), look=np.arange(1, SIZE + 1) * (n + 1), title=f"item {n}") for n in range(7)]
    dead = tombstone(point(index_tenant, "gone"), 2, dead_at=9)
    index.upsert([*live, dead])
    index.put_note("a note", {"for": "nobody"})
    found, after, pages = list[Point](), None, 0
    while pages == 0 or after is not None:
        page, after = index.page(after, 3)
        assert len(page) <= 3
        found, pages = found + page, pages + 1
    assert [each.id for each in found] == sorted({each.id for each in found})
    mine = {each.id: each for each in found if each.payload["tenant"] == index_tenant}
    assert mine.keys() == {each.id for each in [*live, dead]}
    assert mine[dead.id].vector is None
    for each in live:
        assert np.array_equal(np.asarray(mine[each.id].vector), np.asarray(each.vector))
        assert mine[each.id].payload == each.payload


def test_the_status_counts_live_points_and_those_outside_the_graph(index: Index, index_tenant: str) -> None:
    before = index.status()
    index.upsert([point(index_tenant, "a"), tombstone(point(index_tenant, "b"), 2, dead_at=9)])
    index.put_note("another note", {})
    after = index.status()
    assert (after.fingerprint, after.size) == (FINGERPRINT, SIZE)
    assert after.live == index.count() == before.live + 1
    assert 0 <= after.unindexed <= after.live
    assert not after.optimising


def test_points_of_the_same_bytes_are_found_whole_within_their_tenant(index: Index, index_tenant: str) -> None:
    first = point(index_tenant, "a", look=np.arange(1, SIZE + 1), sha256="aa", title="first")
    index.upsert([first, point(index_tenant, "b", sha256="bb"), point(f"{index_tenant}2", "c", sha256="cc")])
    index.upsert([tombstone(point(index_tenant, "gone", sha256="dd"), 2)])
    found = index.find_by_checksum(index_tenant, ["aa", "cc", "dd", "ee"])
    assert found.keys() == {"aa"}
    assert (found["aa"].id, found["aa"].payload) == (first.id, first.payload)
    assert np.array_equal(np.asarray(found["aa"].vector), np.asarray(first.vector))


# --- regions ---


def with_regions(search_plan: SearchPlan) -> SearchPlan:
    """The same search, of which regions may be hits."""
    return replace(search_plan, includes_regions=True)


def test_a_region_is_found_only_by_a_plan_that_includes_regions(index: Index, index_tenant: str) -> None:
    looks = np.eye(SIZE, dtype=np.float32)
    post, lamp = point(index_tenant, "post", look=looks[0]), point(index_tenant, "lamp", look=looks[1] * 0.5)
    seat = region(post, 0, look=looks[1], region=[0.5, 0, 0.5, 1])
    index.upsert([seat, post, lamp])
    search_plan = plan(index_tenant, look=looks[1])
    [pictures, all_points] = index.search([search_plan, with_regions(search_plan)])
    assert pictures[0].id == lamp.id
    assert [(hit.id, hit.payload["item_id"]) for hit in all_points] == [(seat.id, "post"), (lamp.id, "lamp")]
    assert all_points[0].payload == seat.payload


def test_an_item_with_the_most_regions_is_one_hit_and_takes_no_place_of_others(
    index: Index, index_tenant: str
) -> None:
    pictures = [point(index_tenant, "post", n=n, look=[1] * SIZE) for n in range(MAX_IMAGES)]
    regions = [region(picture, number) for picture in pictures for number in range(MAX_REGIONS)]
    others = [point(index_tenant, name, look=[0.1] * SIZE) for name in "abcde"]
    index.upsert([*regions, *pictures, *others])
    for limit in (1, 2, 6):
        [found] = index.search([with_regions(replace(plan(index_tenant), limit=limit))])
        assert len(items(found)) == limit
        assert found[0].payload["item_id"] == "post"


def test_regions_are_no_pictures_in_counts_samples_facets_and_checksums(index: Index, index_tenant: str) -> None:
    before = index.status()
    post = point(index_tenant, "post", category="lamp", sha256="ee", words="lamp")
    index.upsert([region(post, number) for number in range(3)] + [post])
    assert (index.count(index_tenant), len(index.sample(index_tenant, 9))) == (1, 1)
    assert index.facets([FacetPlan("category", index_tenant)]) == [{"lamp": 1}]
    assert index.find_by_checksum(index_tenant, ["ee"])["ee"].id == post.id
    assert [hit.id for hit in index.search([by_text(index_tenant, "lamp")])[0]] == [post.id]
    after = index.status()
    assert (after.live - before.live, after.regions - before.regions) == (1, 3)
    assert 0 <= after.unindexed <= after.live + after.regions


def test_a_region_is_filtered_by_its_items_facts_and_patched_with_them(index: Index, index_tenant: str) -> None:
    post = point(index_tenant, "post", look=np.eye(SIZE)[0], price=5.0, currency="EUR")
    seat = region(post, 0, look=np.eye(SIZE)[1])
    index.upsert([seat, post])
    index.patch([Patch(id, {"price": 9.0, "version": 2}) for id in (post.id, seat.id)])
    look = [0, 1, 0, 0, 0, 0, 0, 0]
    cheap, dear = plan(index_tenant, look, price_max=6.0), plan(index_tenant, look, price_max=9.0)
    [none, [hit]] = index.search([with_regions(cheap), with_regions(dear)])
    assert (none, hit.id) == ([], seat.id)


def test_a_removed_region_is_gone_and_other_tenants_never_see_one(index: Index, index_tenant: str) -> None:
    mine, theirs = point(index_tenant, "mine"), point(f"{index_tenant}-other", "theirs")
    index.upsert([region(mine, 0, look=[2] * SIZE), mine, region(theirs, 0, look=[3] * SIZE), theirs])
    search_plan = with_regions(plan(index_tenant))
    assert [hit.id for hit in index.search([search_plan])[0]] == [region(mine, 0).id]
    index.remove({region(mine, 0).id: 2})
    assert [hit.id for hit in index.search([search_plan])[0]] == [mine.id]


def test_pages_have_the_points_of_regions(index: Index, index_tenant: str) -> None:
    post = point(index_tenant, "post")
    index.upsert([region(post, 0), post])
    found, after = index.page(None, 1_000)
    while after is not None:
        page, after = index.page(after, 1_000)
        found += page
    assert {each.id for each in found if each.payload["tenant"] == index_tenant} == {post.id, region(post, 0).id}


def test_regions_change_no_score_of_words(index: Index, index_tenant: str, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["index"] == "memory":
        pytest.skip("qdrant-client's engine in memory has no statistics of one tenant")
    lamps = [worded(index_tenant, name, words) for name, words in (("a", "red lamp"), ("b", "blue lamp"))]
    index.upsert(lamps)
    [before] = index.search([by_text(index_tenant, "red lamp")])
    index.upsert([region(lamps[0], number) for number in range(5)])
    [after] = index.search([by_text(index_tenant, "red lamp")])
    assert [hit.id for hit in after] == [hit.id for hit in before]
    assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before])


# --- words ---


def worded(tenant: str, item: str, words: str, n: int = 0) -> Point:
    """A live point with these words."""
    return point(tenant, item, n=n, words=words)


def by_text(tenant: str, text: str, *conditions: Condition, limit: int = 10) -> SearchPlan:
    """A search by words alone."""
    return SearchPlan(None, tenant, text=text, extra_conditions=conditions, limit=limit)


def names(hits: Sequence[ScoredPoint]) -> list[object]:
    """The items of hits in their order."""
    return [hit.payload["item_id"] for hit in hits]


def test_points_are_ranked_by_the_words_that_they_have(index: Index, index_tenant: str) -> None:
    texts = {"shirt": "navy casual shirt", "dress": "red dress", "jeans": "navy jeans with a long text about jeans"}
    index.upsert([worded(index_tenant, item, words) for item, words in texts.items()])
    [both, rare, none] = index.search([by_text(index_tenant, text) for text in ("navy shirt", "dress", "lamp")])
    assert names(both) == ["shirt", "jeans"]
    assert both[0].score > both[1].score > 0
    assert names(rare) == ["dress"]
    assert none == []


def test_a_patch_changes_the_words_by_which_a_point_is_found(index: Index, index_tenant: str) -> None:
    lamp = worded(index_tenant, "lamp", "desk lamp")
    index.upsert([lamp])
    index.patch([Patch(lamp.id, {"words": "floor lamp", "version": 2})])
    assert [names(hits) for hits in index.search([by_text(index_tenant, word) for word in ("desk", "floor")])] == [
        [],
        ["lamp"],
    ]


def test_the_words_of_other_tenants_change_no_score(
    index: Index, index_tenant: str, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["index"] == "memory":
        pytest.skip("qdrant-client's engine in memory has no statistics of one tenant")
    index.upsert([worded(index_tenant, name, words) for name, words in (("a", "red lamp"), ("b", "blue lamp"))])
    [before] = index.search([by_text(index_tenant, "red lamp")])
    index.upsert([worded(f"{index_tenant}x", str(number), "red thing") for number in range(20)])
    [after] = index.search([by_text(index_tenant, "red lamp")])
    assert names(after) == ["a", "b"]
    assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before])


def test_a_deleted_item_is_not_found_by_its_words(index: Index, index_tenant: str) -> None:
    lamps = [worded(index_tenant, name, words) for name, words in (("a", "red lamp"), ("b", "blue lamp"))]
    index.upsert(lamps)
    index.upsert([tombstone(lamps[0], 2)])
    assert names(index.search([by_text(index_tenant, "red lamp")])[0]) == ["b"]


def test_an_item_whose_pictures_all_have_the_word_is_one_hit(index: Index, index_tenant: str) -> None:
    index.upsert([worded(index_tenant, "a", "lamp", n=n) for n in range(4)] + [worded(index_tenant, "b", "lamp")])
    assert sorted(map(str, names(index.search([by_text(index_tenant, "lamp", limit=2)])[0]))) == ["a", "b"]


def test_a_word_is_a_condition_and_its_absence_is_another(index: Index, index_tenant: str) -> None:
    index.upsert([worded(index_tenant, "a", "striped mug"), worded(index_tenant, "b", "blue mug")])
    index.upsert([point(index_tenant, "c", version=1)])
    striped = HasWord("words", ("striped", "stripe"))
    [has, has_not] = index.search(
        [
            replace(plan(index_tenant), extra_conditions=(striped,)),
            replace(plan(index_tenant), extra_conditions=(NoneOf(((striped,),)),)),
        ]
    )
    assert items(has) == {"a"}
    assert items(has_not) == {"b", "c"}


def test_without_a_vector_and_text_a_plan_lists_what_passes(index: Index, index_tenant: str) -> None:
    index.upsert([point(index_tenant, name, category=name) for name in ("a", "b", "c")])
    listing = SearchPlan(None, index_tenant, Filters(category=("a", "c")))
    assert sorted(map(str, names(index.search([listing])[0]))) == ["a", "c"]
