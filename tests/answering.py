"""A query worker of a test: answers each request with what the test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, TopicReader
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event, from_bytes
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS

Responder = Callable[[SearchRequest], list[SearchResult]]
Answering = Callable[[Responder], AbstractContextManager[None]]


@contextmanager
def answering(kafka: KafkaSettings, respond: Responder) -> Iterator[None]:
    """A query worker in a thread: sends what `respond` returns to each request."""
    reader, sink, stop = TopicReader(kafka, SEARCH_REQUESTS), EventSink(kafka), threading.Event()

    def work() -> None:
        while not stop.is_set():
            record = reader.poll(0.05)
            if record is None or record.value is None:
                continue
            request = from_bytes(record.value)
            assert isinstance(request, SearchRequest)
            headers = {name: (value or b"").decode() for name, value in record.headers.items()}
            for result in respond(request):
                event = Event(result, extra={CORRELATION_ID: result.request_id})
                sink.send(headers[REPLY_TO], result.request_id, event, int(headers[REPLY_PARTITION]))
            sink.flush()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        reader.close()
        sink.close()
