"""Searches in chaos tests: an index with some items, query workers, requests and their answers."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from infra.observability.heartbeat import READY, read_state
from schemas.envelope import CORRELATION_ID, Event, from_bytes, to_bytes, to_headers
from schemas.items import InlineImage
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS, Topic
from tests.chaos.brokers import Broker
from tests.chaos.feed import ANY_PARTITION, Feed, draw, write_feed
from tests.chaos.processes import Process, wait_for
from tests.chaos.scenario import Report
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed
from tests.outgoing_record import to_outgoing

RESTART_SECONDS = 1.0
ITEMS, PICTURED = 40, 5
"""The number of items in the index. Every PICTURED-th search is by a picture, the others are by an item."""


@contextmanager
def searchable(
    folder: Path, topics: Sequence[Topic] | None = None, broker: Broker | None = None, /, **settings: str
) -> Iterator[Testbed]:
    """A testbed whose index holds some items; topics and broker as in `open_testbed`."""
    with open_testbed(folder, topics, broker, LOOKSTREAM_WORKER_SLOT="q", **settings) as testbed:
        sink = EventSink(testbed.kafka)
        for record in searchable_items().records:
            sink.send_record(to_outgoing(record))
        sink.flush()
        testbed.start_worker(LOOKSTREAM_WORKER_SLOT="i").drain()
        yield testbed


def searchable_items() -> Feed:
    """The items that the index of a searchable testbed holds at first."""
    return write_feed(ITEMS, ITEMS, seed=1)


def start_query(
    testbed: Testbed,
    program: str = LOOKSTREAM,
    *words: str,
    ready: bool = True,
    name: str = "query",
    **settings: str,
) -> Process:
    """Start a query worker and, if `ready`, wait for its partitions; `words` precede lookstream's arguments."""
    heartbeat = testbed.data / "run" / f"{name}.alive"
    heartbeat.unlink(missing_ok=True)
    worker = testbed.start(name, program, *words, "worker", "query", "--heartbeat", str(heartbeat), **settings)

    def has_work() -> bool:
        worker_state = read_state(heartbeat)
        return worker_state is not None and worker_state.state == READY

    if ready:
        wait_for(has_work, f"the {name} worker", worker)
    return worker


class SupervisedWorker:
    """A query worker that is restarted whenever it ends, as `lookstream up` does.

    A worker ends by itself when the outcome of a transaction stays unknown: only a new producer can find it out.
    """

    def __init__(self, testbed: Testbed, slot: str) -> None:
        self._world, self._slot = testbed, slot
        self._worker = start_query(testbed, LOOKSTREAM_WORKER_SLOT=slot)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.restarts = 0
        self._thread.start()

    def end(self) -> int:
        """Ask it to stop; its exit code."""
        self._over.set()
        self._thread.join()
        return self._worker.end()

    def _watch(self) -> None:
        while not self._over.wait(RESTART_SECONDS):
            if self._worker.code is not None:
                self.restarts += 1
                self._worker = start_query(self._world, ready=False, LOOKSTREAM_WORKER_SLOT=self._slot)


def write_request(number: int, deadline_ms: int, pictured: int = PICTURED) -> SearchRequest:
    """A search by an item, or by a picture."""
    name = f"q{number}"
    if number % pictured == 0:
        return picture_request(name, number, deadline_ms)
    return SearchRequest(request_id=name, item_id=f"item-{number % ITEMS}", deadline_ms=deadline_ms, top_k=3)


def picture_request(name: str, number: int, deadline_ms: int) -> SearchRequest:
    """A search by a picture."""
    image = InlineImage(data=draw(number % 48))
    return SearchRequest(request_id=name, image=image, deadline_ms=deadline_ms, strict=False, top_k=3)


def ask_all(kafka: KafkaSettings, requests: Sequence[SearchRequest]) -> None:
    """Send requests, and wait until the broker has them."""
    sink = EventSink(kafka)
    for request in requests:
        sink.send(SEARCH_REQUESTS, request.request_id, Event(request, extra={CORRELATION_ID: request.request_id}))
    sink.flush()


def as_record(request: SearchRequest) -> Record:
    """A request as a record that can be sent."""
    headers = to_headers(Event(request, extra={CORRELATION_ID: request.request_id}))
    raw = {name: value.encode() for name, value in headers.items()}
    return Record(SEARCH_REQUESTS, ANY_PARTITION, 0, request.request_id.encode(), to_bytes(request), raw)


def read_answers(testbed: Testbed, count: int, seconds: float = 120) -> list[SearchResult]:
    """Read committed results until there are results of `count` requests and none has come for 2 s."""
    reader = TopicReader(testbed.kafka, SEARCH_RESULTS)
    reader.rewind()
    found: list[SearchResult] = []
    until, last = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < until:
        record = reader.poll(0.2)
        if record is not None and record.value is not None:
            body = from_bytes(record.value)
            assert isinstance(body, SearchResult)
            found.append(body)
            last = time.monotonic()
        elif len({result.request_id for result in found}) >= count and time.monotonic() - last > 2:
            break
    reader.close()
    return found


def judge_answers(report: Report, answers: Sequence[SearchResult], sent: int, forgiven: int = 0) -> None:
    """Note whether each request has exactly one answer; `forgiven` second ones are the local broker's (soak.py)."""
    counts = Counter(result.request_id for result in answers)
    report.expect("requests without an answer", sent - len(counts), 0)
    report.expect_at_most("second answers", sum(counts.values()) - len(counts), forgiven)
    report.figures["answers"] = ", ".join(
        f"{n} {status}" for status, n in Counter(r.status for r in answers).items()
    )
