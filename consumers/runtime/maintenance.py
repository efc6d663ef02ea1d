"""Maintenance: tasks of idle turns that belong to no record (calibration, tombstones, backfill)."""

import time
from collections.abc import Callable

import structlog

from schemas.failures import Fault, Unavailable

RETRY_SECONDS = 30.0
"""How long a task pauses after a failed step: its cause will hardly be gone at once."""


class MaintenanceTask:
    """A task done one step at a time between batches. Errors are logged; only a Fault ends the worker."""

    def __init__(self, step: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._step = step
        self._now = now
        self._retry_at = float("-inf")

    def __call__(self) -> None:
        """Do one step, unless the last one failed less than RETRY_SECONDS ago."""
        if self._now() < self._retry_at:
            return
        log = structlog.get_logger()
        try:
            self._step()
        except Unavailable as error:
            log.debug("maintenance step postponed", reason=str(error))
        except Fault:
            raise
        except Exception:
            self._retry_at = self._now() + RETRY_SECONDS
            log.exception("maintenance task failed", retry_in_seconds=RETRY_SECONDS)
