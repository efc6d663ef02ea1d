"""Searches can wait until the index has reached a position, and answers say which position it has reached."""

import time
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.points.progress import CHECK_SECONDS, OVERDUE_SECONDS, ProgressReader, covers, note_progress
from consumers.scoring.calibrator import Calibrator
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.handler import MAX_WAITING_SEARCHES, RequestHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from infra.kafka import Partition, Record
from infra.qdrant.contract import Index
from schemas.envelope import CORRELATION_ID, REPLY_TO, Event
from schemas.freshness import RecordPosition, Watermark
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS, SEARCH_REQUESTS, SEARCH_RESULTS, SOCIAL_POSTS

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

NOON_MS = 1_714_564_800_000
EXTRA = {CORRELATION_ID: "q", REPLY_TO: "search.results.mine"}


def record(partition: int, offset: int, topic: str = CATALOG_ITEMS) -> Record:
    return Record(topic, partition, offset, b"k", b"v", timestamp_ms=NOON_MS + offset)


def two(_topic: str) -> int:
    """Every topic has two partitions."""
    return 2


@pytest.fixture
def job(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> RequestHandler:
    answers = ReplyPublisher(outbox, "fake:1")
    searches = SearchHandler(pipeline, index, confidence, answers)
    return RequestHandler(searches, FacetsHandler(index, answers), ProgressReader(index, two), answers)


def search(**fields: Any) -> SearchRequest:
    position = RecordPosition(source="catalog", partition=1, offset=7)
    return SearchRequest.model_validate({"request_id": "q", "item_id": "a", "min_as_of": (position,), **fields})


def test_there_is_no_progress_before_anything_was_indexed(index: Index) -> None:
    assert ProgressReader(index, two).read() == ()
    assert covers((), ())
    assert not covers((), (RecordPosition(source="catalog", partition=0, offset=0),))


def test_the_progress_of_each_source_is_in_the_result(index: Index) -> None:
    note_progress(index, [record(0, 3), record(0, 4), record(1, 7), record(0, 9, SOCIAL_POSTS)])
    note_progress(index, [record(1, 8)])
    assert ProgressReader(index, two).read() == (
        Watermark(
            source="catalog", time=datetime.fromtimestamp(NOON_MS / 1000 + 0.008, UTC), offsets={"0": 5, "1": 9}
        ),
        Watermark(source="social", time=datetime.fromtimestamp(NOON_MS / 1000 + 0.009, UTC), offsets={"0": 10}),
    )


def test_a_note_beyond_its_topics_end_is_of_a_broker_that_has_forgotten_and_is_not_believed(index: Index) -> None:
    note_progress(index, [record(0, 500), record(1, 3)])
    ends = {(CATALOG_ITEMS, 0): 2, (CATALOG_ITEMS, 1): 9}
    freshness = ProgressReader(index, two, lambda: ends)
    [as_of] = freshness.read()
    assert as_of.offsets == {"1": 4}
    ends[CATALOG_ITEMS, 0] = 9_000  # the new topic has grown beyond the old note, which is no truer for it
    assert freshness.read()[0].offsets == {"1": 4}
    note_progress(index, [record(0, 7)])
    assert freshness.read()[0].offsets == {"0": 8, "1": 4}
    assert ProgressReader(index, two, lambda: ends).read()[0].offsets == {"0": 8, "1": 4}


def test_no_reading_but_the_first_waits_for_the_broker_and_what_it_says_counts_once_it_has(index: Index) -> None:
    note_progress(index, [record(0, 500), record(1, 3)])
    may_answer, ends = Flag(), {(CATALOG_ITEMS, 0): 501, (CATALOG_ITEMS, 1): 9}
    may_answer.set()

    def read_ends() -> dict[Partition, int]:
        assert may_answer.wait(60)
        return dict(ends)

    clock = SimpleNamespace(seconds=1_000.0)
    freshness = ProgressReader(index, two, read_ends, lambda: clock.seconds)
    assert freshness.read()[0].offsets == {"0": 501, "1": 4}
    may_answer.clear()
    ends[CATALOG_ITEMS, 0] = 2  # the broker has begun again
    clock.seconds += CHECK_SECONDS
    assert freshness.read()[0].offsets == {"0": 501, "1": 4}, "the broker has not answered so far"
    may_answer.set()
    until = time.monotonic() + 60
    while freshness.read()[0].offsets != {"1": 4}:
        assert time.monotonic() < until, "what the broker said does not count"


def test_where_searches_are_rare_the_broker_is_asked_before_one_is_answered(index: Index) -> None:
    note_progress(index, [record(0, 500)])
    ends, clock = {(CATALOG_ITEMS, 0): 501}, SimpleNamespace(seconds=1_000.0)
    freshness = ProgressReader(index, two, lambda: ends, lambda: clock.seconds)
    assert freshness.read()[0].offsets == {"0": 501}
    ends[CATALOG_ITEMS, 0] = 2
    clock.seconds += OVERDUE_SECONDS + 1
    assert freshness.read() == ()


def test_times_outside_the_calendar_do_not_come_into_notes(index: Index) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)  # notes have whole milliseconds
    for at in (253_402_300_800_000, -1, -(2**63), 2**62):
        note_progress(index, [Record(CATALOG_ITEMS, 0, 3, b"k", b"v", timestamp_ms=at)])
        [as_of] = ProgressReader(index, two).read()
        assert as_of.time.year == 1970 or before <= as_of.time <= datetime.now(UTC) + timedelta(seconds=1)
    index.put_note(f"reached:{CATALOG_ITEMS}:0", {"offset": 4, "time_ms": 253_402_300_800_000})
    [as_of] = ProgressReader(index, two).read()
    assert as_of.time.year == 9999


@pytest.mark.parametrize(("offset", "passed"), [(7, True), (8, True), (9, False)])
def test_a_record_is_passed_when_the_index_is_behind_it_no_more(offset: int, passed: bool) -> None:
    as_of = (Watermark(source="catalog", time=datetime.now(UTC), offsets={"1": 9}),)
    assert covers(as_of, (RecordPosition(source="catalog", partition=1, offset=offset),)) == passed


def test_a_search_that_is_early_waits_in_memory_while_it_has_time(
    job: RequestHandler, outbox: "Outbox", index: Index
) -> None:
    event = Event(search(deadline_ms=5_000), extra=EXTRA, time=datetime.fromtimestamp(time.time() - 1, UTC))
    other = Event(SearchRequest(request_id="other", item_id="b"))
    assert job.deferred_ids([event, other]) == job.deferred_ids([event]) == {event.id}
    assert outbox.sent == []
    note_progress(index, [record(1, 7)])
    assert job.deferred_ids([event]) == set()


def test_a_search_from_the_future_waits_no_longer_than_it_allows(
    job: RequestHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("consumers.searching.handler.time", SimpleNamespace(monotonic=lambda: now[0]))
    event = Event(search(deadline_ms=5_000), time=datetime(9999, 1, 1, tzinfo=UTC))
    waited = []
    for now[0] in (100, 104, 104.9, 105, 110):
        waited.append(job.deferred_ids([event]) == {event.id})
    assert waited == [True, True, False, False, False]


def test_no_more_searches_wait_than_there_is_room_for(job: RequestHandler) -> None:
    events = [Event(search(deadline_ms=5_000)) for _ in range(MAX_WAITING_SEARCHES + 20)]
    assert len(job.deferred_ids(events)) == MAX_WAITING_SEARCHES


def test_once_the_index_has_reached_the_position_the_search_is_answered_with_it(
    job: RequestHandler, outbox: "Outbox", index: Index
) -> None:
    note_progress(index, [record(1, 7)])
    assert job.handle([Event(search())]) == {}
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, SearchResult)
    assert result.status == "rejected"  # for the item is not there
    assert job.handle([Event(search(like=("a",), item_id=None))]) == {}


@pytest.mark.parametrize(("ago", "status"), [(0.95, "unavailable"), (2, "expired")])
def test_at_its_deadline_the_answer_says_that_the_index_is_behind(
    job: RequestHandler, outbox: "Outbox", ago: float, status: str
) -> None:
    job.handle([Event(search(deadline_ms=1_000), time=datetime.fromtimestamp(time.time() - ago, UTC))])
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, SearchResult)
    assert result.status == status
    assert outbox.bodies(SEARCH_REQUESTS) == []
