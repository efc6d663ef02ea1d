"""What Kafka and its clients take by themselves: requests are answered as soon as they come, in a transaction."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSource, TransactionSink, create_topics, record_of_event
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, Event, from_record
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS, all_topics

PREFIX = "echo."
START_SECONDS = 60.0


@contextmanager
def echo(kafka: KafkaSettings) -> Iterator[KafkaSettings]:
    """Run an echo service on the broker of `kafka`, under a prefix of its own; how to reach it."""
    own = kafka.model_copy(update={"prefix": PREFIX})
    create_topics(own, all_topics())
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=_answer, args=(own, ready, stop), name="echo", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_SECONDS):
            raise RuntimeError("the echo service has not started: see its trace")
        yield own
    finally:
        stop.set()
        thread.join()


def _answer(kafka: KafkaSettings, ready: threading.Event, stop: threading.Event) -> None:
    with (
        closing(EventSource(kafka, "echo", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "echo")) as transactions,
    ):
        while not stop.is_set():
            batch = source.poll_batch(1, 0)
            if source.assigned:
                ready.set()
            for record in batch.records:
                event = from_record(record.position, record.key, record.value, record.headers, record.timestamp_ms)
                assert isinstance(event.body, SearchRequest), "nobody else asks here"
                name, place = event.body.request_id, int(event.extra[REPLY_PARTITION])
                answer = Event(SearchResult(request_id=name, status="no_match"), extra={CORRELATION_ID: name})
                answers = [record_of_event(SEARCH_RESULTS, name, answer, place)]
                offsets = source.offsets_to_commit(batch)
                transactions.commit(answers, offsets, source.group_metadata)
                source.mark_finished(batch)
                source.mark_committed(offsets)
