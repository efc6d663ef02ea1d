"""Composition root of the query worker: one loop, with a handler over the serving index."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from consumers.embedding.cache import EmbeddingCache
from consumers.embedding.pipeline import TextEncoder
from consumers.points.progress import ProgressReader
from consumers.runtime.batch_processor import BatchProcessor
from consumers.runtime.commit import (
    AtLeastOnceCommit,
    CommitStrategy,
    GatheringSink,
    TransactionalCommit,
    skip_flush,
)
from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.instrumentation import InstrumentedHandler, InstrumentedHeartbeat, InstrumentedSink
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.maintenance import MaintenanceTask
from consumers.runtime.ports import BatchHandler, HandlerDefaults, Sink
from consumers.scoring.calibrator import SEARCH_SYNC_POINTS
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.handler import RequestHandler
from consumers.searching.replies import ReplyPublisher, oversized_reply_rejection
from consumers.searching.reply_deduplication import ReplyDeduplicator, read_answered_ids
from consumers.searching.search_handler import SearchHandler
from consumers.vision.contracts import Encoder
from consumers.workers.generation_switcher import GenerationSwitcher
from consumers.workers.index_worker import (
    QUERY_GROUP,
    SEARCH_FETCH_TIMEOUT_SECONDS,
    LaneSinks,
    buffer_limits,
    make_crash_ledger,
    make_image_pipeline,
    make_lane_sinks,
    resolve_broker,
)
from consumers.workers.metrics import result_observer
from consumers.workers.resources import (
    IndexContext,
    WorkerContext,
    make_calibrator,
    open_context,
    open_worker_context,
)
from consumers.workers.tracing import Handle
from infra.config.settings import Settings
from infra.encoder import EncoderUnavailable
from infra.kafka import EventSink, EventSource, PartitionCache, Record, TransactionSink, topic_ends
from infra.metrics import SearchMetrics
from infra.observability.heartbeat import HeartbeatFile
from infra.observability.redaction import redaction
from infra.qdrant.connect import connect_register
from infra.qdrant.generations import Generation
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.topics import ITEM_TOPICS, SEARCH_REQUESTS


@contextmanager
def query_worker(settings: Settings, heartbeat: Path | None) -> Iterator[WorkerLoop]:
    """Build the worker for search requests; its resources are closed at the end of the block."""
    worker_settings = settings.worker
    with ExitStack() as stack:
        worker = open_worker_context(settings, resolve_broker(settings), "query", stack)
        kafka = worker.kafka
        source = EventSource(kafka, QUERY_GROUP, [SEARCH_REQUESTS], room=buffer_limits(worker_settings))
        stack.callback(source.close)
        reply_sink, strategy = _open_commit_strategy(worker, source, stack)
        observe = result_observer(SearchMetrics(worker.metrics.registry))
        sink = InstrumentedSink(reply_sink, observe, worker.metrics)
        sinks, partitions = make_lane_sinks(worker, sink), PartitionCache(kafka)
        deduplicator = ReplyDeduplicator(
            partial(read_answered_ids, kafka), round(time.time() * 1000), partitions.is_writable
        )

        def open_handler(generation: Generation, handler_stack: ExitStack) -> BatchHandler:
            return _make_handler(
                open_context(worker, generation, handler_stack), partitions, sinks, deduplicator, handler_stack
            )

        register = connect_register(settings)
        switcher = stack.enter_context(closing(GenerationSwitcher(lambda: register.read().serving, open_handler)))
        report = ReplyPublisher(sinks.sink, "", partitions.is_writable).publish_rejection
        router = FailureRouter(
            sink,
            report,
            Unlimited(),
            worker.slot,
            lambda: switcher.encoder,
            redaction(settings),
            {},
            record_bytes=kafka.record_bytes,
        )
        handler = InstrumentedHandler(switcher, worker.metrics)
        processor = BatchProcessor(handler, router, strategy, make_crash_ledger(worker, "query"))
        size = BatchSize(worker_settings.search_records, worker_settings.search_ms / 1000)
        instrumented_heartbeat = InstrumentedHeartbeat(HeartbeatFile(heartbeat), source, worker.metrics)
        yield WorkerLoop(source, processor, strategy, size, instrumented_heartbeat)


@dataclass(frozen=True)
class QueryWorkerHandler(HandlerDefaults):
    """Answers requests over one index."""

    requests: RequestHandler
    handle_events: Handle
    refuse_events: Handle
    maintenance: Callable[[], None]
    """Embeds null pictures and calibrates."""
    deduplicator: ReplyDeduplicator

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        return self.handle_events(events)

    def handle_expired(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Reply that the requests have expired."""
        return self.refuse_events(events)

    def idle(self) -> None:
        self.maintenance()

    def is_behind(self) -> bool:
        return self.requests.is_behind()

    def already_processed(self, record: Record) -> bool:
        """Whether a worker that crashed has already sent the reply."""
        return self.deduplicator.is_answered(record)

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of requests that cannot be served in time."""
        return self.requests.expired_ids(events)

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of searches that wait for a fresher index."""
        return self.requests.deferred_ids(events)


def _make_handler(
    context: IndexContext,
    partitions: PartitionCache,
    sinks: LaneSinks,
    deduplicator: ReplyDeduplicator,
    stack: ExitStack,
) -> QueryWorkerHandler:
    replies = ReplyPublisher(sinks.sink, context.encoder, partitions.is_writable)
    # The query worker has the most idle turns, so it embeds the null pictures for both kinds of worker.
    calibrator = make_calibrator(context, SEARCH_SYNC_POINTS)
    pipeline = make_image_pipeline(context, SEARCH_FETCH_TIMEOUT_SECONDS, stack)
    text_encoder = _open_text_encoder(context.embedder.encoder)
    pipeline = replace(pipeline, embed=EmbeddingCache(pipeline.embed).embed, text_encoder=text_encoder)
    searches = SearchHandler(pipeline, context.index, calibrator, replies, context.settings.worker.search_records)
    ends = partial(topic_ends, context.kafka, ITEM_TOPICS)
    freshness = ProgressReader(context.index, partitions.partition_count, ends)
    requests = RequestHandler(searches, FacetsHandler(context.index, replies, pipeline.policy), freshness, replies)
    return QueryWorkerHandler(
        requests,
        sinks.trace(requests.handle),
        sinks.trace(requests.handle_expired),
        MaintenanceTask(calibrator.idle),
        deduplicator,
    )


def _open_text_encoder(encoder: Encoder) -> TextEncoder | None:
    """Return the encoder if it reads texts; its text tower opens now, so that no search waits for it.

    Without a text tower that works, searches still match texts to the words of items.
    """
    if not isinstance(encoder, TextEncoder):
        return None
    try:
        encoder.encode_texts(["text"])
    except EncoderUnavailable as error:
        structlog.get_logger().warning("texts are matched to words of items alone", reason=str(error))
        return None
    return encoder


def _open_commit_strategy(
    context: WorkerContext, source: EventSource, stack: ExitStack
) -> tuple[Sink, CommitStrategy]:
    if context.settings.worker.search_delivery == "at_least_once":
        event_sink = stack.enter_context(closing(EventSink(context.kafka, problems=source.problems)))
        return event_sink, AtLeastOnceCommit(source, event_sink, skip_flush, 0)
    name = f"{QUERY_GROUP}-{context.slot}"
    transactions = stack.enter_context(closing(TransactionSink(context.kafka, name, source.problems)))
    sink = GatheringSink(oversized_reply_rejection)
    return sink, TransactionalCommit(source, sink, transactions)
