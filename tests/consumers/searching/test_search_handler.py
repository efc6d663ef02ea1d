"""SearchHandler on a real index: each request gets exactly one result, whatever happens."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.stage_timer import LatencyEstimate
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from infra.fetching.fetcher import ImageFetcher
from infra.kafka import Record
from infra.qdrant.contract import Index
from infra.qdrant.embedded.client import EmbeddedIndex
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event
from schemas.failures import Code, Rejected, Unavailable
from schemas.filters import Filters
from schemas.items import InlineImage, ItemUpserted, UrlImage
from schemas.results import SearchResult
from schemas.searches import Crop, SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS
from tests.component_detector import ComponentDetector

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox
from tests.disc_scenes import draw_discs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def everywhere(topic: str, partition: int | None) -> bool:
    """Every results topic exists, with two partitions."""
    return topic != "search.results.nowhere" and (partition or 0) < 2


COLOURS = ("red", "green", "blue", "yellow", "black")


@pytest.fixture
def job(
    pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox", discs: Path
) -> SearchHandler:
    """Searches over five discs, each an item named by its colour."""
    items = [
        ItemUpserted(
            item_id=name,
            revision=1,
            category="disc",
            images=(InlineImage(data=(discs / f"{name}.png").read_bytes()),),
        )
        for name in COLOURS
    ]
    ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox)).handle(
        [Event(item) for item in items]
    )
    outbox.sent.clear()
    return SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1", everywhere))


def ask(job: SearchHandler, outbox: "Outbox", *requests: SearchRequest, ago: float = 0) -> list[SearchResult]:
    time = datetime.now(UTC) - timedelta(seconds=ago)
    assert job.handle([Event(request, time=time) for request in requests]) == {}
    results = [body for body in outbox.bodies(SEARCH_RESULTS) if isinstance(body, SearchResult)]
    assert sorted(r.request_id for r in results) == sorted(r.request_id for r in requests), "one result each"
    return results


def request(discs: Path, name: str, **more: object) -> SearchRequest:
    image = InlineImage(data=(discs / f"{name}.png").read_bytes())
    return SearchRequest.model_validate({"request_id": f"q-{name}", "image": image} | more)


def test_the_item_itself_comes_first_with_a_full_score(job: SearchHandler, outbox: "Outbox", discs: Path) -> None:
    for result, name in zip(ask(job, outbox, *(request(discs, n) for n in COLOURS)), COLOURS, strict=True):
        assert result.status == "ok"
        assert result.hits[0].item_id == name
        assert result.hits[0].score == pytest.approx(1, abs=1e-5)
        assert result.encoder == "fake:1"
        assert [h.score for h in result.hits] == sorted((h.score for h in result.hits), reverse=True)


def test_a_search_by_item_leaves_the_item_out(job: SearchHandler, outbox: "Outbox") -> None:
    [result] = ask(job, outbox, SearchRequest(request_id="q", item_id="red", top_k=2))
    assert len(result.hits) == 2
    assert "red" not in {h.item_id for h in result.hits}


def test_filters_that_nothing_satisfies_give_no_match(job: SearchHandler, outbox: "Outbox", discs: Path) -> None:
    [result] = ask(job, outbox, request(discs, "red", filters=Filters(category=("shoe",))))
    assert (result.status, result.hits) == ("no_match", ())


def test_a_floor_under_the_score_leaves_the_rest_out(job: SearchHandler, outbox: "Outbox", discs: Path) -> None:
    [result] = ask(job, outbox, request(discs, "red", min_score=0.999))
    assert [h.item_id for h in result.hits] == ["red"]


def test_bad_requests_are_rejected_and_good_ones_of_the_same_batch_answered(
    job: SearchHandler, outbox: "Outbox", discs: Path
) -> None:
    broken = SearchRequest(request_id="broken", image=InlineImage(data=b"no picture"))
    tiny = request(discs, "blue", crop=Crop(x=0, y=0, w=0.01, h=0.01))
    nobody = SearchRequest(request_id="nobody", item_id="nobody")
    results = {r.request_id: r for r in ask(job, outbox, broken, request(discs, "red"), tiny, nobody)}
    assert results["q-red"].status == "ok"
    codes = {name: result.code for name, result in results.items() if result.status == "rejected"}
    assert codes == {"broken": Code.IMAGE_FORMAT, "q-blue": Code.CROP_IMPOSSIBLE, "nobody": Code.ITEM_UNKNOWN}
    assert all(result.message for name, result in results.items() if name in codes)


def test_a_search_whose_picture_is_unavailable_now_may_be_sent_again_later(
    job: SearchHandler, outbox: "Outbox", discs: Path
) -> None:
    away = SearchRequest(request_id="away", image=UrlImage(url="https://nobody.invalid/a.png"))
    results = {r.request_id: r.status for r in ask(job, outbox, away, request(discs, "red"))}
    assert results == {"away": "unavailable", "q-red": "ok"}


def test_a_request_past_its_deadline_is_answered_expired(job: SearchHandler, outbox: "Outbox", discs: Path) -> None:
    [result] = ask(job, outbox, request(discs, "red", deadline_ms=1000), ago=2)
    assert result.status == "expired"


def test_an_answer_that_is_ready_after_its_deadline_is_expired(
    job: SearchHandler, index: Index, outbox: "Outbox", monkeypatch: pytest.MonkeyPatch
) -> None:
    search = index.search

    def slow(*plans: Any) -> Any:
        time.sleep(0.3)
        return search(*plans)

    monkeypatch.setattr(index, "search", slow)
    for ms in (200, 60_000):
        job.handle([Event(SearchRequest(request_id=f"{ms}", item_id="red", strict=False, deadline_ms=ms))])
    results = [body for body in outbox.bodies(SEARCH_RESULTS) if isinstance(body, SearchResult)]
    assert {r.request_id: r.status for r in results} == {"200": "expired", "60000": "ok"}


@pytest.mark.parametrize(("deadline_ms", "done"), [(5_000, 16), (60_000, 40)])
def test_of_too_many_requests_those_that_fit_are_answered_and_the_others_refused_at_once(
    job: SearchHandler, outbox: "Outbox", monkeypatch: pytest.MonkeyPatch, deadline_ms: int, done: int
) -> None:
    """A worker that is behind is given many at once: it must not work through them all."""
    monkeypatch.setattr(job, "_pace", LatencyEstimate(mean=0.5))  # seconds for 16 of them
    requests = [
        SearchRequest(request_id=f"q{n}", item_id="red", strict=False, deadline_ms=deadline_ms) for n in range(40)
    ]
    now = datetime.now(UTC)
    events = [Event(body, time=now - timedelta(milliseconds=n)) for n, body in enumerate(requests)]
    hopeless = job.find_expired(events)
    job.handle_expired([event for event in events if event.id in hopeless])
    refused = len(outbox.bodies(SEARCH_RESULTS))
    assert refused == 40 - done
    job.handle([event for event in events if event.id not in hopeless])
    results = [body for body in outbox.bodies(SEARCH_RESULTS) if isinstance(body, SearchResult)]
    assert {r.request_id for r in results if r.status == "ok"} == {f"q{n}" for n in range(done)}
    assert {r.request_id for r in results if r.status == "unavailable"} == {f"q{n}" for n in range(done, 40)}
    assert job.is_behind() == (done < 40)
    assert not job.find_expired([Event(requests[0])])
    assert not job.is_behind()


def test_after_one_very_slow_batch_requests_with_half_their_time_left_are_tried_all_the_same(
    job: SearchHandler, outbox: "Outbox", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_pace", LatencyEstimate(mean=30, deviation=30))
    body = SearchRequest(request_id="q", item_id="red", strict=False, deadline_ms=1_000)
    assert [r.status for r in ask(job, outbox, body, ago=0.8)] == ["expired"]
    outbox.sent.clear()
    assert [r.status for r in ask(job, outbox, body, ago=0.1)] == ["ok"]


@pytest.fixture
def away(pipeline: ImagePipeline, embedder: ImageEmbedder, outbox: "Outbox") -> SearchHandler:
    """Searches over an embedded index that is not there."""
    nobody = EmbeddedIndex(Path("nobody listens here"))
    confidence = Calibrator(
        nobody, embedder.embed, LookParts(embedder.encoder.object_size, embedder.encoder.style_size)
    )
    return SearchHandler(pipeline, nobody, confidence, ReplyPublisher(outbox, "fake:1", everywhere))


def test_while_the_index_is_away_requests_with_time_left_are_held(
    away: SearchHandler, outbox: "Outbox", discs: Path
) -> None:
    with pytest.raises(Unavailable):
        away.handle([Event(request(discs, "red", deadline_ms=60_000))])
    assert outbox.sent == []


def test_while_the_index_is_unavailable_requests_near_their_deadline_are_answered(
    away: SearchHandler, outbox: "Outbox", discs: Path
) -> None:
    [result] = ask(away, outbox, request(discs, "red", deadline_ms=500))
    assert result.status == "unavailable"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("search.results.mine", "search.results.mine"),
        ("catalog.items", SEARCH_RESULTS),
        ("search.results.Bad_Name", SEARCH_RESULTS),
        ("search.results.nowhere", SEARCH_RESULTS),
    ],
)
def test_a_result_goes_where_it_was_asked_for_unless_that_is_not_allowed(
    job: SearchHandler, outbox: "Outbox", sent: str, answered: str
) -> None:
    body = SearchRequest(request_id="q", item_id="red")
    job.handle([Event(body, extra={REPLY_TO: sent, REPLY_PARTITION: "1"})])
    [(topic, key, event, partition)] = outbox.sent
    assert (topic, key, partition, event.extra[CORRELATION_ID]) == (answered, "q", 1, "q")


def test_a_result_for_a_partition_that_does_not_exist_goes_to_any(job: SearchHandler, outbox: "Outbox") -> None:
    job.handle([Event(SearchRequest(request_id="q", item_id="red"), extra={REPLY_PARTITION: "4000"})])
    [(topic, _, _, partition)] = outbox.sent
    assert (topic, partition) == (SEARCH_RESULTS, None)


@pytest.mark.parametrize(("sent", "named"), [(b"mine", "mine"), (b"\xff bad id", "unknown"), (None, "unknown")])
def test_even_an_unreadable_request_is_answered(outbox: "Outbox", sent: bytes | None, named: str) -> None:
    headers = {} if sent is None else {CORRELATION_ID: sent}
    record = Record(SEARCH_REQUESTS, 0, 1, b"k", b"{", headers)
    ReplyPublisher(outbox, "fake:1", everywhere).publish_rejection(
        record, None, Rejected(Code.EVENT_UNREADABLE, "not JSON")
    )
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, SearchResult)
    assert (result.request_id, result.status, result.code) == (named, "rejected", Code.EVENT_UNREADABLE)


@pytest.fixture
def street(discs: Path) -> InlineImage:
    """A picture with a red disc and a smaller blue one on a plain ground."""
    out = BytesIO()
    draw_discs(discs, (600, 400), (("red", 200, (30, 100)), ("blue", 150, (400, 50)))).save(out, "PNG")
    return InlineImage(data=out.getvalue())


@pytest.fixture
def scenes(
    job: SearchHandler,
    index: Index,
    embedder: ImageEmbedder,
    confidence: Calibrator,
    images: ImageFetcher,
    outbox: "Outbox",
) -> SearchHandler:
    """Searches over the same discs, with a detector."""
    pipeline = ImagePipeline(images.fetch_waves, replace(embedder, open_detector=ComponentDetector).embed, "fake:1")
    return SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1", everywhere))


def test_each_thing_in_a_picture_has_hits_of_its_own(
    scenes: SearchHandler, outbox: "Outbox", street: InlineImage
) -> None:
    body = SearchRequest(request_id="q", image=street, objects="auto", strict=False, top_k=2)
    [result] = ask(scenes, outbox, body)
    assert len(result.hits) == 2
    assert [region.hits[0].item_id for region in result.regions] == ["red", "blue"]
    assert [len(region.hits) for region in result.regions] == [2, 2]
    assert all(region.more for region in result.regions)
    assert [region.palette[0].name for region in result.regions] == ["red", "blue"]


def test_a_search_without_things_answers_as_before_and_so_does_one_for_a_single_thing(
    scenes: SearchHandler, outbox: "Outbox", street: InlineImage, discs: Path
) -> None:
    bodies = [
        SearchRequest(request_id=f"q-{objects}", image=street, objects=objects, strict=False)
        for objects in ("none", "auto", "all")
    ]
    results = {r.request_id: r for r in ask(scenes, outbox, *bodies, request(discs, "red", objects="auto"))}
    assert [len(r.regions) for r in results.values()] == [0, 2, 2, 0]
    assert results["q-none"].hits == results["q-auto"].hits == results["q-all"].hits
    assert results["q-red"].hits[0].item_id == "red"


def test_a_filter_applies_to_each_thing(scenes: SearchHandler, outbox: "Outbox", street: InlineImage) -> None:
    filters = Filters(exclude_items=("red",))
    [result] = ask(scenes, outbox, SearchRequest(request_id="q", image=street, objects="all", filters=filters))
    assert "red" not in {hit.item_id for region in result.regions for hit in region.hits}
