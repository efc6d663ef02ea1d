"""Composition root of the index worker: builds its two lanes, and the parts that the query worker uses too.

It is separate from commands.py because it imports everything, which `lookstream --help` must not do.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from consumers.embedding.moderation import moderation_policy
from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.region_policy import region_policy
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.indexing.watches.watch_file import WATCHES_FILE, WatchFile
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
from consumers.scoring.calibrator import ITEM_SYNC_POINTS
from consumers.vision.look_vector import look_size
from consumers.workers.backfill_task import BackfillTask, GenerationOwnership, open_ownership
from consumers.workers.item_handlers import LiveItems, RetriedItems
from consumers.workers.metrics import IndexGauge, item_observer
from consumers.workers.resources import (
    IndexContext,
    WorkerContext,
    make_calibrator,
    open_context,
    open_worker_context,
)
from consumers.workers.sweep_task import SweepTask
from consumers.workers.tracing import Handle, TracingSink
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings, WorkerSettings
from infra.fetching.circuit_breaker import CircuitBreakers
from infra.fetching.content_store import content_folder, open_content_store
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.prefetch import Prefetch
from infra.kafka import BufferLimits, EventSink, EventSource, Problems, check_broker, due_immediately
from infra.local_state import resolve_kafka_settings
from infra.metrics import ItemMetrics
from infra.observability.heartbeat import HeartbeatFile
from infra.observability.redaction import redaction
from infra.qdrant.generations import component_name
from schemas.topics import ITEM_TOPICS, RETRY_DELAYS, RETRY_TOPICS

QUERY_GROUP = "lookstream-query"
"""Consumer group of the query workers; those of the index workers have the names of their lanes."""
ITEM_FETCH_WAIT_MS, RETRY_FETCH_WAIT_MS = 100, 250
"""How long a fetch waits for records: on the local broker each empty fetch is expensive (DECISIONS.md)."""
SEARCH_FETCH_TIMEOUT_SECONDS = 2.0
"""How long a batch of searches waits for its pictures."""
LIVE_BREAKER_SECONDS, LIVE_BREAKER_CREDIT = 30.0, 0.05
"""Circuit breakers of the live lane: they open for 30 s as soon as a host is often slow, and an answer makes up for
0.05 of a timeout. The lane of retries can wait for such hosts."""
COMMIT_SECONDS = 2.0
"""How often the index worker commits. After a crash the records since then are handled again, to no effect."""


@dataclass(frozen=True)
class Lane:
    """Topics that the index worker reads in one loop, and the settings of that loop."""

    name: str
    topics: tuple[str, ...]
    fetch_wait_ms: int
    records: int
    fetch_timeout_s: float | None
    """Seconds that a batch waits for its pictures; None: as long as a download may take."""
    limit: DeadLetterCounter
    heartbeat: Path | None = None


@dataclass(frozen=True)
class LaneSinks:
    """The sink of a handler, and a wrapper that traces the handler's events (without tracing: the identity)."""

    sink: Sink
    trace: Callable[[Handle], Handle]


@contextmanager
def index_worker(
    settings: Settings,
    heartbeat: Path | None,
    delays: Mapping[str, float] = RETRY_DELAYS,
    generation: int | None = None,
) -> Iterator[Lanes]:
    """Build the worker for item events, in two lanes; its resources are closed at the end of the block.

    `delays` are the seconds that each retry topic waits; `generation` is the one to fill (None: the serving one).
    """
    ownership = open_ownership(settings, generation)
    live, retries = _make_lanes(settings.worker, heartbeat, ownership.number)
    with ExitStack() as stack:
        worker = open_worker_context(settings, resolve_broker(settings), "index", stack)
        source, retry_source = (_open_source(worker, lane, stack) for lane in (live, retries))
        context = open_context(worker, ownership.generation, stack)
        sink = _open_sink(context, source.problems, stack)
        watches = _open_watches(context, sink, stack)
        live_sinks, retry_sinks = make_lane_sinks(context, sink), make_lane_sinks(context, sink)
        make_indexer = partial(_make_indexer, context, watches, stack)
        items = make_indexer(live, OutcomePublisher(live_sinks.sink, ownership.reports_outcomes))
        retry_items = make_indexer(retries, OutcomePublisher(retry_sinks.sink, ownership.reports_outcomes))
        router = _make_router(context, sink, items.publish_rejection, live)
        router = replace(router, owns_failures=ownership.owns_failures, delays=delays)
        retry_router = replace(router, limit=retries.limit)
        pipeline = make_image_pipeline(context, None, stack)
        backfill = MaintenanceTask(BackfillTask(context, ownership, pipeline, sink, stack).step)
        maintenance = [MaintenanceTask(watches.idle), MaintenanceTask(items.idle)]
        maintenance += _make_sweep(context, ownership, stack)
        handler = LiveItems(context, live_sinks.trace(items.handle), items, backfill, maintenance)
        gauge = IndexGauge(context.index, context.metrics)
        live_handler = InstrumentedHandler(handler, context.metrics, gauge.update)
        retry_handler = InstrumentedHandler(RetriedItems(retry_sinks.trace(retry_items.handle)), context.metrics)
        live_loop = _make_loop(context, live, source, router, live_handler)
        retry_loop = _make_loop(context, retries, retry_source, retry_router, retry_handler)
        yield Lanes(live_loop, retry_loop, partial(_retry_all_now, retry_source, retry_router))


def _retry_all_now(source: EventSource, router: FailureRouter) -> None:
    """Retry all waiting records; those that fail again go to their dead-letter topics."""
    source.ignore_due_times()
    router.stop_retries()


def _make_router(context: IndexContext, sink: Sink, report: Report, lane: Lane) -> FailureRouter:
    redact, size = redaction(context.settings), context.kafka.record_bytes
    return FailureRouter(sink, report, lane.limit, context.slot, lambda: context.encoder, redact, record_bytes=size)


def _make_lanes(settings: WorkerSettings, heartbeat: Path | None, number: int) -> tuple[Lane, Lane]:
    limit, timeout = DeadLetterLimit(settings.dead_in_a_row, settings.dead_share), settings.fetch_patience_s
    live = Lane(
        component_name("index", number),
        ITEM_TOPICS,
        ITEM_FETCH_WAIT_MS,
        settings.batch_records,
        timeout,
        limit,
        heartbeat,
    )
    retries = component_name("index-retries", number)
    return live, Lane(retries, RETRY_TOPICS, RETRY_FETCH_WAIT_MS, settings.batch_records, None, Unlimited())


def resolve_broker(settings: Settings) -> KafkaSettings:
    """Return the settings of the broker once it answers."""
    kafka = resolve_kafka_settings(settings)
    check_broker(kafka)
    return kafka


def _make_loop(
    context: IndexContext, lane: Lane, source: EventSource, router: FailureRouter, handler: BatchHandler
) -> WorkerLoop:
    strategy = AtLeastOnceCommit(source, router.sink, context.index.flush, COMMIT_SECONDS)
    processor = BatchProcessor(handler, router, strategy, make_crash_ledger(context, lane.name))
    size = BatchSize(lane.records, context.settings.worker.batch_ms / 1000)
    heartbeat = InstrumentedHeartbeat(HeartbeatFile(lane.heartbeat), source, context.metrics)
    return WorkerLoop(source, processor, strategy, size, heartbeat)


def make_lane_sinks(context: WorkerContext, sink: Sink) -> LaneSinks:
    if context.tracing is None:
        return LaneSinks(sink, lambda handle: handle)
    traced = TracingSink(sink, context.tracing)
    return LaneSinks(traced, traced.watch)


def _make_indexer(
    context: IndexContext, watches: WatchTopic, stack: ExitStack, lane: Lane, outcomes: OutcomePublisher
) -> ItemIndexer:
    enrichers = enrichers_of(context.index, make_calibrator(context, ITEM_SYNC_POINTS), watches.rows)
    pipeline = make_image_pipeline(context, lane.fetch_timeout_s, stack)
    return ItemIndexer(pipeline, context.index, enrichers, outcomes)


def _make_sweep(context: IndexContext, ownership: GenerationOwnership, stack: ExitStack) -> list[MaintenanceTask]:
    """The task that sweeps the content store, if there is one."""
    store = open_content_store(context.settings)
    if store is None:
        return []
    task = SweepTask(context.settings, context.index, ownership, store)
    return [MaintenanceTask(stack.enter_context(closing(task)).step)]


def _open_watches(context: IndexContext, sink: Sink, stack: ExitStack) -> WatchTopic:
    policy, size = moderation_policy(context.settings.moderation), look_size(context.embedder.encoder)
    matrix = WatchMatrix(context.encoder, size, context.parts, policy)
    broker_is_local = not context.settings.kafka.bootstrap  # it loses its topics when it ends
    watch_file = WatchFile(context.settings.data / WATCHES_FILE) if broker_is_local else None
    return stack.enter_context(closing(WatchTopic(context.kafka, matrix, watch_file, sink)))


def make_image_pipeline(context: IndexContext, timeout_s: float | None, stack: ExitStack) -> ImagePipeline:
    breakers = (
        CircuitBreakers()
        if timeout_s is None
        else CircuitBreakers(rest_s=LIVE_BREAKER_SECONDS, forgiven=LIVE_BREAKER_CREDIT)
    )
    images, content = context.settings.images, content_folder(context.settings)
    fetcher = stack.enter_context(closing(ImageFetcher(images, timeout_s, breakers=breakers, content=content)))
    policy, moderator = moderation_policy(context.settings.moderation), context.embedder.moderator.name
    return ImagePipeline(
        fetcher.fetch_waves,
        context.embedder.embed,
        context.encoder,
        policy,
        moderator,
        Prefetch(fetcher),
        regions=region_policy(context.settings),
    )


def _open_sink(context: IndexContext, problems: Problems, stack: ExitStack) -> InstrumentedSink:
    event_sink = stack.enter_context(closing(EventSink(context.kafka, problems=problems)))
    return InstrumentedSink(event_sink, item_observer(ItemMetrics(context.metrics.registry)), context.metrics)


def _open_source(worker: WorkerContext, lane: Lane, stack: ExitStack) -> EventSource:
    kafka, group = worker.kafka, f"lookstream-{lane.name}"
    lane_kafka = kafka.with_fetch_wait(lane.fetch_wait_ms)
    due = due_time if lane.topics == RETRY_TOPICS else due_immediately
    source = EventSource(lane_kafka, group, lane.topics, due, buffer_limits(worker.settings.worker))
    stack.callback(source.close)
    return source


def buffer_limits(settings: WorkerSettings) -> BufferLimits:
    return BufferLimits(settings.queue_records, settings.queue_mb << 20)


def make_crash_ledger(context: WorkerContext, kind: str) -> CrashLedger:
    return CrashLedger(context.settings.data / "run" / f"{kind}-{context.slot}.attempts")
