"""What makes each alert fire, on a running system."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat

import numpy as np

from infra.kafka import EventSink, Record
from infra.local.ports import find_free_port
from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Point
from infra.qdrant.point_ids import point_id
from schemas.envelope import to_bytes
from schemas.items import ImageRef, InlineImage, ItemUpserted, item_key
from schemas.topics import CATALOG_ITEMS
from tests.alerts.monitored_system import MonitoredSystem
from tests.benchmarks.fresh_bytes import new
from tests.chaos.bad_records import write_bad
from tests.chaos.feed import ANY_PARTITION, TENANT
from tests.chaos.overload import large_pictures, large_request
from tests.chaos.processes import wait_for
from tests.chaos.search_requests import ask_all, start_query
from tests.chaos.testbed import open_testbed
from tests.infra.fetching.picture_host import Handler, at, run_server
from tests.outgoing_record import to_outgoing

Bring = Callable[[MonitoredSystem], AbstractContextManager[None]]

LATE, FLOOD = 1_500, 4_000
"""Items at once: more than can be found within a second, and more than a minute's work."""
SEARCHES, LONG_MS, SHORT_MS = 2_000, 60_000, 500
"""Searches at once, and how long they may take: as long as they need, or less than most of them wait."""
BAD_EVERY, UNREACHABLE_EVERY = 10, 2
"""To how many good items there is one that is refused, or whose picture's host is away."""
KINDS_OF_BAD = 20
UNOPTIMISED, GRAPH, WRITE = 55_000, 30_000, 500
"""Points outside the graph, and in it; so many are written at a time."""
BUILT_SECONDS = 180.0
FOR_HTTP = {"LOOKSTREAM_IMAGES_ALLOW_HTTP": "true", "LOOKSTREAM_IMAGES_ALLOW_HOSTS": '["127.0.0.1"]'}
IMPATIENT = {"LOOKSTREAM_QDRANT_TIMEOUT_S": "1"}


@dataclass(frozen=True)
class Cause:
    """What makes an alert fire: `bring` keeps it up until its block ends."""

    alert: str
    what: str
    bring: Bring
    settings: Mapping[str, str] = field(default_factory=dict)


def _items_at_once(number: int) -> Bring:
    @contextmanager
    def bring(system: MonitoredSystem) -> Iterator[None]:
        with closing(EventSink(system.testbed.kafka)) as sink:
            for n, picture in enumerate(islice(cycle(large_pictures()), number)):
                sink.send_record(to_outgoing(_item(f"flood-{n}", InlineImage(data=new(picture)))))
        yield

    return bring


def _searches_at_once(deadline_ms: int) -> Bring:
    @contextmanager
    def bring(system: MonitoredSystem) -> Iterator[None]:
        large = islice(cycle(large_pictures()), SEARCHES)
        ask_all(
            system.testbed.kafka, [large_request(f"f{n}", new(one), deadline_ms) for n, one in enumerate(large)]
        )
        yield

    return bring


def _frozen(part: str) -> Bring:
    return lambda system: system.frozen(system.parts[part])


def _index_frozen(system: MonitoredSystem) -> AbstractContextManager[None]:
    return system.frozen(system.testbed.engine)


def _bad_items(system: MonitoredSystem) -> AbstractContextManager[None]:
    return system.mixed_in(cycle([record for record, _ in write_bad(KINDS_OF_BAD)]), BAD_EVERY)


@contextmanager
def _pictures_away(system: MonitoredSystem) -> Iterator[None]:
    with run_server(Handler) as port:
        items = (_item(f"away-{n}", image) for n, image in enumerate(repeat(at(port, "/503"))))
        with system.mixed_in(items, UNREACHABLE_EVERY):
            yield


@contextmanager
def _nobody_optimises(system: MonitoredSystem) -> Iterator[None]:
    owner = system.testbed.engine.pid  # it has the index optimised; its child answers, and goes on
    os.kill(owner, signal.SIGSTOP)
    try:
        _write_points(system, UNOPTIMISED)
        yield
    finally:
        os.kill(owner, signal.SIGCONT)


@contextmanager
def _another_encoder(system: MonitoredSystem) -> Iterator[None]:
    """A query worker of another system, which has another encoder: to Prometheus they are of one."""
    port = find_free_port(0)
    with open_testbed(system.folder / "other", LOOKSTREAM_ENCODER="fake2") as other:
        start_query(other, LOOKSTREAM_METRICS_PORT=str(port))
        system.read(port)
        yield
        system.read()


@contextmanager
def _least_effort(system: MonitoredSystem) -> Iterator[None]:
    _write_points(system, GRAPH)
    status = system.testbed.index.status
    wait_for(lambda: status().unindexed < GRAPH / 10, "the graph", seconds=BUILT_SECONDS)
    with system.replaced("canary", "tests.alerts.minimal_search_effort"):
        yield


def _mistake(system: MonitoredSystem) -> AbstractContextManager[None]:
    return system.replaced("gateway", "tests.alerts.readiness_bug")


def _item(name: str, image: ImageRef) -> Record:
    body = ItemUpserted(tenant=TENANT, item_id=name, revision=1, images=(image,))
    return Record(CATALOG_ITEMS, ANY_PARTITION, 0, item_key(TENANT, name).encode(), to_bytes(body))


def _write_points(system: MonitoredSystem, number: int) -> None:
    """Items with looks in random directions, written past the workers."""
    index, rng = system.testbed.index, np.random.default_rng(1)
    [size] = {len(look) for look in index.vectors(list(index.sample(TENANT, 1))).values()}
    for first in range(0, number, WRITE):
        index.upsert([_point(n, rng.standard_normal(size, np.float32)) for n in range(first, first + WRITE)])


def _point(number: int, look: np.ndarray) -> Point:
    name = f"drawn-{number}"
    payload = {"item": item_key(TENANT, name), "item_id": name, "tenant": TENANT, "version": 1, "state": LIVE}
    return Point(point_id(TENANT, name, 0), payload, look)


CAUSES = (
    Cause("LookstreamDown", "the gateway is frozen", _frozen("gateway")),
    Cause("LookstreamStale", f"{LATE:,} items come at once", _items_at_once(LATE)),
    Cause("LookstreamLag", f"{FLOOD:,} items come at once", _items_at_once(FLOOD)),
    Cause("LookstreamSlow", f"{SEARCHES:,} searches come at once", _searches_at_once(LONG_MS)),
    Cause(
        "LookstreamUnanswered", f"{SEARCHES:,} come at once, with {SHORT_MS} ms each", _searches_at_once(SHORT_MS)
    ),
    Cause("LookstreamWaiting", "the index is frozen", _index_frozen, IMPATIENT),
    Cause("LookstreamDeadLetters", f"one item to {BAD_EVERY} is refused", _bad_items),
    Cause(
        "LookstreamRetrying",
        f"the host of one picture in {UNREACHABLE_EVERY + 1} is busy",
        _pictures_away,
        FOR_HTTP,
    ),
    Cause("LookstreamUnoptimised", f"{UNOPTIMISED:,} points, and nobody optimises", _nobody_optimises),
    Cause("LookstreamTwoEncoders", "a query worker with another encoder", _another_encoder),
    Cause("LookstreamGatewayFails", "a mistake in the gateway", _mistake),
    Cause("LookstreamRecall", f"{GRAPH:,} points, searched with the least effort", _least_effort),
    Cause("LookstreamCanaryUnavailable", "the query worker is frozen", _frozen("query")),
)
"""One for each alert."""
