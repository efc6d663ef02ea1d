"""Composition: builds all that a worker needs and hands it down.

It stands apart from commands.py because it imports everything, and `lookstream --help` must not.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from consumers.answered import Answered, for_whom
from consumers.answers import Answers
from consumers.attempts import Attempts
from consumers.confidence import SOON, WHENEVER
from consumers.delivery import AtLeastOnce, Delivery, ExactlyOnce, nothing_to_keep
from consumers.facets import AnswerFacets
from consumers.freshness import Freshness, note_progress
from consumers.hands import Handle, Hands, Job
from consumers.index import IndexItems
from consumers.judges import judges_of
from consumers.lanes import Lanes
from consumers.metered import IndexGauge, MeteredPulse, MeteredSink, metered, see_items, see_results
from consumers.query import AnswerSearches
from consumers.remembered import Remembered
from consumers.requests import AnswerRequests
from consumers.settle import Gate, Settler, due_time
from consumers.shop import Shop, confidence_of, open_shop
from consumers.sight import Sight
from consumers.traced import Traced
from consumers.valve import OpenValve, Valve
from consumers.vision.look import look_size
from consumers.watches.feed import WatchFeed
from consumers.watches.kept import FILE, KeptWatches
from consumers.watches.watchlist import Watchlist
from consumers.worker import Batches, Sink, Worker
from infra.breakers import Breakers
from infra.health import Heartbeat
from infra.images import Images
from infra.kafka import EventSink, EventSource, Places, Room, TransactionSink, at_once, check_broker
from infra.metrics import ItemMetrics, SearchMetrics
from infra.running import reach_kafka
from infra.secrets import redaction
from infra.settings import Kafka, Settings
from infra.settings import Worker as WorkerSettings
from schemas.topics import ITEM_TOPICS, RETRY_DELAYS, RETRY_TOPICS, SEARCH_REQUESTS

QUERY_GROUP = "lookstream-query"
"""The consumer group of the query workers; those of the index workers are called by their lanes."""
ITEM_FETCH_WAIT_MS, RETRY_FETCH_WAIT_MS = 100, 250
"""Items can wait so long for a fetch; on the local broker each fetch that comes back empty costs (DECISIONS.md)."""
SEARCH_PATIENCE_SECONDS = 2.0
"""How long searches wait for the pictures of those that came with them."""
LIVE_REST_SECONDS, LIVE_FORGIVEN = 30.0, 0.05
"""New events leave a host alone as soon as it is often slow: the lane of retries has the patience for it."""
COMMIT_SECONDS = 2.0
"""How often the index worker commits; what was done since is done again, to no effect, after a crash."""


@dataclass(frozen=True)
class Lane:
    """Where the index worker takes events from, and what is particular to that."""

    name: str
    topics: tuple[str, ...]
    fetch_wait_ms: int
    records: int
    patience_s: float | None
    """Seconds that a batch waits for its pictures; none: as long as a download may take."""
    gate: Gate
    heartbeat: Path | None = None


@dataclass(frozen=True)
class Outlet:
    """Where a job sends what it comes to, and who must see what it handles."""

    sink: Sink
    watch: Callable[[Handle], Handle]


@contextmanager
def index_worker(
    settings: Settings, heartbeat: Path | None, delays: Mapping[str, float] = RETRY_DELAYS
) -> Iterator[Lanes]:
    """The worker that takes item events, in two lanes; closes all that it holds at the end.

    `delays` are the seconds that each retry topic waits.
    """
    live, again = _lanes(settings.worker, heartbeat)
    with ExitStack() as stack:
        kafka = _reach(settings)
        source, source_again = (_join(settings, kafka, lane, stack) for lane in (live, again))
        source_again.due = due_time
        shop = open_shop(settings, kafka, "index", stack)
        seen = see_items(ItemMetrics(shop.metrics.registry))
        sink = MeteredSink(stack.enter_context(closing(EventSink(kafka))), seen, shop.metrics)
        watches = _watches(shop, sink, stack)
        outlet, outlet_again = _outlet(shop, sink), _outlet(shop, sink)
        items = _items(shop, live, outlet.sink, stack, watches)
        items_again = _items(shop, again, outlet_again.sink, stack, watches)
        settler = Settler(sink, items.tell, live.gate, shop.slot, shop.encoder, redaction(settings), delays)
        settler_again = replace(settler, gate=again.gate)

        def last_call() -> None:
            source_again.due, settler_again.delays = at_once, {}

        def idle() -> None:
            watches.idle()
            items.idle()

        job = Job(outlet.watch(items.handle), idle, passed=partial(note_progress, shop.index))
        job = metered(job, shop.metrics, IndexGauge(shop.index, shop.metrics).look)
        job_again = metered(Job(outlet_again.watch(items_again.handle)), shop.metrics)
        yield Lanes(
            _lane_worker(shop, live, source, settler, job),
            _lane_worker(shop, again, source_again, settler_again, job_again),
            last_call,
        )


def _lanes(given: WorkerSettings, heartbeat: Path | None) -> tuple[Lane, Lane]:
    valve, patience = Valve(given.dead_in_a_row, given.dead_share), given.fetch_patience_s
    live = Lane("index", ITEM_TOPICS, ITEM_FETCH_WAIT_MS, given.batch_records, patience, valve, heartbeat)
    return live, Lane("index-retries", RETRY_TOPICS, RETRY_FETCH_WAIT_MS, given.batch_records, None, OpenValve())


@contextmanager
def query_worker(settings: Settings, heartbeat: Path | None) -> Iterator[Worker]:
    """The worker that takes search requests; closes all that it holds at the end."""
    given = settings.worker
    with ExitStack() as stack:
        kafka = _reach(settings)
        source = EventSource(kafka, QUERY_GROUP, [SEARCH_REQUESTS], room=_room(given))
        stack.callback(source.close)
        shop = open_shop(settings, kafka, "query", stack)
        plain, delivery = _search_delivery(shop, source, stack)
        sink = MeteredSink(plain, see_results(SearchMetrics(shop.metrics.registry)), shop.metrics)
        outlet = _outlet(shop, sink)
        places = Places(kafka)
        answers = Answers(outlet.sink, shop.encoder, places.exists)
        settler = Settler(sink, answers.tell, OpenValve(), shop.slot, shop.encoder, redaction(settings), {})
        job = metered(_search_job(shop, answers, places, stack, outlet), shop.metrics)
        hands = Hands(job, settler, delivery, _attempts(shop, "query"))
        batches = Batches(given.search_records, given.search_ms / 1000)
        yield Worker(source, hands, delivery, batches, MeteredPulse(Heartbeat(heartbeat), source, shop.metrics))


def _search_job(shop: Shop, answers: Answers, places: Places, stack: ExitStack, outlet: Outlet) -> Job:
    # Searches leave most idle turns, so theirs is the worker that looks at the null pictures, for both.
    confidence = confidence_of(shop, SOON)
    sight = _sight(shop, SEARCH_PATIENCE_SECONDS, stack)
    sight = replace(sight, look_at=Remembered(sight.look_at).look_at)
    searches = AnswerSearches(sight, shop.index, confidence, answers, shop.settings.worker.search_records)
    freshness = Freshness(shop.index, places.count)
    requests = AnswerRequests(searches, AnswerFacets(shop.index, answers), freshness, answers)
    return Job(
        outlet.watch(requests.handle),
        confidence.idle,
        searches.is_behind,
        Answered(partial(for_whom, shop.kafka), round(time.time() * 1000)).has,
        hopeless=requests.hopeless,
        refuse=outlet.watch(searches.refuse),
    )


def _reach(settings: Settings) -> Kafka:
    """The broker, which answers. Sources come next: members join beside the seconds that the encoder takes."""
    kafka = reach_kafka(settings)
    check_broker(kafka)
    return kafka


def _search_delivery(shop: Shop, source: EventSource, stack: ExitStack) -> tuple[Sink, Delivery]:
    if shop.settings.worker.search_delivery == "at_least_once":
        plain = stack.enter_context(closing(EventSink(shop.kafka)))
        return plain, AtLeastOnce(source, plain, nothing_to_keep, 0)
    sink = stack.enter_context(closing(TransactionSink(shop.kafka, f"{QUERY_GROUP}-{shop.slot}")))
    return sink, ExactlyOnce(source, sink)


def _lane_worker(shop: Shop, lane: Lane, source: EventSource, settler: Settler, job: Job) -> Worker:
    delivery = AtLeastOnce(source, settler.sink, shop.index.flush, COMMIT_SECONDS)
    hands = Hands(job, settler, delivery, _attempts(shop, lane.name))
    batches = Batches(lane.records, shop.settings.worker.batch_ms / 1000)
    return Worker(source, hands, delivery, batches, MeteredPulse(Heartbeat(lane.heartbeat), source, shop.metrics))


def _outlet(shop: Shop, sink: Sink) -> Outlet:
    if shop.tracing is None:
        return Outlet(sink, lambda handle: handle)
    traced = Traced(sink, shop.tracing)
    return Outlet(traced, traced.watch)


def _items(shop: Shop, lane: Lane, sink: Sink, stack: ExitStack, watches: WatchFeed) -> IndexItems:
    judges = judges_of(shop.index, confidence_of(shop, WHENEVER), watches.rows)
    return IndexItems(_sight(shop, lane.patience_s, stack), shop.index, judges, sink)


def _watches(shop: Shop, sink: Sink, stack: ExitStack) -> WatchFeed:
    watchlist = Watchlist(shop.encoder, look_size(shop.eyes.encoder), shop.parts)
    forgets = not shop.settings.kafka.bootstrap
    kept = KeptWatches(shop.settings.data / FILE) if forgets else None
    return stack.enter_context(closing(WatchFeed(shop.kafka, watchlist, kept, sink)))


def _sight(shop: Shop, patience_s: float | None, stack: ExitStack) -> Sight:
    breakers = Breakers() if patience_s is None else Breakers(rest_s=LIVE_REST_SECONDS, forgiven=LIVE_FORGIVEN)
    images = stack.enter_context(closing(Images(shop.settings.images, patience_s, breakers=breakers)))
    return Sight(images.fetch_all, shop.eyes.look_at, shop.encoder)


def _join(settings: Settings, kafka: Kafka, lane: Lane, stack: ExitStack) -> EventSource:
    patient = {"fetch_wait_ms": max(kafka.fetch_wait_ms, lane.fetch_wait_ms)}
    group = f"lookstream-{lane.name}"
    source = EventSource(kafka.model_copy(update=patient), group, lane.topics, room=_room(settings.worker))
    stack.callback(source.close)
    return source


def _room(given: WorkerSettings) -> Room:
    return Room(given.queue_records, given.queue_mb << 20)


def _attempts(shop: Shop, kind: str) -> Attempts:
    return Attempts(shop.settings.data / "run" / f"{kind}-{shop.slot}.attempts")
