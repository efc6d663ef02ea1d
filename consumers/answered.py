"""Answered: which requests a worker that died has answered after all.

A broker must undo the transaction that a killed worker left open. The local one makes it visible instead, when
the next worker takes its name (Tansu 0.6.0, DECISIONS.md); so the requests that were in hand are looked up first.
"""

import time
from contextlib import closing

from consumers.answers import reply_topic, request_id_of, texts_of
from infra.kafka import Record, TopicReader
from infra.settings import Kafka

QUIET_SECONDS = 0.3
"""A topic has been read to its end when nothing came for so long."""


class Answered:
    """Reads each results topic once, when it is first asked about."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._seen: dict[str, set[str]] = {}

    def has(self, record: Record) -> bool:
        """Whether the request in this record has a result that readers can see."""
        headers = texts_of(record)
        topic = reply_topic(headers)
        if topic not in self._seen:
            self._seen[topic] = self._read(topic, record.timestamp_ms)
        return request_id_of(headers) in self._seen[topic]

    def _read(self, topic: str, since_ms: int) -> set[str]:
        """Whom the results since then are for, up to now."""
        started = time.time() * 1000
        seen: set[str] = set()
        with closing(TopicReader(self._kafka, topic)) as reader:
            reader.since(since_ms)
            while (result := reader.poll(QUIET_SECONDS)) is not None and result.timestamp_ms < started:
                seen.add(request_id_of(texts_of(result)))
        return seen
