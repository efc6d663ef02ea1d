"""Reply deduplication: detect requests that a previous worker has already answered.

A broker must abort the transaction that a killed worker left open, and keep the offsets of completed transactions.
The local broker makes the records of an open transaction readable as soon as the next worker registers the same
transactional id (Tansu 0.6.0, DECISIONS.md). So requests from before the start of a worker are looked up in the
results topics before they are answered.
"""

from collections.abc import Callable

import structlog

from consumers.searching.replies import UNKNOWN_REQUEST_ID, decode_headers, everywhere, reply_topic, request_id_of
from infra.config.kafka import KafkaSettings
from infra.kafka import KafkaFault, Record, read_to_end
from schemas.envelope import CORRELATION_ID
from schemas.topics import MINUTE, SEARCH_RESULTS

MAX_CLOCK_SKEW_MS = 10_000
"""Largest expected difference between a producer's clock and the worker's, in milliseconds."""

RETENTION_MS = 10 * MINUTE
"""Retention of the request and result topics, in milliseconds."""

ReadResults = Callable[[str, int], set[str]]
"""Takes a topic and a time in milliseconds since 1970; returns the request ids of the results since then."""


class ReplyDeduplicator:
    """Looks up requests from before the start of the worker in their results topics.

    A results topic is read at the first such request, and again only for an earlier one. `partition_exists` tells
    whether a topic exists; replies to a missing topic are in the common topic. `started_ms` is the start of
    the worker in milliseconds since 1970.
    """

    def __init__(
        self,
        read: ReadResults,
        started_ms: int,
        partition_exists: Callable[[str, int | None], bool] = everywhere,
    ) -> None:
        self._read = read
        self._partition_exists = partition_exists
        self._until = started_ms + MAX_CLOCK_SKEW_MS
        self._since: dict[str, int] = {}
        """Time from which each topic was read, in milliseconds since 1970."""
        self._answered_ids: dict[str, set[str]] = {}
        """Request ids of the results in each topic since then."""

    def is_answered(self, record: Record) -> bool:
        """Return whether the request in this record has a result that consumers can read. Raises Unavailable.

        False for a record without a request id in its key or header, because its result cannot be identified.
        """
        headers = decode_headers(record)
        id_source = {CORRELATION_ID: record.key.decode("utf-8", "replace")} if record.key else headers
        request_id = request_id_of(id_source)
        if record.timestamp_ms > self._until or request_id == UNKNOWN_REQUEST_ID:
            return False
        topic = reply_topic(headers)
        if not self._partition_exists(topic, None):
            topic = SEARCH_RESULTS
        # Rounded to whole minutes and limited to the retention: clients choose the timestamps of their requests.
        since = max(record.timestamp_ms // MINUTE * MINUTE, self._until // MINUTE * MINUTE - RETENTION_MS)
        if since < self._since.get(topic, self._until + 1):
            self._answered_ids[topic] = self._read(topic, since)  # first, so that a failed read is repeated
            self._since[topic] = since
        return request_id in self._answered_ids[topic]


def read_answered_ids(kafka: KafkaSettings, topic: str, since_ms: int) -> set[str]:
    """Return the request ids of the results in a topic since a time, in milliseconds since 1970.

    Empty when reading the topic is refused. Raises Unavailable.
    """
    try:
        return {request_id_of(decode_headers(result)) for result in read_to_end(kafka, [topic], since_ms)}
    except KafkaFault as error:
        structlog.get_logger().warning("earlier results cannot be read", topic=topic, reason=str(error))
        return set()
