"""Topic listener: a thread that reads records until it is closed, and passes each to a handler."""

import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from infra.client.reply_router import POLL_SECONDS
from infra.kafka import Record
from schemas.failures import Failure, Unavailable


class RecordReader(Protocol):
    """Reads records one at a time."""

    def poll(self, seconds: float) -> Record | None:
        """The next record, or None if none arrives in time."""

    def close(self) -> None:
        """Close the connection to the broker."""


class TopicListener:
    """Reads in its own thread until it is closed; invalid records are skipped."""

    def __init__(self, reader: RecordReader, handle: Callable[[Record], None]) -> None:
        self._reader, self._handle = reader, handle
        self._closing = threading.Event()
        self._log = structlog.get_logger()
        self.failure: BaseException | None = None
        """The error that ended the thread; None if it runs or was closed. After an error no more records arrive."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading and close the connection to the broker."""
        self._closing.set()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._read()
        except BaseException as error:  # the server then ends too: producers/gateway/server.py
            self.failure = error
            raise

    def _read(self) -> None:
        try:
            record = self._reader.poll(POLL_SECONDS)
            if record is not None:
                self._handle(record)
        except (Unavailable, Failure) as error:
            self._log.warning("a record is passed over", reason=str(error))
