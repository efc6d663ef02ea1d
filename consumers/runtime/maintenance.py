"""Maintenance: what is done in idle turns (calibration, tombstones, backfill), which belongs to no record."""

import time
from collections.abc import Callable

import structlog

from schemas.failures import Fault, Unavailable

AGAIN_SECONDS = 30.0
"""How long a step that failed is left out: its cause will hardly be gone at once."""


class MaintenanceTask:
    """A task that is done a step at a time beside the work: its errors are logged; only a Fault ends the worker."""

    def __init__(self, step: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._step = step
        self._now = now
        self._again_at = float("-inf")

    def __call__(self) -> None:
        """Do the step, unless it has failed a short while ago."""
        if self._now() < self._again_at:
            return
        log = structlog.get_logger()
        try:
            self._step()
        except Unavailable as away:
            log.debug("idle", why=str(away))
        except Fault:
            raise
        except Exception:
            self._again_at = self._now() + AGAIN_SECONDS
            log.exception("a maintenance task failed", again_in=AGAIN_SECONDS)
