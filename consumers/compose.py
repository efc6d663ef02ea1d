"""Composition: builds all that a worker needs and hands it down.

It stands apart from commands.py because it imports everything, and `lookstream --help` must not.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from consumers.answers import Answers
from consumers.category import Categories
from consumers.confidence import SOON, WHENEVER, Confidence
from consumers.curves import Parts
from consumers.index import IndexItems
from consumers.query import AnswerSearches
from consumers.sight import Sight
from consumers.vision.colour import make_colours
from consumers.vision.decode import Limits
from consumers.vision.look import Eyes, look_size
from consumers.worker import Batches, Job, Worker
from infra.encoder import open_encoder
from infra.health import Heartbeat
from infra.images import Images
from infra.kafka import EventSink, EventSource, check_broker
from infra.qdrant.embedded import EmbeddedIndex
from infra.qdrant.plan import Index
from infra.qdrant.server import open_server
from infra.running import index_key, reach_index, reach_kafka
from infra.settings import Kafka, Settings
from schemas.failures import Unavailable
from schemas.topics import ITEM_TOPICS, SEARCH_REQUESTS

INDEX_GROUP, QUERY_GROUP = "lookstream-index", "lookstream-query"
"""Consumer groups: workers of one group share the partitions."""
PATIENCE_SECONDS = 30.0
"""How long a starting worker waits for an index that is away."""
AGAIN_SECONDS = 0.5
ITEM_FETCH_WAIT_MS = 25
"""Items can wait so long for a fetch; on the local broker each fetch that comes back empty costs (DECISIONS.md)."""
COMMIT_SECONDS = 2.0
"""How often the index worker commits; what was done since is done again, to no effect, after a crash."""


@dataclass(frozen=True)
class Shop:
    """What both workers are made of."""

    kafka: Kafka
    index: Index
    eyes: Eyes
    sight: Sight
    sink: EventSink


@contextmanager
def index_worker(settings: Settings, heartbeat: Path | None) -> Iterator[Worker]:
    """The worker that takes item events; closes all that it holds at the end."""
    with ExitStack() as stack:
        shop = _open_shop(settings, stack)
        items = IndexItems(shop.sight, shop.index, Categories(shop.index, _confidence(shop, WHENEVER)), shop.sink)
        batches = Batches(settings.worker.batch_records, settings.worker.batch_ms / 1000, COMMIT_SECONDS)
        patient = {"fetch_wait_ms": max(shop.kafka.fetch_wait_ms, ITEM_FETCH_WAIT_MS)}
        source = _join(shop.kafka.model_copy(update=patient), INDEX_GROUP, ITEM_TOPICS, stack)
        yield Worker(
            source, shop.sink, Job(items.handle, items.tell, shop.index.flush), batches, Heartbeat(heartbeat)
        )


@contextmanager
def query_worker(settings: Settings, heartbeat: Path | None) -> Iterator[Worker]:
    """The worker that takes search requests; closes all that it holds at the end."""
    with ExitStack() as stack:
        shop = _open_shop(settings, stack)
        answers = Answers(shop.sink, shop.sight.encoder)
        confidence = _confidence(shop, SOON)
        searches = AnswerSearches(shop.sight, shop.index, confidence, answers)
        batches = Batches(settings.worker.search_records, settings.worker.search_ms / 1000)
        source = _join(shop.kafka, QUERY_GROUP, [SEARCH_REQUESTS], stack)
        # Searches leave most idle turns, so theirs is the worker that looks at the null pictures, for both.
        job = Job(searches.handle, answers.tell, idle=confidence.idle)
        yield Worker(source, shop.sink, job, batches, Heartbeat(heartbeat))


def _open_shop(settings: Settings, stack: ExitStack) -> Shop:
    kafka = reach_kafka(settings)
    check_broker(kafka)
    eyes = _open_eyes(settings, stack)
    index = open_index(settings, eyes.encoder.fingerprint, look_size(eyes.encoder))
    stack.callback(index.close)
    images = Images(settings.images)
    stack.callback(images.close)
    sink = EventSink(kafka)
    stack.callback(sink.close)
    return Shop(kafka, index, eyes, Sight(images.fetch_all, eyes.look_at, eyes.encoder.fingerprint), sink)


def _confidence(shop: Shop, at_once: int) -> Confidence:
    encoder = shop.eyes.encoder
    parts = Parts(encoder.object_size, encoder.style_size)
    return Confidence(shop.index, shop.eyes.look_at, parts, at_once=at_once)


def _open_eyes(settings: Settings, stack: ExitStack) -> Eyes:
    encoder = open_encoder(settings.encoder, settings.torch)
    pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="eyes"))
    given = settings.images
    limits = Limits(given.max_bytes, given.max_pixels, thumbnail=given.thumbnails)
    return Eyes(encoder, make_colours(), limits, pool)


def open_index(settings: Settings, fingerprint: str, size: int, patience: float = PATIENCE_SECONDS) -> Index:
    """The index that the settings name, open for vectors of `size`; waits while it is away."""
    until = time.monotonic() + patience
    while True:
        try:
            index = _reach(settings)
            index.open(fingerprint, size)
        except Unavailable as away:
            if time.monotonic() > until:
                raise
            structlog.get_logger().warning("waiting for the index", why=str(away))
            time.sleep(AGAIN_SECONDS)
        else:
            return index


def _reach(settings: Settings) -> Index:
    if settings.qdrant.url:
        return open_server(settings.qdrant)
    return EmbeddedIndex(reach_index(settings), index_key(settings.data), settings.qdrant.timeout_s)


def _join(kafka: Kafka, group: str, topics: Sequence[str], stack: ExitStack) -> EventSource:
    source = EventSource(kafka, group, topics)
    stack.callback(source.close)
    return source
