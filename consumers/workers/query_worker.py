"""Composition of the query worker: one loop, and a job over whichever index serves."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from consumers.embedding.cache import EmbeddingCache
from consumers.points.progress import ProgressReader
from consumers.runtime.batch_processor import BatchProcessor
from consumers.runtime.commit import (
    AtLeastOnceCommit,
    CommitStrategy,
    GatheringSink,
    TransactionalCommit,
    nothing_to_make_durable,
)
from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.instrumentation import InstrumentedHandler, InstrumentedHeartbeat, InstrumentedSink
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.maintenance import MaintenanceTask
from consumers.runtime.ports import BatchHandler, HandlerDefaults, Sink
from consumers.scoring.calibrator import SOON
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.handler import RequestHandler
from consumers.searching.replies import ReplyPublisher, short_answer
from consumers.searching.reply_deduplication import ReplyDeduplicator, for_whom
from consumers.searching.search_handler import SearchHandler
from consumers.workers.generation_switcher import GenerationSwitcher
from consumers.workers.index_worker import (
    QUERY_GROUP,
    SEARCH_PATIENCE_SECONDS,
    LaneSinks,
    image_pipeline_of,
    ledger_of,
    reach,
    room_of,
    sinks_of,
)
from consumers.workers.metrics import see_results
from consumers.workers.resources import (
    IndexContext,
    WorkerContext,
    confidence_of,
    open_context,
    open_worker_context,
)
from consumers.workers.tracing import Handle
from infra.config.settings import Settings
from infra.kafka import EventSink, EventSource, PartitionCache, Record, TransactionSink, topic_ends
from infra.metrics import SearchMetrics
from infra.observability.heartbeat import HeartbeatFile
from infra.observability.redaction import redaction
from infra.qdrant.connect import generations_of
from infra.qdrant.generations import Generation
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.topics import ITEM_TOPICS, SEARCH_REQUESTS


@contextmanager
def query_worker(settings: Settings, heartbeat: Path | None) -> Iterator[WorkerLoop]:
    """The worker that takes search requests; closes all that it holds at the end."""
    given = settings.worker
    with ExitStack() as stack:
        worker = open_worker_context(settings, reach(settings), "query", stack)
        kafka = worker.kafka
        source = EventSource(kafka, QUERY_GROUP, [SEARCH_REQUESTS], room=room_of(given))
        stack.callback(source.close)
        plain, strategy = _commits(worker, source, stack)
        observe = see_results(SearchMetrics(worker.metrics.registry))
        sink = InstrumentedSink(plain, observe, worker.metrics)
        outlet, partitions = sinks_of(worker, sink), PartitionCache(kafka)
        answered = ReplyDeduplicator(partial(for_whom, kafka), round(time.time() * 1000), partitions.takes)

        def open_handler(generation: Generation, held: ExitStack) -> BatchHandler:
            return _handler(open_context(worker, generation, held), partitions, outlet, answered, held)

        register = generations_of(settings)
        serving = stack.enter_context(closing(GenerationSwitcher(lambda: register.read().serving, open_handler)))
        report = ReplyPublisher(outlet.sink, "", partitions.takes).tell
        router = FailureRouter(
            sink,
            report,
            Unlimited(),
            worker.slot,
            lambda: serving.encoder,
            redaction(settings),
            {},
            record_bytes=kafka.record_bytes,
        )
        handler = InstrumentedHandler(serving, worker.metrics)
        processor = BatchProcessor(handler, router, strategy, ledger_of(worker, "query"))
        size = BatchSize(given.search_records, given.search_ms / 1000)
        pulse = InstrumentedHeartbeat(HeartbeatFile(heartbeat), source, worker.metrics)
        yield WorkerLoop(source, processor, strategy, size, pulse)


@dataclass(frozen=True)
class QueryWorkerHandler(HandlerDefaults):
    """Requests that are answered over one index."""

    requests: RequestHandler
    work: Handle
    refusal: Handle
    maintenance: Callable[[], None]
    """Looks at null pictures."""
    answered: ReplyDeduplicator

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Answer them."""
        return self.work(events)

    def refuse(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Answer that there is no time for them."""
        return self.refusal(events)

    def idle(self) -> None:
        """Look at null pictures."""
        self.maintenance()

    def is_behind(self) -> bool:
        """Whether it is time to take more requests at once."""
        return self.requests.is_behind()

    def was_done(self, record: Record) -> bool:
        """Whether a worker that is gone has answered it."""
        return self.answered.has(record)

    def expired(self, events: Sequence[Event]) -> set[str]:
        """Those that cannot be answered in time."""
        return self.requests.expired(events)

    def deferred(self, events: Sequence[Event]) -> set[str]:
        """Those that wait for the index."""
        return self.requests.deferred(events)


def _handler(
    context: IndexContext,
    partitions: PartitionCache,
    outlet: LaneSinks,
    answered: ReplyDeduplicator,
    stack: ExitStack,
) -> QueryWorkerHandler:
    answers = ReplyPublisher(outlet.sink, context.encoder, partitions.takes)
    # Searches leave most idle turns, so theirs is the worker that looks at the null pictures, for both.
    confidence = confidence_of(context, SOON)
    sight = image_pipeline_of(context, SEARCH_PATIENCE_SECONDS, stack)
    sight = replace(sight, look_at=EmbeddingCache(sight.look_at).look_at)
    searches = SearchHandler(sight, context.index, confidence, answers, context.settings.worker.search_records)
    ends = partial(topic_ends, context.kafka, ITEM_TOPICS)
    freshness = ProgressReader(context.index, partitions.count, ends)
    requests = RequestHandler(searches, FacetsHandler(context.index, answers, sight.policy), freshness, answers)
    return QueryWorkerHandler(
        requests,
        outlet.watch(requests.handle),
        outlet.watch(requests.refuse),
        MaintenanceTask(confidence.idle),
        answered,
    )


def _commits(context: WorkerContext, source: EventSource, stack: ExitStack) -> tuple[Sink, CommitStrategy]:
    if context.settings.worker.search_delivery == "at_least_once":
        plain = stack.enter_context(closing(EventSink(context.kafka, problems=source.problems)))
        return plain, AtLeastOnceCommit(source, plain, nothing_to_make_durable, 0)
    name = f"{QUERY_GROUP}-{context.slot}"
    transactions = stack.enter_context(closing(TransactionSink(context.kafka, name, source.problems)))
    gathering = GatheringSink(short_answer)
    return gathering, TransactionalCommit(source, gathering, transactions)
