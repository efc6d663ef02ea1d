"""Both search clients over a reply router whose broker is a queue in memory."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue

import pytest

from infra.client import reply_router
from infra.client.async_search_client import AsyncSearchClient
from infra.client.reply_router import Answer, NoAnswer, SearchOrFacets
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import Record
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event, to_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS

Respond = Callable[[SearchOrFacets], list[Answer]]
PARTITION = 3


def search(name: str, deadline_ms: int = 10_000) -> SearchRequest:
    return SearchRequest(request_id=name, item_id="7", deadline_ms=deadline_ms)


def found(name: str) -> SearchResult:
    return SearchResult(request_id=name, status="no_match")


def answer_to(request: SearchOrFacets) -> list[Answer]:
    """The answer to a request between two to other requests, and once more."""
    name = request.request_id
    own: Answer = found(name) if isinstance(request, SearchRequest) else FacetsResult(request_id=name, status="ok")
    return [found("other"), own, own, found("another")]


class Broker:
    """Answers each flushed request with what `respond` returns; is the sink and the reader of a router."""

    partition = PARTITION

    def __init__(self) -> None:
        self.respond: Respond = answer_to
        self.tracing = None
        self.closed = 0
        self._queued: list[SearchOrFacets] = []
        self._records: SimpleQueue[Record] = SimpleQueue()

    def send(self, topic: str, key: str, event: Event) -> None:
        assert isinstance(event.body, SearchOrFacets)
        assert (topic, key) == (SEARCH_REQUESTS, event.body.request_id)
        assert event.extra == {CORRELATION_ID: key, REPLY_TO: SEARCH_RESULTS, REPLY_PARTITION: str(PARTITION)}
        self._queued.append(event.body)

    def flush(self) -> None:
        queued, self._queued = self._queued, []
        for answer in (answer for request in queued for answer in self.respond(request)):
            name = answer.request_id.encode()
            self._records.put(Record(SEARCH_RESULTS, PARTITION, 0, name, to_bytes(answer), {CORRELATION_ID: name}))

    def poll(self, seconds: float) -> Record | None:
        try:
            return self._records.get(timeout=min(seconds, 0.01))
        except Empty:
            return None

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    broker = Broker()
    monkeypatch.setattr(reply_router, "ReplyReader", lambda _kafka, _topic: broker)
    monkeypatch.setattr(reply_router, "EventSink", lambda _kafka, _delivery, tracing: broker)
    yield broker
    assert broker.closed == 2, "the reader and the sink are closed"


def test_answers_reach_their_requests_in_any_order(broker: Broker) -> None:
    with SearchClient(KafkaSettings()) as client:
        assert [each.request_id for each in client.search_all(map(search, "abcde"), in_flight=3)] == [*"abcde"]
        client.send([search("f"), search("g"), FacetsRequest(request_id="h")])
        assert [client.wait(name).request_id for name in "gf"] == ["g", "f"]
        assert client.count(FacetsRequest(request_id="i")).request_id == "i"


def test_many_tasks_get_their_own_answers(broker: Broker) -> None:
    async def ask(client: AsyncSearchClient) -> list[Answer]:
        requests = [client.search(search(name)) for name in "abcde"]
        return [*await asyncio.gather(*requests), await client.count(FacetsRequest(request_id="f"))]

    with closing(AsyncSearchClient(KafkaSettings())) as client:
        assert [each.request_id for each in asyncio.run(ask(client))] == [*"abcdef"]
        assert (client.in_flight, client.failure) == (0, None)


def test_a_request_without_an_answer_fails_after_its_deadline_and_the_grace(broker: Broker) -> None:
    broker.respond = lambda _request: [found("other")]
    started_at = time.monotonic()
    with SearchClient(KafkaSettings(), grace_s=0.05) as client:
        with pytest.raises(NoAnswer, match=r"search a by its deadline and 0\.05 s of grace"):
            client.search(search("a", deadline_ms=50))
        assert time.monotonic() - started_at >= 0.099
        broker.respond = answer_to
        assert client.search(search("a")).request_id == "a", "the same id may be sent again"


def test_a_task_without_an_answer_fails_after_its_deadline_and_the_grace(broker: Broker) -> None:
    broker.respond = lambda _request: []
    started_at = time.monotonic()
    with closing(AsyncSearchClient(KafkaSettings(), grace_s=0.05)) as client:
        with pytest.raises(NoAnswer, match=r"search a by its deadline and 0\.05 s of grace"):
            asyncio.run(client.search(search("a", deadline_ms=50)))
        assert client.in_flight == 0
    assert time.monotonic() - started_at >= 0.099


def test_an_answer_of_another_kind_is_none(broker: Broker) -> None:
    broker.respond = lambda request: [FacetsResult(request_id=request.request_id, status="ok")]
    with SearchClient(KafkaSettings()) as client, pytest.raises(NoAnswer, match="an id of its own"):
        client.search(search("a"))
