"""Look-ahead: prepares the records of the next batch while the current one is processed.

Errors do not stop the worker: the batch meets them again, when the crash ledger lists its records as in progress.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import structlog

from consumers.runtime.parsing import parse
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Unavailable


class LookAhead:
    """Calls `prepare` once for each upcoming record, on its own thread; no caller waits for it."""

    def __init__(self, prepare: Callable[[Sequence[Event]], None]) -> None:
        self._prepare = prepare
        self._pool = ThreadPoolExecutor(1, "look-ahead")
        self._future: Future[None] | None = None
        self._known_positions: set[str] = set()
        self._log = structlog.get_logger()

    def submit(self, upcoming: Callable[[], Sequence[Record]]) -> None:
        """Submit the new ones of the upcoming records, unless the last submission is still running."""
        if self._future is not None:
            if not self._future.done():
                return
            if (error := self._future.exception()) is not None:
                self._log.error("look-ahead failed", exc_info=error)
        records = upcoming()
        new = [record for record in records if record.position not in self._known_positions]
        self._known_positions = {record.position for record in records}
        self._future = self._pool.submit(self._prepare_records, new) if new else None

    def close(self) -> None:
        """Stop the thread without waiting for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _prepare_records(self, records: Sequence[Record]) -> None:
        events = [parsed.event for parsed in parse(records) if parsed.event is not None]
        with suppress(Unavailable):  # the batch itself meets the same error
            self._prepare(events)
