"""Standing searches against newly indexed pictures: which matches are published, and how often."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.indexing.watches.watch_matrix import WatchMatrix
from consumers.quality.evaluation.in_process import Outbox
from consumers.scoring.calibration_curve import UNCALIBRATED
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from infra.qdrant.contract import Index
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event, to_bytes
from schemas.failures import Unavailable
from schemas.filters import Filters
from schemas.items import InlineImage, ItemDeleted, ItemFacts, ItemPatched, ItemUpserted
from schemas.ranking import INTENTS, Intent, Weights
from schemas.results import QueryLook
from schemas.topics import SEARCH_MATCHES
from schemas.watches import Watch, WatchMatched
from tests.consumers.indexer_harness import ENCODER, HashPictures, IndexerHarness, flaky, open_shard
from tests.consumers.indexing.test_duplicates import PosedPictures, look_at_angle
from tests.consumers.item_histories import SIZE, things_in, vector_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PARTS = LookParts(4, 2)

MatchEvent = tuple[Event, WatchMatched]


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    shard = open_shard(tmp_path)
    yield shard
    shard.close()


@pytest.fixture
def watchlist() -> WatchMatrix:
    return WatchMatrix(ENCODER, SIZE, PARTS)


@pytest.fixture
def harness(shard: Shard, watchlist: WatchMatrix) -> IndexerHarness:
    looks = {
        "front": look_at_angle(0),
        "again": look_at_angle(5),
        "alike": look_at_angle(20),
        "other": look_at_angle(80),
    }
    return open_watched_indexer(shard, watchlist, PosedPictures(vectors=looks))


def open_watched_indexer(index: Index, watchlist: WatchMatrix, hash_pictures: HashPictures) -> IndexerHarness:
    outbox = Outbox()
    enrichers = enrichers_of(index, Calibrator(index, hash_pictures.embed, PARTS), watchlist.rows)
    job = ItemIndexer(
        ImagePipeline(hash_pictures.fetch, hash_pictures.embed, ENCODER), index, enrichers, OutcomePublisher(outbox)
    )
    return IndexerHarness(job, index, outbox, hash_pictures)


def watch(watch_id: str, angle: float = 0, min_confidence: float = 0.9, **more: object) -> Watch:
    """A watch for `posed(angle)`; uncalibrated, a confidence of .9 stands for a score of .77."""
    given: dict[str, object] = {
        "tenant": "t",
        "weights": INTENTS["similar"],
        "created_at": NOON,
        "encoder": ENCODER,
    }
    look = QueryLook(vector=look_at_angle(angle).astype("<f4").tobytes(), studio=False)
    return Watch.model_validate(
        {"watch_id": watch_id, "look": look, "min_confidence": min_confidence, **given, **more}
    )


@pytest.mark.parametrize("spoil", [0, 1.1, -1, 3e38, 1e-30])
def test_a_watch_whose_look_is_of_no_unit_length_rests(watchlist: WatchMatrix, spoil: float) -> None:
    vector = look_at_angle(0).astype("<f4")
    vector[:4] *= spoil
    look = QueryLook(vector=vector.tobytes(), studio=False)
    assert watchlist.apply("t:a", to_bytes(watch("a", look=look)))
    assert (watchlist.rows("t") is not None) == (spoil in (0, -1))


def test_the_smallest_confidence_that_can_be_asked_for_is_more_than_none(watchlist: WatchMatrix) -> None:
    put(watchlist, watch("a", min_confidence=5e-324))
    rows = watchlist.rows("t")
    assert rows is not None
    assert rows.min_confidences[0] > 0


def put(watchlist: WatchMatrix, *watches: Watch) -> None:
    for each in watches:
        watchlist.apply(each.key, to_bytes(each))


def index(
    harness: IndexerHarness, item: str, *pictures: str, revision: int = 1, **facts: object
) -> list[tuple[Event, WatchMatched]]:
    """Index an item; the published matches."""
    images = tuple(InlineImage(data=f"{picture} 0".encode()) for picture in pictures)
    given = {"tenant": "t", "item_id": item, "revision": revision, "images": images} | facts
    return handle(harness, ItemUpserted.model_validate(given))


def handle(harness: IndexerHarness, *bodies: ItemUpserted | ItemPatched | ItemDeleted) -> list[MatchEvent]:
    assert not harness.job.handle([Event(body) for body in bodies])
    return matches(harness.outbox.take())


def matches(events: list[Event]) -> list[MatchEvent]:
    return [(event, event.body) for event in events if isinstance(event.body, WatchMatched)]


def done(harness: IndexerHarness, event: Event) -> bool:
    """Whether the batch was completed."""
    try:
        return not harness.job.handle([event])
    except Unavailable:
        return False


def test_a_match_is_published_with_its_score_and_other_pictures_are_not(
    harness: IndexerHarness, watchlist: WatchMatrix
) -> None:
    put(watchlist, watch("shoes"))
    [(_, match)] = index(harness, "a", "alike", title="A shoe")
    assert (match.watch_id, match.tenant, match.hit.item_id, match.hit.title) == ("shoes", "t", "a", "A shoe")
    assert match.hit.score == pytest.approx(np.cos(np.radians(20)), abs=1e-4)
    assert match.hit.confidence == pytest.approx(
        float(UNCALIBRATED.confidence(np.array(match.hit.score))), abs=1e-4
    )
    assert index(harness, "b", "other") == []


def test_an_item_is_reported_once_to_each_watch_whatever_its_later_events(
    harness: IndexerHarness, watchlist: WatchMatrix
) -> None:
    put(watchlist, watch("shoes"))
    assert len(index(harness, "a", "front")) == 1
    assert index(harness, "a", "front", revision=2, title="new words") == []
    assert index(harness, "a", "again", revision=3) == []
    assert handle(harness, ItemPatched(tenant="t", item_id="a", revision=4, facts=ItemFacts(title="newer"))) == []
    put(watchlist, watch("boots", angle=5))
    assert [match.watch_id for _, match in index(harness, "a", "front", "alike", revision=5)] == ["boots"]
    put(watchlist, watch("shoes", created_at=NOON + timedelta(hours=1)))
    assert [match.watch_id for _, match in index(harness, "a", "again", revision=6)] == ["shoes"]


def test_an_item_that_was_deleted_and_comes_back_is_new(harness: IndexerHarness, watchlist: WatchMatrix) -> None:
    put(watchlist, watch("shoes"))
    assert len(index(harness, "a", "front")) == 1
    assert handle(harness, ItemDeleted(tenant="t", item_id="a", revision=2)) == []
    assert len(index(harness, "a", "front", revision=3)) == 1


def test_the_best_of_an_items_pictures_is_published(harness: IndexerHarness, watchlist: WatchMatrix) -> None:
    put(watchlist, watch("shoes"))
    [(_, match)] = index(harness, "a", "other", "alike", "again")
    assert match.hit.image == 2


def test_a_search_sees_the_items_of_its_tenant_alone(harness: IndexerHarness, watchlist: WatchMatrix) -> None:
    put(watchlist, watch("mine"), watch("theirs", tenant="u"))
    assert [match.watch_id for _, match in index(harness, "a", "front")] == ["mine"]


def test_filters_and_the_least_confidence_hold(harness: IndexerHarness, watchlist: WatchMatrix) -> None:
    put(
        watchlist,
        watch("sure", min_confidence=0.999),
        watch("cheap", filters=Filters(price_max=10, currency="EUR")),
        watch("either", any_of=(Filters(brand=("Acme",)), Filters(tags=("red",)))),
        watch("not-acme", none_of=(Filters(brand=("Acme",)),)),
        watch("colour", weights=Weights(object=0, style=0, colour=1)),
    )  # fmt: skip
    matched = index(harness, "a", "again", brand="Acme", price=Decimal(12), currency="EUR")
    assert {match.watch_id for _, match in matched} == {"either", "colour"}
    matched = index(harness, "b", "alike", price=Decimal("9.5"), currency="EUR")
    assert {match.watch_id for _, match in matched} == {"cheap", "not-acme", "colour"}


def test_a_removed_watch_gets_no_matches(harness: IndexerHarness, watchlist: WatchMatrix) -> None:
    put(watchlist, watch("shoes"), watch("boots"))
    watchlist.apply("t:shoes", None)
    watchlist.apply("t:never-was", None)
    assert [match.watch_id for _, match in index(harness, "a", "front")] == ["boots"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("t:a", b"no json"),
        ("t:a", to_bytes(ItemDeleted(item_id="a", revision=1))),
        ("t:other", to_bytes(watch("a"))),
        ("t:a", to_bytes(watch("a", encoder="another:1"))),
        ("t:a", to_bytes(watch("a", look=QueryLook(vector=b"\0" * 12, studio=False)))),
    ],
)
def test_what_cannot_be_compared_is_left_out(watchlist: WatchMatrix, key: str, value: bytes) -> None:
    put(watchlist, watch("a"))
    watchlist.apply(key, value)
    rows = watchlist.rows("t")
    assert (rows is None) == (key == "t:a")


def test_a_match_whose_write_breaks_off_is_published_again_under_the_same_id(
    shard: Shard, watchlist: WatchMatrix
) -> None:
    put(watchlist, watch("all", min_confidence=0.01))
    for seed in range(40):
        broken = flaky(shard, random.Random(seed), share=0.6)
        harness = open_watched_indexer(broken, watchlist, HashPictures())
        event = Event(ItemUpserted(tenant="t", item_id=f"i{seed}", revision=1, images=(InlineImage(data=b"x"),)))
        while not done(harness, event):
            pass
        assert len({matched.id for matched, _ in matches(harness.outbox.take())}) == 1


def test_matches_have_arrived_before_their_item_is_written(shard: Shard, watchlist: WatchMatrix) -> None:
    put(watchlist, watch("all", min_confidence=0.01))
    done: list[str] = []

    class LoggedIndex:
        def __getattr__(self, name: str) -> object:
            done.append(name)
            return getattr(shard, name)

    class LoggedOutbox(Outbox):
        def flush(self) -> None:
            done.append("flush")

    hash_pictures, index = HashPictures(), cast("Index", LoggedIndex())
    enrichers = enrichers_of(index, Calibrator(index, hash_pictures.embed, PARTS), watchlist.rows)
    job = ItemIndexer(
        ImagePipeline(hash_pictures.fetch, hash_pictures.embed, ENCODER),
        index,
        enrichers,
        OutcomePublisher(LoggedOutbox()),
    )
    job.handle([Event(ItemUpserted(tenant="t", item_id="a", revision=1, images=(InlineImage(data=b"x"),)))])
    assert done.index("flush") < done.index("upsert")


@given(
    angles=st.lists(st.integers(0, 90), min_size=1, max_size=12),
    kinds=st.lists(st.tuples(st.sampled_from(sorted(INTENTS)), st.booleans()), min_size=12, max_size=12),
)
def test_rows_of_one_kind_lie_together_and_score_as_their_searches_do(
    angles: list[int], kinds: list[tuple[Intent, bool]]
) -> None:
    watchlist, look = WatchMatrix(ENCODER, SIZE, PARTS), vector_of(b"any")
    made = [
        watch(
            f"w{n}",
            angle,
            weights=INTENTS[intent],
            look=QueryLook(vector=look_at_angle(angle).tobytes(), studio=studio),
        )
        for n, (angle, (intent, studio)) in enumerate(zip(angles, kinds, strict=False))
    ]
    put(watchlist, *made)
    rows = watchlist.rows("t")
    assert rows is not None
    for kind in rows.groups:
        assert {(each.weights, each.look.studio) for each in rows.watches[kind.rows]} == {
            (kind.weights, kind.studio)
        }
    assert [kind.rows.start for kind in rows.groups] == [0, *(kind.rows.stop for kind in rows.groups)][:-1]
    for each, query in zip(rows.watches, rows.queries, strict=True):
        weighed = PARTS.apply_weights(np.frombuffer(each.look.vector, "<f4"), each.weights)
        assert query @ look == pytest.approx(weighed @ look, abs=1e-5)


def test_matches_go_to_their_topic_by_the_key_of_the_search(shard: Shard, watchlist: WatchMatrix) -> None:
    from tests.consumers.conftest import Outbox as Noting

    put(watchlist, watch("all", min_confidence=0.01))
    hash_pictures, noting = HashPictures(), Noting()
    enrichers = enrichers_of(shard, Calibrator(shard, hash_pictures.embed, PARTS), watchlist.rows)
    job = ItemIndexer(
        ImagePipeline(hash_pictures.fetch, hash_pictures.embed, ENCODER), shard, enrichers, OutcomePublisher(noting)
    )
    job.handle([Event(ItemUpserted(tenant="t", item_id="a", revision=1, images=(InlineImage(data=b"x"),)))])
    [(_, key, event, _)] = [sent for sent in noting.sent if sent[0] == SEARCH_MATCHES]
    assert key == "t:all"
    assert uuid.UUID(event.id).version == 5
    assert shard.payloads([point_id("t", "a", 0)], ["told"])[point_id("t", "a", 0)]["told"] == [
        watch("all").fingerprint
    ]


def test_a_thing_in_a_picture_matches_with_its_box(shard: Shard, watchlist: WatchMatrix) -> None:
    harness = open_watched_indexer(shard, watchlist, HashPictures())
    [thing] = things_in(b"green 0", "all")
    look = QueryLook(vector=vector_of(thing).astype("<f4").tobytes(), studio=False)
    put(watchlist, watch("a", look=look, weights=Weights(object=1, style=1, colour=1)))
    [(_, match)] = index(harness, "i", "green", objects="all")
    assert (match.hit.item_id, match.hit.image) == ("i", 0)
    assert match.hit.box is not None
