"""Hostile callers of the gateway: valid requests at the same time are answered in time, and its memory stays small.

The callers run in a process of their own, so that they do not share its interpreter with the tests.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.config.kafka import KafkaSettings
from infra.kafka import LOW_LATENCY_DELIVERY, EventSink, Record
from infra.local.ports import LOOPBACK, find_free_port, is_listening
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Body, Event, from_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, all_topics
from tests.chaos.background import in_background
from tests.chaos.brokers import run_broker
from tests.chaos.processes import Process, wait_for
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import searchable, start_query
from tests.chaos.testbed import LOOKSTREAM, Testbed
from tests.hostile.requests import hostile_bodies
from tests.producers.conftest import png
from tests.worker_thread import run_worker

LINES, BODIES, GENERATED = 1_000, 100, 10_000
"""Idle connections, and as many that drip; clients with bodies of 10 MB; generated requests."""
SECONDS = 20.0
"""How long an attack goes on."""
MOST_MB, MOST_DELAY = 400.0, 0.2
LARGEST = 200_000
"""Bytes of the largest generated body: how large one may be is another attack."""
NO_LIMIT = {"LOOKSTREAM_GATEWAY_PER_MINUTE": "1000000"}
UNBOUNDED = "tests.chaos.unbounded_gateway"
PHOTO = png() + random.Random(1).randbytes(200_000)
"""A picture as the page sends it; what stands behind the last chunk of a PNG is passed over."""


@dataclass
class Healthy:
    """A client that sends valid requests one after the other."""

    address: str
    item: str = "a"
    """The item of its searches."""
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """How long each kind of request took."""
    statuses: Counter[int] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Send requests until `stop` is set."""
        asks: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
            ("health", "GET", "/healthz", {}),
            ("search by an item", "POST", "/v1/search", {"json": {"item_id": self.item}}),
            ("search by a picture", "POST", "/v1/search", {"files": {"picture": PHOTO}}),
        )
        with httpx.Client(base_url=self.address, timeout=60, trust_env=False) as client:
            while not self.stop.wait(0.02):
                for what, method, path, sent in asks:
                    began, status = time.monotonic(), 0
                    with suppress(httpx.HTTPError):
                        status = client.request(method, path, **sent).status_code
                    self.seconds[what].append(time.monotonic() - began)
                    self.statuses[status] += 1

    @property
    def request_count(self) -> int:
        """How many requests."""
        return sum(map(len, self.seconds.values()))


@dataclass(frozen=True)
class Gateway:
    """A gateway over a real broker, with a query worker that answers every search at once."""

    testbed: Testbed
    process: Process
    port: int

    @property
    def address(self) -> str:
        """The base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def attack(self, kind: str, count: int) -> Process:
        """Start hostile callers."""
        return self.testbed.start("attack", "tests.chaos.gateway_attack", kind, str(self.port), str(count))


@contextmanager
def run_gateway(folder: Path, program: str) -> Iterator[Gateway]:
    """Run a broker, a query worker and a gateway until the block ends."""
    with run_broker(folder) as broker:
        testbed = Testbed(folder, broker, NO_LIMIT).open(all_topics())
        try:
            with _answering(testbed.kafka):
                yield _start_gateway(testbed, program)
        finally:
            testbed.close()


def _start_gateway(testbed: Testbed, program: str) -> Gateway:
    port = find_free_port(0)
    process = testbed.start("gateway", program, "gateway", "--port", str(port))
    wait_for(lambda: is_listening((LOOPBACK, port)), "the gateway", process)
    return Gateway(testbed, process, port)


def _answering(kafka: KafkaSettings) -> AbstractContextManager[None]:
    """A query worker in a thread, that finds nothing."""
    return run_worker(kafka, [SEARCH_REQUESTS], _reply, LOW_LATENCY_DELIVERY)


def _reply(record: Record, sink: EventSink) -> None:
    if record.value is None:
        return
    headers = {name: (value or b"").decode() for name, value in record.headers.items()}
    answer = _answer(from_bytes(record.value))
    event = Event(answer, extra={CORRELATION_ID: answer.request_id})
    sink.send(headers[REPLY_TO], answer.request_id, event, int(headers[REPLY_PARTITION]))


def _answer(request: Body) -> SearchResult | FacetsResult:
    if isinstance(request, FacetsRequest):
        return FacetsResult(request_id=request.request_id, status="ok")
    assert isinstance(request, SearchRequest)
    return SearchResult(request_id=request.request_id, status="no_match", message="nothing looks like it")


def _attacked(folder: Path, kind: str, count: int, program: str = LOOKSTREAM) -> Report:
    """Send valid requests without an attack, then during one."""
    report = Report()
    with report.timed(), run_gateway(folder, program) as gateway:
        baseline, healthy = Healthy(gateway.address), Healthy(gateway.address)
        with in_background(baseline.ask, baseline.stop):
            time.sleep(SECONDS / 4)
        attack = gateway.attack(kind, count)
        wait_for(lambda: attack.log.exists() and "attacking" in attack.log.read_text(), "the attack", attack)
        peak = 0.0
        with in_background(healthy.ask, healthy.stop):
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                peak = max(peak, gateway.process.resident_mb())
                time.sleep(0.05)
        attack.kill()
        report.figures["healthy requests"] = healthy.request_count
        report.expect("healthy requests not answered", healthy.request_count - healthy.statuses[200], 0)
        for what, seconds in healthy.seconds.items():
            usual, longest = max(baseline.seconds[what]), max(seconds)
            report.figures[f"longest {what} alone, s"] = round(usual, 3)
            report.expect_at_most(f"{what} delayed at most, s", round(longest - usual, 3), MOST_DELAY)
        report.expect_at_most("memory of the gateway, MB", round(peak, 1), MOST_MB)
    return report


def run_lines(folder: Path, size: Size) -> Report:
    """Idle and dripping connections."""
    return _attacked(folder, "lines", size.of(LINES))


def control_lines(folder: Path, _size: Size) -> Report:
    """The same against uvicorn as it is."""
    return _attacked(folder, "lines", LINES, UNBOUNDED)


def run_bodies(folder: Path, size: Size) -> Report:
    """Large bodies, of which half never end."""
    return _attacked(folder, "bodies", size.of(BODIES))


def control_bodies(folder: Path, _size: Size) -> Report:
    """The same where every body is read, and parsed on the event loop."""
    return _attacked(folder, "bodies", BODIES, UNBOUNDED)


def run_generated(folder: Path, size: Size) -> Report:
    """Requests of every kind that makes no sense."""
    return _generated(folder, size, LOOKSTREAM)


def control_generated(folder: Path, size: Size) -> Report:
    """The same with a gateway that treats invalid JSON as an internal error."""
    return _generated(folder, size, UNBOUNDED)


def _generated(folder: Path, size: Size, program: str) -> Report:
    """A gateway before a whole system: some requests are refused by the query worker."""
    report, wrong = Report(), Counter[str]()
    with report.timed(), searchable(folder, all_topics(), **NO_LIMIT) as testbed:
        worker = start_query(testbed)
        gateway = _start_gateway(testbed, program)
        healthy = Healthy(gateway.address, "item-1")
        with (
            in_background(healthy.ask, healthy.stop),
            httpx.Client(base_url=gateway.address, timeout=60, trust_env=False) as client,
        ):
            for one in hostile_bodies(size.seed, size.of(GENERATED), LARGEST):
                response = client.post(one.path, content=one.body, headers=dict(one.headers))
                refused = 400 <= response.status_code < 500
                if response.status_code == 500 or refused != one.refused:
                    wrong[f"{one.kind}: {response.status_code}"] += 1
        report.figures |= {"hostile requests": size.of(GENERATED), "healthy requests": healthy.request_count}
        report.expect("not told as what they are", dict(wrong), {})
        report.expect("healthy requests not answered", healthy.request_count - healthy.statuses[200], 0)
        report.expect("exit codes of gateway and query worker", (gateway.process.code, worker.code), (None, None))
    return report


SCENARIOS = (
    Scenario(
        name="hostile connections",
        promise="1,000 idle and 1,000 dripping connections: healthy requests are answered, none 200 ms later",
        run=run_lines,
        control=control_lines,
    ),
    Scenario(
        name="hostile bodies",
        promise="100 callers with bodies of 10 MB: the gateway stays below 400 MB, and no healthy request is "
        "delayed by more than 200 ms",
        run=run_bodies,
        control=control_bodies,
    ),
    Scenario(
        name="hostile HTTP requests",
        promise="10,000 requests that make no sense: each is refused as what it is, and healthy ones are answered",
        run=run_generated,
        control=control_generated,
    ),
)
