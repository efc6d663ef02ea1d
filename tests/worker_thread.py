"""A worker for tests, in a thread: it handles the records that are sent to some topics from now on."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from infra.kafka.client_settings import ConfigValue
from infra.kafka.sink import IDEMPOTENT_DELIVERY


@contextmanager
def run_worker(
    kafka: KafkaSettings,
    topics: Sequence[str],
    handle: Callable[[Record, EventSink], None],
    delivery: Mapping[str, ConfigValue] = IDEMPOTENT_DELIVERY,
) -> Iterator[None]:
    """Call `handle` with each record, and with a sink for its answers, until the block ends."""
    readers = [TopicReader(kafka, topic) for topic in topics]
    sink, stop = EventSink(kafka, delivery), threading.Event()

    def work() -> None:
        while not stop.is_set():
            records = [record for reader in readers if (record := reader.poll(0.02)) is not None]
            for record in records:
                handle(record, sink)
            if records:
                sink.flush()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for reader in readers:
            reader.close()
        sink.close()
