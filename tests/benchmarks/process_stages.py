"""The stages between processes: pictures from their host, and records through a broker of their own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import cycle, islice

from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.fetching.fetcher import ImageFetcher
from infra.kafka import Batch, EventSink, EventSource, TransactionSink, create_topics, record_of_event
from infra.local.ports import LOOPBACK, find_free_port
from infra.local.services import broker_service
from infra.local_state import local_kafka
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted, UrlImage, item_key
from schemas.results import SearchResult
from schemas.topics import CATALOG_ITEMS, SEARCH_RESULTS, all_topics
from tests.benchmarks.rounds import Measure
from tests.infra.fetching.picture_host import run_server, send
from tests.service_process import run_service

BATCH, ANSWERS = 64, 16
"""Item events, and search requests, in a full batch."""
TAKE_SECONDS = 10.0


@dataclass
class ProcessStages:
    """The connected clients of the stages; measure these in the order of their methods."""

    images: ImageFetcher
    urls: Sequence[UrlImage]
    pictures: Sequence[bytes]
    sink: EventSink
    source: EventSource
    replies: TransactionSink
    batch: Batch = field(default_factory=Batch)

    def fetch(self, _round: int) -> float:
        """Milliseconds for BATCH pictures from one host, four at a time."""
        return _milliseconds(lambda: self.images.fetch_all(self.urls))

    def produce(self, round_: int) -> float:
        """Milliseconds until the broker has BATCH item events with their pictures."""
        events = [_item(picture, f"{round_}-{n}") for n, picture in enumerate(self.pictures)]
        return _milliseconds(lambda: self._send(events))

    def take(self, _round: int) -> float:
        """Milliseconds until these have been read."""

        def read() -> None:
            batch, until = Batch(), time.monotonic() + TAKE_SECONDS
            while len(batch.records) < BATCH:
                assert time.monotonic() < until, "what was sent did not come"
                batch = batch + self.source.poll_batch(BATCH - len(batch.records), 0)
            self.batch = batch

        return _milliseconds(read)

    def commit(self, _round: int) -> float:
        """Milliseconds for a commit of their offsets."""
        self.source.mark_finished(self.batch)
        return _milliseconds(self.source.commit_sync)

    def reply(self, round_: int) -> float:
        """Milliseconds for a transaction with ANSWERS results."""
        results = [SearchResult(request_id=f"{round_}-{n}", status="no_match") for n in range(ANSWERS)]

        def answer() -> None:
            records = [record_of_event(SEARCH_RESULTS, each.request_id, Event(each)) for each in results]
            offsets = self.source.offsets_to_commit(self.batch)
            self.replies.commit(records, offsets, self.source.group_metadata)

        return _milliseconds(answer)

    def _send(self, items: Sequence[ItemUpserted]) -> None:
        for item in items:
            self.sink.send(CATALOG_ITEMS, item_key(item.tenant, item.item_id), Event(item))
        self.sink.flush()


@contextmanager
def open_process_stages(pictures: Sequence[bytes]) -> Iterator[ProcessStages]:
    """Start a broker and a picture host, and connect to both."""
    port = find_free_port(0)
    chosen = list(islice(cycle(pictures), BATCH))
    settings = ImageSettings(allow_http=True, allow_hosts=(LOOPBACK,))
    with ExitStack() as stack:
        stack.enter_context(run_service(broker_service(port)))
        kafka = local_kafka(KafkaSettings(), f"{LOOPBACK}:{port}")
        create_topics(kafka, all_topics())
        host = stack.enter_context(run_server(_host_of(chosen)))
        source = stack.enter_context(closing(EventSource(kafka, "bench", [CATALOG_ITEMS])))
        while not source.assigned:
            source.poll_batch(1, 0)
        yield ProcessStages(
            stack.enter_context(closing(ImageFetcher(settings))),
            [UrlImage(url=f"http://{LOOPBACK}:{host}/{n}") for n in range(BATCH)],
            chosen,
            stack.enter_context(closing(EventSink(kafka))),
            source,
            stack.enter_context(closing(TransactionSink(kafka, "bench"))),
        )


def process_stage_measures(process_stages: ProcessStages) -> dict[str, Measure]:
    """The stages between processes."""
    return {
        "fetch_64": Measure(f"fetch {BATCH} pictures from one host", "ms", process_stages.fetch),
        "produce_64": Measure(f"produce {BATCH} events with pictures", "ms", process_stages.produce),
        "take_64": Measure("take them", "ms", process_stages.take),
        "commit": Measure("commit their offsets", "ms", process_stages.commit),
        "reply_16": Measure(f"reply {ANSWERS} results, one transaction", "ms", process_stages.reply),
    }


def _host_of(pictures: Sequence[bytes]) -> type[BaseHTTPRequestHandler]:
    class Host(BaseHTTPRequestHandler):
        """Serves each picture by its number."""

        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 20  # head and body in one packet: else the kernel waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            send(self, 200, pictures[int(self.path[1:])], Content_Type="application/octet-stream")

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Host


def _item(picture: bytes, item: str) -> ItemUpserted:
    image = InlineImage(data=picture)
    return ItemUpserted(item_id=item, source="catalog", revision=1, images=(image,))


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
