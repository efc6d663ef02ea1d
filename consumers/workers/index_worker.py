"""Composition: builds all that a worker needs and hands it down.

It stands apart from commands.py because it imports everything, and `lookstream --help` must not.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from consumers.embedding.moderation import policy_of
from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.judges import enrichers_of
from consumers.indexing.watches.watch_file import FILE, WatchFile
from consumers.indexing.watches.watch_matrix import WatchMatrix
from consumers.indexing.watches.watch_topic import WatchTopic
from consumers.runtime.batch_processor import BatchProcessor
from consumers.runtime.commit import AtLeastOnceCommit
from consumers.runtime.crash_ledger import CrashLedger
from consumers.runtime.dead_letter_limit import DeadLetterLimit, Unlimited
from consumers.runtime.failure_router import DeadLetterCounter, FailureRouter, Report
from consumers.runtime.instrumentation import InstrumentedHandler, InstrumentedHeartbeat, InstrumentedSink
from consumers.runtime.lanes import Lanes
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.maintenance import MaintenanceTask
from consumers.runtime.ports import BatchHandler, Sink
from consumers.runtime.retry_headers import due_time
from consumers.scoring.calibrator import WHENEVER
from consumers.vision.embedder import look_size
from consumers.workers.backfill_task import BackfillTask, ownership_of
from consumers.workers.item_handlers import LiveItems, RetriedItems
from consumers.workers.metrics import IndexGauge, see_items
from consumers.workers.resources import (
    IndexContext,
    WorkerContext,
    confidence_of,
    open_context,
    open_worker_context,
)
from consumers.workers.tracing import Handle, TracingHandler
from infra.config.settings import KafkaSettings, Settings, WorkerSettings
from infra.fetching.circuit_breaker import CircuitBreakers
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.prefetch import Prefetch
from infra.kafka import BufferLimits, EventSink, EventSource, Problems, at_once, check_broker
from infra.local_state import reach_kafka
from infra.metrics import ItemMetrics
from infra.observability.heartbeat import HeartbeatFile
from infra.observability.redaction import redaction
from infra.qdrant.generations import named
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
    limit: DeadLetterCounter
    heartbeat: Path | None = None


@dataclass(frozen=True)
class LaneSinks:
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

    `delays` are the seconds that each retry topic waits; `generation` is whose index it fills, if not what serves.
    """
    owner = ownership_of(settings, generation)
    live, retries = _lanes(settings.worker, heartbeat, owner.number)
    with ExitStack() as stack:
        worker = open_worker_context(settings, reach(settings), "index", stack)
        source, retry_source = (_join(worker, lane, stack) for lane in (live, retries))
        context = open_context(worker, owner.generation, stack)
        sink = _sink(context, source.problems, stack)
        watches = _watches(context, sink, stack)
        outlet, retry_outlet = sinks_of(context, sink), sinks_of(context, sink)
        items = _items(context, live, outlet.sink, stack, watches)
        retry_items = _items(context, retries, retry_outlet.sink, stack, watches)
        items.tells = retry_items.tells = owner.reports_outcomes
        router = replace(_router(context, sink, items.tell, live), owns_failures=owner.owns_failures, delays=delays)
        retry_router = replace(router, limit=retries.limit)

        def last_call() -> None:
            retry_source.take_at_once()
            retry_router.delays = {}

        images = image_pipeline_of(context, None, stack)
        backfill = MaintenanceTask(BackfillTask(context, owner, images, sink, stack).step)
        maintenance = MaintenanceTask(watches.idle), MaintenanceTask(items.idle)
        handler = LiveItems(context, outlet.watch(items.handle), items, backfill, maintenance)
        measured = InstrumentedHandler(handler, context.metrics, IndexGauge(context.index, context.metrics).look)
        retried = InstrumentedHandler(RetriedItems(retry_outlet.watch(retry_items.handle)), context.metrics)
        yield Lanes(
            _lane_worker(context, live, source, router, measured),
            _lane_worker(context, retries, retry_source, retry_router, retried),
            last_call,
        )


def _router(context: IndexContext, sink: Sink, report: Report, lane: Lane) -> FailureRouter:
    redact, size = redaction(context.settings), context.kafka.record_bytes
    return FailureRouter(sink, report, lane.limit, context.slot, lambda: context.encoder, redact, record_bytes=size)


def _lanes(given: WorkerSettings, heartbeat: Path | None, number: int) -> tuple[Lane, Lane]:
    limit, patience = DeadLetterLimit(given.dead_in_a_row, given.dead_share), given.fetch_patience_s
    live = Lane(
        named("index", number), ITEM_TOPICS, ITEM_FETCH_WAIT_MS, given.batch_records, patience, limit, heartbeat
    )
    retries = named("index-retries", number)
    return live, Lane(retries, RETRY_TOPICS, RETRY_FETCH_WAIT_MS, given.batch_records, None, Unlimited())


def reach(settings: Settings) -> KafkaSettings:
    """The broker, which answers. Sources come next: members join beside the seconds that the encoder takes."""
    kafka = reach_kafka(settings)
    check_broker(kafka)
    return kafka


def _lane_worker(
    context: IndexContext, lane: Lane, source: EventSource, router: FailureRouter, handler: BatchHandler
) -> WorkerLoop:
    strategy = AtLeastOnceCommit(source, router.sink, context.index.flush, COMMIT_SECONDS)
    processor = BatchProcessor(handler, router, strategy, ledger_of(context, lane.name))
    size = BatchSize(lane.records, context.settings.worker.batch_ms / 1000)
    heartbeat = InstrumentedHeartbeat(HeartbeatFile(lane.heartbeat), source, context.metrics)
    return WorkerLoop(source, processor, strategy, size, heartbeat)


def sinks_of(context: WorkerContext, sink: Sink) -> LaneSinks:
    if context.tracing is None:
        return LaneSinks(sink, lambda handle: handle)
    traced = TracingHandler(sink, context.tracing)
    return LaneSinks(traced, traced.watch)


def _items(context: IndexContext, lane: Lane, sink: Sink, stack: ExitStack, watches: WatchTopic) -> ItemIndexer:
    judges = enrichers_of(context.index, confidence_of(context, WHENEVER), watches.rows)
    return ItemIndexer(image_pipeline_of(context, lane.patience_s, stack), context.index, judges, sink)


def _watches(context: IndexContext, sink: Sink, stack: ExitStack) -> WatchTopic:
    policy, size = policy_of(context.settings.moderation), look_size(context.eyes.encoder)
    watchlist = WatchMatrix(context.encoder, size, context.parts, policy)
    forgets = not context.settings.kafka.bootstrap
    kept = WatchFile(context.settings.data / FILE) if forgets else None
    return stack.enter_context(closing(WatchTopic(context.kafka, watchlist, kept, sink)))


def image_pipeline_of(context: IndexContext, patience_s: float | None, stack: ExitStack) -> ImagePipeline:
    breakers = (
        CircuitBreakers()
        if patience_s is None
        else CircuitBreakers(rest_s=LIVE_REST_SECONDS, forgiven=LIVE_FORGIVEN)
    )
    images = stack.enter_context(closing(ImageFetcher(context.settings.images, patience_s, breakers=breakers)))
    policy, moderator = policy_of(context.settings.moderation), context.eyes.moderator.name
    return ImagePipeline(
        images.fetch_all, context.eyes.look_at, context.encoder, policy, moderator, Prefetch(images)
    )


def _sink(context: IndexContext, problems: Problems, stack: ExitStack) -> InstrumentedSink:
    plain = stack.enter_context(closing(EventSink(context.kafka, problems=problems)))
    return InstrumentedSink(plain, see_items(ItemMetrics(context.metrics.registry)), context.metrics)


def _join(worker: WorkerContext, lane: Lane, stack: ExitStack) -> EventSource:
    kafka, group = worker.kafka, f"lookstream-{lane.name}"
    patient = kafka.model_copy(update={"fetch_wait_ms": max(kafka.fetch_wait_ms, lane.fetch_wait_ms)})
    due = due_time if lane.topics == RETRY_TOPICS else at_once
    source = EventSource(patient, group, lane.topics, due, room_of(worker.settings.worker))
    stack.callback(source.close)
    return source


def room_of(given: WorkerSettings) -> BufferLimits:
    return BufferLimits(given.queue_records, given.queue_mb << 20)


def ledger_of(context: WorkerContext, kind: str) -> CrashLedger:
    return CrashLedger(context.settings.data / "run" / f"{kind}-{context.slot}.attempts")
