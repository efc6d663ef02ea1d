"""Ten times more searches than the worker's capacity: each is answered, in time or as too late."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, TopicReader
from schemas.envelope import CORRELATION_ID, Event, from_bytes
from schemas.items import InlineImage
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS
from tests.chaos.processes import Process
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import ask_all, searchable, start_query
from tests.chaos.testbed import LOOKSTREAM, Testbed

TIMES, SECONDS, DEADLINE_MS = 10, 60.0, 1_000
MOST_GROWTH_MB = 100
TRIAL = 200
"""Searches by which the capacity is measured."""
SIDE, PICTURES = 1_000, 8
"""Pixels of each picture, as many as web shops show: of tiny ones the local broker would be the limit."""
QUIET_SECONDS = 30.0
"""No answer for so long: then none is coming. A request that a broker leaves lying is asked again after 10 s."""
SETTLED_SECONDS = 10.0
"""Memory is measured from here on: the first searches fill caches and queues."""


def run(folder: Path, size: Size) -> Report:
    """Measure what the worker can do, then ask ten times that, with a deadline of a second."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same with a worker for which nothing is ever too late."""
    return _run(folder, size, "tests.chaos.no_deadlines")


def _run(folder: Path, size: Size, program: str) -> Report:
    report = Report()
    with report.timed(), searchable(folder) as testbed:
        worker = start_query(testbed, program)
        capacity = _capacity(testbed)
        sent, memory = _flood(testbed.kafka, capacity * TIMES, SECONDS * size.share, worker)
        answers = _collect(testbed.kafka, sent)
        worker.end()
    statuses = Counter(result.status for result, _ in answers.values())
    ages = [age for result, age in answers.values() if result.status in ("ok", "no_match")]
    report.expect("requests without an answer", len(sent) - len(answers), 0)
    report.expect("answers of another kind", sum(statuses[kind] for kind in ("rejected",)), 0)
    report.expect_at_least("searches that were done, of what it can do", _share(ages, capacity, size), 0.3)
    report.expect_at_most("p99 of their age, ms", round(float(np.percentile(ages or [0], 99))), DEADLINE_MS)
    report.expect_at_most("growth of memory, MB", memory, MOST_GROWTH_MB)
    report.figures |= {"capacity, searches/s": round(capacity), "requests": len(sent)}
    report.figures["p50 of their age, ms"] = round(float(np.percentile(ages or [0], 50)))
    report.figures["answers"] = ", ".join(f"{count} {status}" for status, count in statuses.items())
    return report


def large_pictures() -> list[bytes]:
    """Discs on white, as PNG of a few kB."""
    pictures = []
    for number in range(PICTURES):
        image = Image.new("RGB", (SIDE, SIDE), "white")
        ImageDraw.Draw(image).ellipse(
            (SIDE / 6, SIDE / 6, SIDE * 5 / 6, SIDE * 5 / 6), (30 * number, 200 - 20 * number, 90)
        )
        out = BytesIO()
        image.save(out, "PNG", compress_level=9)
        pictures.append(out.getvalue())
    return pictures


def large_request(name: str, picture: bytes, deadline_ms: int) -> SearchRequest:
    """A search by a large picture."""
    image = InlineImage(data=picture)
    return SearchRequest(request_id=name, image=image, deadline_ms=deadline_ms, strict=False, top_k=3)


def _share(ages: Sequence[float], capacity: float, size: Size) -> float:
    return round(len(ages) / (capacity * SECONDS * size.share), 2)


def _capacity(testbed: Testbed) -> float:
    """Searches a second when there are always some waiting."""
    pictures = large_pictures()
    requests = [large_request(f"trial{n}", pictures[n % PICTURES], 60_000) for n in range(TRIAL)]
    with closing(TopicReader(testbed.kafka, SEARCH_RESULTS)) as reader:
        ask_all(testbed.kafka, requests)
        started, received = time.monotonic(), 0
        while received < TRIAL:
            received += reader.poll(1.0) is not None
    return TRIAL / (time.monotonic() - started)


def _flood(kafka: KafkaSettings, rate: float, seconds: float, worker: Process) -> tuple[dict[str, float], float]:
    """Ask at a steady rate; when each request left, and by how many MB the worker grew."""
    sent: dict[str, float] = {}
    pictures = large_pictures()
    started, first = time.monotonic(), 0.0
    with closing(EventSink(kafka)) as sink:
        while (passed := time.monotonic() - started) < seconds:
            while len(sent) < rate * passed:
                name = f"q{len(sent)}"
                request = large_request(name, pictures[len(sent) % PICTURES], DEADLINE_MS)
                sink.send(SEARCH_REQUESTS, name, Event(request, extra={CORRELATION_ID: name}))
                sent[name] = time.time()
            if not first and passed > min(SETTLED_SECONDS, seconds / 3):
                first = worker.resident_mb()
            time.sleep(0.005)
        sink.flush()
    return sent, round(worker.resident_mb() - first, 1)


def _collect(kafka: KafkaSettings, sent: dict[str, float]) -> dict[str, tuple[SearchResult, float]]:
    """The answer to each request, and how old the request was by then, in ms."""
    found: dict[str, tuple[SearchResult, float]] = {}
    with closing(TopicReader(kafka, SEARCH_RESULTS)) as reader:
        reader.rewind()
        last = time.monotonic()
        while len(found) < len(sent) and time.monotonic() - last < QUIET_SECONDS:
            record = reader.poll(0.2)
            if record is None or record.value is None:
                continue
            last = time.monotonic()
            body = from_bytes(record.value)
            if isinstance(body, SearchResult) and body.request_id in sent:
                found[body.request_id] = body, record.timestamp_ms - sent[body.request_id] * 1000
    return found


SCENARIO = Scenario(
    name="overload",
    promise="ten times the searches that a worker can do, for 60 s: each is answered, those that are done within "
    "their second, and memory grows by at most 100 MB",
    run=run,
    control=control,
)
