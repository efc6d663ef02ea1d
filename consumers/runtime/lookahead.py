"""Look-ahead: what the next batch needs is got ready while the one before is processed.

Whatever goes wrong with that is logged and left: the batch meets it again, with its records in progress.
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
    """Has `prepare` called for each record that comes next once, in a thread of its own; nobody waits for it."""

    def __init__(self, prepare: Callable[[Sequence[Event]], None]) -> None:
        self._prepare = prepare
        self._pool = ThreadPoolExecutor(1, "look-ahead")
        self._work: Future[None] | None = None
        self._seen: set[str] = set()
        self._log = structlog.get_logger()

    def look(self, upcoming: Callable[[], Sequence[Record]]) -> None:
        """Take up what comes next, unless there is still something to do."""
        if self._work is not None:
            if not self._work.done():
                return
            if (error := self._work.exception()) is not None:
                self._log.error("could not look ahead", exc_info=error)
        records = upcoming()
        new = [record for record in records if record.position not in self._seen]
        self._seen = {record.position for record in records}
        self._work = self._pool.submit(self._prepare_records, new) if new else None

    def close(self) -> None:
        """Let go of the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _prepare_records(self, records: Sequence[Record]) -> None:
        events = [each.event for each in parse(records) if each.event is not None]
        with suppress(Unavailable):  # the batch itself will find that out
            self._prepare(events)
