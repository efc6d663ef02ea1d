"""Composition: builds all that a worker needs and hands it down.

It stands apart from commands.py because it imports everything, and `lookstream --help` must not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from consumers.attempts import Attempts
from consumers.beside import Filling, mine_of
from consumers.confidence import WHENEVER
from consumers.delivery import AtLeastOnce
from consumers.freshness import note_progress
from consumers.hands import Handle, Hands, Job
from consumers.index import IndexItems
from consumers.judges import judges_of
from consumers.lanes import Lanes
from consumers.metered import IndexGauge, MeteredPulse, MeteredSink, metered, see_items
from consumers.moderation import policy_of
from consumers.settle import Gate, Settler, due_time
from consumers.shop import Premises, Shop, confidence_of, furnish, open_premises
from consumers.sight import Sight
from consumers.traced import Traced
from consumers.valve import OpenValve, Valve
from consumers.vision.look import look_size
from consumers.watches.feed import WatchFeed
from consumers.watches.kept import FILE, KeptWatches
from consumers.watches.watchlist import Watchlist
from consumers.worker import Batches, Sink, Worker
from infra.breakers import Breakers
from infra.generations import named
from infra.health import Heartbeat
from infra.images import Images
from infra.kafka import EventSink, EventSource, Record, Room, at_once, check_broker
from infra.metrics import ItemMetrics
from infra.prefetch import Prefetch
from infra.running import reach_kafka
from infra.secrets import redaction
from infra.settings import Kafka, Settings
from infra.settings import Worker as WorkerSettings
from schemas.topics import ITEM_TOPICS, RETRY_DELAYS, RETRY_TOPICS

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
    settings: Settings,
    heartbeat: Path | None,
    delays: Mapping[str, float] = RETRY_DELAYS,
    generation: int | None = None,
) -> Iterator[Lanes]:
    """The worker that takes item events, in two lanes; closes all that it holds at the end.

    `delays` are the seconds that each retry topic waits; `generation` is whose index it fills: that which serves,
    unless another is named.
    """
    mine = mine_of(settings, generation)
    live, again = _lanes(settings.worker, heartbeat, mine.number)
    with ExitStack() as stack:
        kafka = reach(settings)
        source, source_again = (_join(settings, kafka, lane, stack) for lane in (live, again))
        source_again.due = due_time
        shop = furnish(open_premises(settings, kafka, "index", stack), mine.generation, stack)
        seen = see_items(ItemMetrics(shop.metrics.registry))
        sink = MeteredSink(stack.enter_context(closing(EventSink(kafka))), seen, shop.metrics)
        watches = _watches(shop, sink, stack)
        outlet, outlet_again = outlet_of(shop, sink), outlet_of(shop, sink)
        items = _items(shop, live, outlet.sink, stack, watches)
        items_again = _items(shop, again, outlet_again.sink, stack, watches)
        items.tells = items_again.tells = mine.tells
        settler = Settler(sink, items.tell, live.gate, shop.slot, shop.encoder, redaction(settings), delays)
        settler.settles = mine.settles
        settler_again = replace(settler, gate=again.gate)

        def last_call() -> None:
            source_again.due, settler_again.delays = at_once, {}

        beside = Filling(shop, mine, sight_of(shop, None, stack), sink, stack).step
        job = _live_job(shop, outlet.watch(items.handle), items, watches, beside)
        job_again = metered(Job(outlet_again.watch(items_again.handle)), shop.metrics)
        yield Lanes(
            _lane_worker(shop, live, source, settler, job),
            _lane_worker(shop, again, source_again, settler_again, job_again),
            last_call,
        )


def _live_job(shop: Shop, handle: Handle, items: IndexItems, watches: WatchFeed, beside: Callable[[], None]) -> Job:
    def idle() -> None:
        for step in (watches.idle, items.idle, beside):
            step()

    def passed(records: Sequence[Record]) -> None:
        note_progress(shop.index, records)
        beside()

    job = Job(handle, idle, passed=passed, prepare=items.prepare)
    return metered(job, shop.metrics, IndexGauge(shop.index, shop.metrics).look)


def _lanes(given: WorkerSettings, heartbeat: Path | None, number: int) -> tuple[Lane, Lane]:
    valve, patience = Valve(given.dead_in_a_row, given.dead_share), given.fetch_patience_s
    live = Lane(
        named("index", number), ITEM_TOPICS, ITEM_FETCH_WAIT_MS, given.batch_records, patience, valve, heartbeat
    )
    retries = named("index-retries", number)
    return live, Lane(retries, RETRY_TOPICS, RETRY_FETCH_WAIT_MS, given.batch_records, None, OpenValve())


def reach(settings: Settings) -> Kafka:
    """The broker, which answers. Sources come next: members join beside the seconds that the encoder takes."""
    kafka = reach_kafka(settings)
    check_broker(kafka)
    return kafka


def _lane_worker(shop: Shop, lane: Lane, source: EventSource, settler: Settler, job: Job) -> Worker:
    delivery = AtLeastOnce(source, settler.sink, shop.index.flush, COMMIT_SECONDS)
    hands = Hands(job, settler, delivery, attempts_of(shop, lane.name))
    batches = Batches(lane.records, shop.settings.worker.batch_ms / 1000)
    return Worker(source, hands, delivery, batches, MeteredPulse(Heartbeat(lane.heartbeat), source, shop.metrics))


def outlet_of(shop: Premises, sink: Sink) -> Outlet:
    if shop.tracing is None:
        return Outlet(sink, lambda handle: handle)
    traced = Traced(sink, shop.tracing)
    return Outlet(traced, traced.watch)


def _items(shop: Shop, lane: Lane, sink: Sink, stack: ExitStack, watches: WatchFeed) -> IndexItems:
    judges = judges_of(shop.index, confidence_of(shop, WHENEVER), watches.rows)
    return IndexItems(sight_of(shop, lane.patience_s, stack), shop.index, judges, sink)


def _watches(shop: Shop, sink: Sink, stack: ExitStack) -> WatchFeed:
    policy, size = policy_of(shop.settings.moderation), look_size(shop.eyes.encoder)
    watchlist = Watchlist(shop.encoder, size, shop.parts, policy)
    forgets = not shop.settings.kafka.bootstrap
    kept = KeptWatches(shop.settings.data / FILE) if forgets else None
    return stack.enter_context(closing(WatchFeed(shop.kafka, watchlist, kept, sink)))


def sight_of(shop: Shop, patience_s: float | None, stack: ExitStack) -> Sight:
    breakers = Breakers() if patience_s is None else Breakers(rest_s=LIVE_REST_SECONDS, forgiven=LIVE_FORGIVEN)
    images = stack.enter_context(closing(Images(shop.settings.images, patience_s, breakers=breakers)))
    policy, moderator = policy_of(shop.settings.moderation), shop.eyes.moderator.name
    return Sight(images.fetch_all, shop.eyes.look_at, shop.encoder, policy, moderator, Prefetch(images))


def _join(settings: Settings, kafka: Kafka, lane: Lane, stack: ExitStack) -> EventSource:
    patient = {"fetch_wait_ms": max(kafka.fetch_wait_ms, lane.fetch_wait_ms)}
    group = f"lookstream-{lane.name}"
    source = EventSource(kafka.model_copy(update=patient), group, lane.topics, room=room_of(settings.worker))
    stack.callback(source.close)
    return source


def room_of(given: WorkerSettings) -> Room:
    return Room(given.queue_records, given.queue_mb << 20)


def attempts_of(shop: Premises, kind: str) -> Attempts:
    return Attempts(shop.settings.data / "run" / f"{kind}-{shop.slot}.attempts")
