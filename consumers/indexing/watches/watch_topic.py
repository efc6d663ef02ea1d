"""The feed of standing searches: the whole topic when a worker starts, and what comes later before each batch."""

import threading
from collections.abc import Collection

import structlog

from consumers.indexing.watches.watch_file import WatchFile
from consumers.indexing.watches.watch_matrix import WatchMatrix, WatchRows
from consumers.runtime.ports import Sink
from infra.config.settings import KafkaSettings
from infra.kafka import OutgoingRecord, Record, TopicReader, read_to_end
from schemas.topics import SEARCH_WATCHES

FETCH_WAIT_MS = 500
"""A new standing search can wait; on the local broker each fetch that comes back empty costs (DECISIONS.md)."""

LAST_SECONDS = 2 * FETCH_WAIT_MS / 1000
"""A worker that stops waits so long for a standing search that was sent a moment before."""


class WatchTopic:
    """Follows the topic for any number of threads; `kept` is where standing searches survive the local broker."""

    def __init__(self, kafka: KafkaSettings, watchlist: WatchMatrix, kept: WatchFile | None, sink: Sink) -> None:
        self._watchlist = watchlist
        self._kept = kept
        self._values: dict[str, bytes] = {}
        """The standing searches by key; what is none is not among them, whatever its bytes are."""
        self._is_kept = True
        self._lock = threading.Lock()
        # The reader first: what comes while the rest is read is read again by it.
        self._reader = TopicReader(kafka.model_copy(update={"fetch_wait_ms": FETCH_WAIT_MS}), SEARCH_WATCHES)
        told = set()
        for record in read_to_end(kafka, [SEARCH_WATCHES]):
            self._put(record)
            told.add(_key(record))
        if kept is not None:
            self._bring_back(kept, told, sink)
        structlog.get_logger().info("standing searches", count=len(self._values))

    def rows(self, tenant: str) -> WatchRows | None:
        """The standing searches of a tenant, with the newest; none when there are none."""
        with self._lock:
            self._take_new()
            return self._watchlist.rows(tenant)

    def idle(self) -> None:
        """Take what is new while nothing else is to be done."""
        with self._lock:
            self._take_new()

    def close(self) -> None:
        """Keep the last ones too, and let go of the broker."""
        with self._lock:
            self._take_new(0 if self._kept is None else LAST_SECONDS)
            self._reader.close()

    def _take_new(self, seconds: float = 0) -> None:
        """Take what there is, or comes within these seconds."""
        while (record := self._reader.poll(seconds)) is not None:
            self._is_kept = not self._put(record) and self._is_kept
        if not self._is_kept:
            self._keep()

    def _put(self, record: Record) -> bool:
        """Take a record; whether it changes anything."""
        key, value = _key(record), record.value
        if self._values.get(key) == value:
            return False
        known = self._values.pop(key, None)
        if self._watchlist.put(key, value) and value is not None:
            self._values[key] = value
        return self._values.get(key) != known

    def _keep(self) -> None:
        """Write the file anew. With a full disk items are indexed all the same; the next look tries again."""
        try:
            if self._kept is not None:
                self._kept.write(self._values)
            self._is_kept = True
        except OSError as error:
            structlog.get_logger().error("standing searches are not kept on disk", why=error.strerror)

    def _bring_back(self, kept: WatchFile, told: Collection[str], sink: Sink) -> None:
        """Send those again that the local broker has forgotten; of `told` its topic knows, if only their end."""
        for key, value in kept.read().items():
            if key not in told and self._watchlist.put(key, value):
                sink.send_record(OutgoingRecord(SEARCH_WATCHES, key.encode(), value))
                self._values[key] = value
        sink.flush()
        self._keep()


def _key(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")
