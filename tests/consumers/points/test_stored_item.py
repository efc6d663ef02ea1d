"""Items as the index has them: things in pictures are points, which follow every change of their item."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from consumers.embedding.region_policy import RegionPolicy
from consumers.indexing.item_update import ItemEvents
from consumers.points.stored_item import read_states
from infra.qdrant.contract import Payload, SearchPlan
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import MAX_POINTS, numbered_id, point_ids, region_numbers
from schemas.envelope import Event
from schemas.items import MAX_IMAGES
from schemas.outcomes import ItemIndexed
from tests.consumers.indexer_harness import ENCODER, IndexerHarness, interleaved, open_indexer, open_shard
from tests.consumers.item_histories import (
    SIZE,
    delete,
    expected,
    held,
    patch,
    stored_file,
    things_in,
    upsert,
    vector_of,
)

RED, BLUE, GREEN = b"red", b"blue", b"green"
"""With `auto` they have no, one and two things; with `all` one more."""
KEYS = ("state", "n", "region_of", "region", "objectness", "colours", "title", "regions", "regions_by", "objects")


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened = open_shard(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def harness(shard: Shard) -> IndexerHarness:
    return open_indexer(shard)


def points(shard: Shard, item: str, keys: Sequence[str] = KEYS) -> dict[int, Payload]:
    """The payloads of an item's points, by point number."""
    ids = {n: numbered_id("default", item, n) for n in range(MAX_POINTS)}
    stored = shard.payloads(list(ids.values()), keys)
    return {n: stored[id] for n, id in ids.items() if id in stored}


def best(shard: Shard, thing: bytes, *, includes_regions: bool = True) -> str:
    """The id of the point that a search by the look of a thing finds first."""
    [[first, *_]] = shard.search([SearchPlan(vector_of(thing), "default", includes_regions=includes_regions)])
    return first.id


def test_things_in_pictures_are_points_with_the_facts_of_the_item(harness: IndexerHarness, shard: Shard) -> None:
    event = upsert("a", 1, GREEN, BLUE, objects="auto", title="A")
    harness.handle(event, upsert("b", 1, RED, title="B"))
    assert held(shard, ["a"]) == expected([event])
    first, second = region_numbers(0)[:2]
    stored = points(shard, "a")
    assert set(stored) == {0, 1, first, second, region_numbers(1)[0]}
    assert stored[0]["regions"] == 2
    assert (stored[0]["regions_by"], stored[0]["objects"]) == ("auto:default", "auto")
    assert stored[second] == {
        "state": "region", "region_of": 0, "region": [1 / 8, 0.0, 1 / 8, 0.5], "objectness": 0.9,
        "colours": ["blue"], "title": "A",
    }  # fmt: skip
    assert best(shard, things_in(GREEN, "auto")[1]) == numbered_id("default", "a", second)
    assert best(shard, things_in(GREEN, "auto")[1], includes_regions=False) in {
        *point_ids("default", "a"),
        *point_ids("default", "b"),
    }
    assert (shard.count(), shard.status().regions) == (3, 3)


def test_points_of_an_item_that_another_writer_changes_meanwhile_are_of_one_state(
    harness: IndexerHarness, shard: Shard
) -> None:
    harness.handle(upsert("a", 1, GREEN, objects="auto"))
    revisions = count(2)

    def change_the_title() -> None:
        harness.handle(patch("a", next(revisions), title="new"))

    item = ItemEvents("default", "a", (), point_ids("default", "a"))
    [state] = read_states(interleaved(shard, change_the_title), [item], [False])
    assert len({point["revision"] for point in state.points.values()}) == 1
    assert len(state.points) == 3


def test_the_outcome_tells_the_number_of_things(harness: IndexerHarness) -> None:
    harness.job.handle([upsert("a", 1, GREEN, BLUE, objects="auto")])
    [outcome] = harness.outcomes()
    assert isinstance(outcome, ItemIndexed)
    assert (outcome.images, outcome.regions) == (2, 3)


@pytest.mark.parametrize("objects", ["none", None])
def test_a_newer_event_without_things_removes_them_and_embeds_nothing(
    harness: IndexerHarness, shard: Shard, objects: str | None
) -> None:
    harness.handle(upsert("a", 1, GREEN, BLUE, objects="all"))
    harness.hash_pictures.looked.clear()
    newer = upsert("a", 2, GREEN, BLUE, objects=objects)
    harness.handle(newer)
    assert harness.hash_pictures.looked == []
    assert held(shard, ["a"]) == expected([newer])
    assert shard.status().regions == 0
    assert "regions" not in points(shard, "a")[0]


def test_things_of_removed_and_replaced_pictures_are_gone(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, GREEN, BLUE, objects="all"))
    newer = upsert("a", 2, b"violet", objects="all")
    harness.handle(newer)
    assert held(shard, ["a"]) == expected([newer])


def test_other_things_are_looked_for_when_the_event_asks_for_them(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, GREEN, objects="auto"))
    newer = upsert("a", 2, GREEN, objects="all")
    harness.handle(newer)
    assert harness.hash_pictures.looked == [GREEN, GREEN]
    assert held(shard, ["a"]) == expected([newer])


def test_a_delete_removes_them_also_those_of_a_broken_write(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, GREEN, objects="all"), upsert("b", 1, GREEN, objects="all"))
    shard.remove({point_ids("default", "b")[0]: 9})
    harness.handle(delete("a", 2), delete("b", 2))
    assert [points(shard, item, ("state",)) for item in "ab"] == [{0: {"state": "dead"}}] * 2


def test_a_patch_reaches_the_things_too(harness: IndexerHarness, shard: Shard) -> None:
    event, change = upsert("a", 1, GREEN, objects="all", title="A"), patch("a", 2, title="B")
    harness.handle(event)
    harness.handle(change)
    assert {point["title"] for point in points(shard, "a").values()} == {"B"}
    assert held(shard, ["a"]) == expected([event, change])


def test_a_repeat_changes_nothing_and_a_lost_thing_is_made_again(harness: IndexerHarness, shard: Shard) -> None:
    event = upsert("a", 1, GREEN, objects="all")
    harness.handle(event)
    before = points(shard, "a", ("version",))
    harness.handle(Event(event.body))
    assert points(shard, "a", ("version",)) == before
    assert harness.hash_pictures.looked == [GREEN]
    shard.remove({numbered_id("default", "a", region_numbers(0)[1]): 9})
    harness.handle(Event(event.body))
    assert held(shard, ["a"]) == expected([event])


def test_the_things_of_the_same_bytes_at_another_item_are_taken_over(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, GREEN, objects="auto"))
    same, other = upsert("b", 1, GREEN, objects="auto"), upsert("c", 1, GREEN, objects="all")
    harness.handle(same)
    assert harness.hash_pictures.looked == [GREEN]
    harness.handle(other)
    assert harness.hash_pictures.looked == [GREEN, GREEN]
    assert held(shard, "bc") == expected([same, other])
    first = region_numbers(0)[0]
    assert points(shard, "a")[first] == points(shard, "b")[first]


class CountingShard(Shard):
    """The embedded engine, which notes how many payloads each call reads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 0)
        self.counts: list[int] = []

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        self.counts.append(len(ids))
        return super().payloads(ids, keys)


def test_an_item_without_things_is_read_by_its_pictures_alone(tmp_path: Path) -> None:
    shard = CountingShard(tmp_path)
    shard.open(ENCODER, SIZE)
    harness = open_indexer(shard)
    harness.handle(upsert("a", 1, GREEN))
    harness.handle(patch("a", 2, title="A"))
    assert max(shard.counts) == MAX_IMAGES
    harness.handle(upsert("a", 3, GREEN, objects="all"))
    assert max(shard.counts) == MAX_POINTS
    shard.close()


def test_the_settings_say_which_items_have_things(shard: Shard) -> None:
    policy = RegionPolicy("faces", {"default": "all"}, {"social": "auto"})
    harness = open_indexer(shard, regions=policy)
    harness.handle(upsert("a", 1, GREEN), upsert("b", 1, GREEN, objects="none"))
    assert points(shard, "a")[0]["regions_by"] == "all:faces"
    assert "objects" not in points(shard, "a")[0]
    assert set(points(shard, "b")) == {0}


def test_pictures_in_files_are_not_fetched_again_for_their_things(harness: IndexerHarness, shard: Shard) -> None:
    image = stored_file(GREEN, with_checksum=True)
    harness.handle(upsert("a", 1, image, objects="auto"))
    newer = upsert("a", 2, image, objects="auto", title="new")
    harness.handle(newer)
    assert harness.hash_pictures.fetched == [GREEN]
    assert held(shard, ["a"]) == expected([newer])


def test_a_thing_is_no_duplicate_of_a_main_picture(harness: IndexerHarness) -> None:
    [thing, *_] = things_in(GREEN, "all")
    harness.job.handle([upsert("a", 1, GREEN, objects="all")])
    harness.outcomes()
    harness.job.handle([upsert("b", 1, thing)])
    [outcome] = harness.outcomes()
    assert isinstance(outcome, ItemIndexed)
    assert outcome.duplicate is None or outcome.duplicate.score < 1
