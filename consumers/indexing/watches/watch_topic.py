"""Watch topic reader: read the whole topic when a worker starts, and new records before each batch."""

import threading
from collections.abc import Collection

import structlog

from consumers.indexing.watches.watch_file import WatchFile
from consumers.indexing.watches.watch_matrix import WatchMatrix, WatchRows
from consumers.runtime.ports import Sink
from infra.config.kafka import KafkaSettings
from infra.kafka import OutgoingRecord, Record, TopicReader, read_to_end
from schemas.topics import SEARCH_WATCHES

FETCH_WAIT_MS = 500
"""Kafka fetch wait: a new watch is not urgent, and an empty fetch has a cost on the local broker (DECISIONS.md)."""

CLOSE_WAIT_SECONDS = 2 * FETCH_WAIT_MS / 1000
"""How long a worker that stops waits for a watch that was sent just before."""


class WatchTopic:
    """Reads the topic on behalf of any number of threads; `file` stores the watches where the broker loses them."""

    def __init__(self, kafka: KafkaSettings, matrix: WatchMatrix, file: WatchFile | None, sink: Sink) -> None:
        self._matrix = matrix
        self._file = file
        self._values: dict[str, bytes] = {}
        """The values of the valid watches, by key."""
        self._file_is_current = True
        self._lock = threading.Lock()
        # Open the reader first: it also returns the records that arrive while the topic is read to its end.
        self._reader = TopicReader(kafka.with_fetch_wait(FETCH_WAIT_MS), SEARCH_WATCHES)
        topic_keys = set()
        for record in read_to_end(kafka, [SEARCH_WATCHES]):
            self._apply(record)
            topic_keys.add(_key(record))
        if file is not None:
            self._restore(file, topic_keys, sink)
        structlog.get_logger().info("watches loaded", count=len(self._values))

    def rows(self, tenant: str) -> WatchRows | None:
        """The watches of a tenant after reading new records; None if it has none."""
        with self._lock:
            self._poll()
            return self._matrix.rows(tenant)

    def idle(self) -> None:
        """Read new records while the worker has nothing else to do."""
        with self._lock:
            self._poll()

    def close(self) -> None:
        """Store the last watches in the file, if there is one, and close the reader."""
        with self._lock:
            self._poll(0 if self._file is None else CLOSE_WAIT_SECONDS)
            self._reader.close()

    def _poll(self, seconds: float = 0) -> None:
        """Apply the records that are available, or that arrive within `seconds`."""
        while (record := self._reader.poll(seconds)) is not None:
            self._file_is_current = not self._apply(record) and self._file_is_current
        if not self._file_is_current:
            self._write_file()

    def _apply(self, record: Record) -> bool:
        """Apply a record. Returns whether it changes the valid watches."""
        key, value = _key(record), record.value
        if self._values.get(key) == value:
            return False
        previous = self._values.pop(key, None)
        if self._matrix.apply(key, value) and value is not None:
            self._values[key] = value
        return self._values.get(key) != previous

    def _write_file(self) -> None:
        """Rewrite the file. If the disk is full, indexing continues, and the next poll tries again."""
        try:
            if self._file is not None:
                self._file.write(self._values)
            self._file_is_current = True
        except OSError as error:
            structlog.get_logger().error("watches not written to disk", reason=error.strerror)

    def _restore(self, file: WatchFile, topic_keys: Collection[str], sink: Sink) -> None:
        """Send the watches again that the local broker has lost: those whose keys the topic does not hold.

        A key in `topic_keys` is current in the topic, even if its record is a tombstone.
        """
        for key, value in file.read().items():
            if key not in topic_keys and self._matrix.apply(key, value):
                sink.send_record(OutgoingRecord(SEARCH_WATCHES, key.encode(), value))
                self._values[key] = value
        sink.flush()
        self._write_file()


def _key(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")
