"""Answered: which requests a worker that is gone has answered after all.

A broker must undo the transaction that a killed worker left open, and keep the offsets of those that it completed.
The local one shows what was left open as soon as the next worker takes its name (Tansu 0.6.0, DECISIONS.md), so
requests from before a worker's time are looked up among the results before they are answered.
"""

from collections.abc import Callable

import structlog

from consumers.searching.replies import ANONYMOUS, everywhere, reply_topic, request_id_of, texts_of
from infra.config.settings import KafkaSettings
from infra.kafka import KafkaFault, Record, read_to_end
from schemas.envelope import CORRELATION_ID
from schemas.topics import MINUTE, SEARCH_RESULTS

SKEW_MS = 10_000
"""Clocks of producers may differ from ours by so much."""

KEPT_MS = 10 * MINUTE
"""Requests and results are kept for so long."""

ReadResults = Callable[[str, int], set[str]]
"""Takes a topic and a time in milliseconds since 1970; for whom the results since then are."""


class ReplyDeduplicator:
    """Reads each results topic once, when a request from before `started_ms` comes.

    `takes` tells whether a topic takes answers: those for one that does not went to the common topic.
    """

    def __init__(
        self, read: ReadResults, started_ms: int, takes: Callable[[str, int | None], bool] = everywhere
    ) -> None:
        self._read = read
        self._takes = takes
        self._until = started_ms + SKEW_MS
        self._since: dict[str, int] = {}
        self._seen: dict[str, set[str]] = {}

    def has(self, record: Record) -> bool:
        """Whether the request in this record has a result that readers can see. Raises Unavailable.

        A record that names no request, by its key or its header, is one of which that cannot be known.
        """
        headers = texts_of(record)
        name = request_id_of({CORRELATION_ID: record.key.decode("utf-8", "replace")} if record.key else headers)
        if record.timestamp_ms > self._until or name == ANONYMOUS:
            return False
        topic = reply_topic(headers)
        if not self._takes(topic, None):
            topic = SEARCH_RESULTS
        # Whole minutes, and no more of them than there can be: strangers choose the times of their requests.
        since = max(record.timestamp_ms // MINUTE * MINUTE, self._until // MINUTE * MINUTE - KEPT_MS)
        if since < self._since.get(topic, self._until + 1):
            self._seen[topic] = self._read(topic, since)  # first: when it fails it is read again
            self._since[topic] = since
        return name in self._seen[topic]


def for_whom(kafka: KafkaSettings, topic: str, since_ms: int) -> set[str]:
    """For whom the results in a topic are; of one that may not be read it is not known. Raises Unavailable."""
    try:
        return {request_id_of(texts_of(result)) for result in read_to_end(kafka, [topic], since_ms)}
    except KafkaFault as refused:
        structlog.get_logger().warning("results cannot be looked up", topic=topic, why=str(refused))
        return set()
