"""A thread that reads records for ever and hands each to whoever waits for it."""

import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from infra.client.search_client import POLL_SECONDS
from infra.kafka import Record
from schemas.failures import Failure, Unavailable


class RecordReader(Protocol):
    """Reads records one by one."""

    def poll(self, seconds: float) -> Record | None:
        """The next record, or None when none came in time."""

    def close(self) -> None:
        """Let go of the broker."""


class TopicListener:
    """Reads in a thread of its own until it is closed; records that make no sense are passed over."""

    def __init__(self, reader: RecordReader, take: Callable[[Record], None]) -> None:
        self._reader, self._take = reader, take
        self._closing = threading.Event()
        self._log = structlog.get_logger()
        self.failure: BaseException | None = None
        """What has ended the thread, if it was not closed: whoever waits for records waits in vain."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more, and let go of the broker."""
        self._closing.set()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._read()
        except BaseException as error:  # the server ends with it: producers/gateway/server.py
            self.failure = error
            raise

    def _read(self) -> None:
        try:
            record = self._reader.poll(POLL_SECONDS)
            if record is not None:
                self._take(record)
        except (Unavailable, Failure) as error:
            self._log.warning("a record is passed over", why=str(error))
