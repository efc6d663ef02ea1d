"""The feed of standing searches: the whole topic when a worker starts, and what comes later before each batch."""

import threading
from collections.abc import Collection

import structlog

from consumers.watches.kept import KeptWatches
from consumers.watches.watchlist import Rows, Watchlist
from consumers.worker import Sink
from infra.kafka import Record, TopicReader, read_to_end
from infra.settings import Kafka
from schemas.topics import SEARCH_WATCHES

FETCH_WAIT_MS = 500
"""A new standing search can wait; on the local broker each fetch that comes back empty costs (DECISIONS.md)."""

LAST_SECONDS = 2 * FETCH_WAIT_MS / 1000
"""A worker that stops waits so long for a standing search that was sent a moment before."""


class WatchFeed:
    """Follows the topic for any number of threads; `kept` is where standing searches survive the local broker."""

    def __init__(self, kafka: Kafka, watchlist: Watchlist, kept: KeptWatches | None, sink: Sink) -> None:
        self._watchlist = watchlist
        self._kept = kept
        self._values: dict[str, bytes] = {}
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

    def rows(self, tenant: str) -> Rows | None:
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
        changed = False
        while (record := self._reader.poll(seconds)) is not None:
            changed = self._put(record) or changed
        if changed and self._kept is not None:
            self._kept.write(self._values)

    def _put(self, record: Record) -> bool:
        """Take a record; whether it changes anything."""
        key = _key(record)
        if self._values.get(key) == record.value:
            return False
        if record.value is None:
            del self._values[key]
        else:
            self._values[key] = record.value
        self._watchlist.put(key, record.value)
        return True

    def _bring_back(self, kept: KeptWatches, told: Collection[str], sink: Sink) -> None:
        """Send those again that the local broker has forgotten; of `told` its topic knows, if only their end."""
        for key, value in kept.read().items():
            if key not in told:
                sink.send_raw(SEARCH_WATCHES, key.encode(), value, {})
                self._values[key] = value
                self._watchlist.put(key, value)
        sink.flush()
        kept.write(self._values)


def _key(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")
