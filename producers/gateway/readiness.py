"""Readiness check: whether everything that requests depend on is available."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator

from infra.config.settings import Settings
from infra.local.health_checks import HealthCheck, check_all
from infra.local_state import read_local_state
from infra.observability.heartbeat import MAX_AGE_SECONDS
from schemas.failures import Unavailable

ANSWER_SECONDS = 1.0
"""How long a result is cached: readiness needs no token, so frequent requests must not cost more."""
MIN_FREE_BYTES = 256 << 20
"""Free disk space that the embedded engine needs to accept items."""
WORKER_SUFFIX = " worker"


class Readiness:
    """Runs the check, one at a time, and caches the result for ANSWER_SECONDS."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check, self._lock = check, asyncio.Lock()
        self._valid_until, self._reason = float("-inf"), ""

    async def why_not(self) -> str:
        """What is unavailable, in one sentence; empty if everything is available."""
        async with self._lock:
            if time.monotonic() >= self._valid_until:
                try:
                    await asyncio.to_thread(self._check)
                    self._reason = ""
                except Unavailable as error:
                    self._reason = str(error)
                self._valid_until = time.monotonic() + ANSWER_SECONDS
            return self._reason


def check_system(settings: Settings) -> None:
    """Raise Unavailable while Kafka or the index is; in local mode (`up`) also for its workers and its disk."""
    is_local = read_local_state(settings.data) is not None
    checks = check_all(settings, MAX_AGE_SECONDS)
    failed = [check for check in checks if not check.well and not check.part.endswith(WORKER_SUFFIX)]
    if is_local:
        failed += [*_failed_workers(checks), *_low_disk(settings)]
    if failed:
        raise Unavailable("; ".join(f"{check.part}: {check.says}" for check in failed))


def _failed_workers(checks: list[HealthCheck]) -> Iterator[HealthCheck]:
    """The query worker if it is not well; index workers if none is well, as one may be filling another index."""
    index = [check for check in checks if check.part.startswith("index") and check.part.endswith(WORKER_SUFFIX)]
    if not any(check.well for check in index):
        yield from index
    yield from (check for check in checks if check.part == f"query{WORKER_SUFFIX}" and not check.well)


def _low_disk(settings: Settings) -> Iterator[HealthCheck]:
    free = shutil.disk_usage(settings.data).free
    if free < MIN_FREE_BYTES:
        message = f"{free >> 20} MB are free below {settings.data}, items need {MIN_FREE_BYTES >> 20}: make room"
        yield HealthCheck("disk", message, well=False)
