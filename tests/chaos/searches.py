"""Searches: the worker dies at every step of its transactions, or wakes up too late; each has one answer."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.health import READY, read_state
from infra.kafka import EventSink, TopicReader
from infra.settings import Kafka
from schemas.envelope import CORRELATION_ID, Event, from_bytes
from schemas.items import InlineImage
from schemas.searches import SearchRequest, SearchResult
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS
from tests.chaos.doomed_steps import STEPS
from tests.chaos.feed import draw, write_feed
from tests.chaos.parts import LOOKSTREAM, Process, World, open_world, wait_for
from tests.chaos.scenario import Report, Scenario, Size

ITEMS, PICTURED = 40, 5
"""Items that are searched, and every how manieth search is by a picture; the others are by an item."""
STALE_MS, FRESH_MS, FROZEN_SECONDS = 2_000, 60_000, 15.0


def run(folder: Path, size: Size) -> Report:
    """Thirty workers die, each at a step of its own; the last one finishes."""
    return _run(folder, size)


def control(folder: Path, size: Size) -> Report:
    """The same with answers first and offsets afterwards."""
    return _run(folder, size, LOOKSTREAM_WORKER_SEARCH_DELIVERY="at_least_once")


def _run(folder: Path, size: Size, **settings: str) -> Report:
    report, chance = Report(), random.Random(size.seed)
    lives, asked = size.of(30, least=len(STEPS)), size.of(5_000)
    requests = [_request(n, FRESH_MS) for n in range(asked)]
    with report.timed(), searchable(folder, **settings) as world:
        for life in range(lives):
            ask_all(world.kafka, requests[life::lives])
            words = (STEPS[life % len(STEPS)], str(chance.randrange(6)))
            worker = start_query(world, "tests.chaos.doomed", *words, ready=False)
            worker.wait(60)
        worker = start_query(world)
        answers = _answers(world, asked)
        report.expect("exit code of the last worker", worker.end(), 0)
    _judge(report, answers, asked)
    report.figures |= {"requests": asked, "kills": lives}
    return report


def run_deadlines(folder: Path, size: Size) -> Report:
    """Half of the requests are past their deadlines when a frozen worker comes back to them."""
    return _run_deadlines(folder, size, LOOKSTREAM)


def control_deadlines(folder: Path, size: Size) -> Report:
    """The same with a worker that does not look at deadlines."""
    return _run_deadlines(folder, size, "tests.chaos.timeless")


def _run_deadlines(folder: Path, size: Size, program: str) -> Report:
    report, asked = Report(), size.of(2_000, least=40)
    requests = [_request(n, STALE_MS if n % 2 else FRESH_MS, PICTURED) for n in range(asked)]
    with report.timed(), searchable(folder) as world:
        worker = start_query(world, program)
        worker.freeze()
        ask_all(world.kafka, requests)
        time.sleep(max(FROZEN_SECONDS * size.share, STALE_MS / 1000 + 1))
        worker.thaw()
        answers = _answers(world, asked)
        worker.end()
    _judge(report, answers, asked)
    stale = Counter(result.status for result in answers if int(result.request_id[1:]) % 2)
    fresh = Counter(result.status for result in answers if not int(result.request_id[1:]) % 2)
    report.expect("stale ones that were looked at", asked // 2 - stale["expired"], 0)
    report.expect("fresh ones that were not answered", (asked + 1) // 2 - fresh["ok"] - fresh["no_match"], 0)
    return report


def _judge(report: Report, answers: Sequence[SearchResult], asked: int) -> None:
    counts = Counter(result.request_id for result in answers)
    report.expect("requests without an answer", asked - len(counts), 0)
    report.expect("second answers", sum(counts.values()) - len(counts), 0)
    report.figures["answers"] = ", ".join(
        f"{n} {status}" for status, n in Counter(r.status for r in answers).items()
    )


@contextmanager
def searchable(folder: Path, **settings: str) -> Iterator[World]:
    """A world whose index holds some items."""
    feed = write_feed(ITEMS, ITEMS, seed=1)
    with open_world(folder, LOOKSTREAM_WORKER_SLOT="q", **settings) as world:
        sink = EventSink(world.kafka)
        for record in feed.records:
            sink.send_record(record)
        sink.flush()
        world.start_worker(LOOKSTREAM_WORKER_SLOT="i").drain()
        yield world


def start_query(world: World, program: str = LOOKSTREAM, *words: str, ready: bool = True) -> Process:
    """A query worker, which has its partitions unless it dies before; `words` come before those of lookstream."""
    heartbeat = world.data / "run" / "query.alive"
    heartbeat.unlink(missing_ok=True)
    worker = world.start("query", program, *words, "worker", "query", "--heartbeat", str(heartbeat))

    def has_work() -> bool:
        told = read_state(heartbeat)
        return told is not None and told.state == READY

    if ready:
        wait_for(has_work, "the query worker", worker)
    return worker


def _request(number: int, deadline_ms: int, pictured: int = PICTURED) -> SearchRequest:
    name = f"q{number}"
    if number % pictured == 0:
        return picture_request(name, number, deadline_ms)
    return SearchRequest(request_id=name, item_id=f"item-{number % ITEMS}", deadline_ms=deadline_ms, top_k=3)


def picture_request(name: str, number: int, deadline_ms: int) -> SearchRequest:
    """A search by a picture."""
    image = InlineImage(data=draw(number % 48))
    return SearchRequest(request_id=name, image=image, deadline_ms=deadline_ms, strict=False, top_k=3)


def ask_all(kafka: Kafka, requests: Sequence[SearchRequest]) -> None:
    """Send requests, and wait until the broker has them."""
    sink = EventSink(kafka)
    for request in requests:
        sink.send(SEARCH_REQUESTS, request.request_id, Event(request, extra={CORRELATION_ID: request.request_id}))
    sink.flush()


def _answers(world: World, wanted: int, seconds: float = 120) -> list[SearchResult]:
    """The results that readers see, once each request has one and nothing more has come for a while."""
    reader = TopicReader(world.kafka, SEARCH_RESULTS)
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
        elif len({result.request_id for result in found}) >= wanted and time.monotonic() - last > 2:
            break
    reader.close()
    return found


SCENARIOS = (
    Scenario(
        name="query worker killed",
        promise="5,000 searches over 30 kill -9 at every step of a transaction: each has exactly one answer",
        run=run,
        control=control,
        short=0.04,
    ),
    Scenario(
        name="deadlines",
        promise="2,000 searches, half of them stale after 15 s: no stale one is looked at, each is answered once",
        run=run_deadlines,
        control=control_deadlines,
    ),
)
