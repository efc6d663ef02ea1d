"""Readiness: whether all that requests need is there."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator

from infra.config.settings import Settings
from infra.local.health_checks import HealthCheck, check_all
from infra.local_state import read_local_state
from infra.observability.heartbeat import FRESH_SECONDS
from schemas.failures import Unavailable

ANSWER_SECONDS = 1.0
"""How long an answer about readiness stands: who asks more often, without a token, costs nothing more."""
LEAST_FREE_BYTES = 256 << 20
"""Below this the embedded engine takes no more items."""
WORKER = " worker"


class Readiness:
    """Asks whether all is there, for one asker at a time, and remembers the answer for a moment."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check, self._turn = check, asyncio.Lock()
        self._until, self._why = float("-inf"), ""

    async def why_not(self) -> str:
        """What is away, in a sentence; empty when all is there."""
        async with self._turn:
            if time.monotonic() >= self._until:
                try:
                    await asyncio.to_thread(self._check)
                    self._why = ""
                except Unavailable as away:
                    self._why = str(away)
                self._until = time.monotonic() + ANSWER_SECONDS
            return self._why


def check_system(settings: Settings) -> None:
    """Raise Unavailable while Kafka or the index is away; where `up` runs, also for its workers and its disk."""
    is_local = read_local_state(settings.data) is not None
    checks = check_all(settings, FRESH_SECONDS)
    wrong = [check for check in checks if not check.well and not check.part.endswith(WORKER)]
    if is_local:
        wrong += [*_workers(checks), *_disk(settings)]
    if wrong:
        raise Unavailable("; ".join(f"{check.part}: {check.says}" for check in wrong))


def _workers(checks: list[HealthCheck]) -> Iterator[HealthCheck]:
    """The query worker unless it is well, and index workers unless one is: another index may be being filled."""
    index = [check for check in checks if check.part.startswith("index") and check.part.endswith(WORKER)]
    if not any(check.well for check in index):
        yield from index
    yield from (check for check in checks if check.part == f"query{WORKER}" and not check.well)


def _disk(settings: Settings) -> Iterator[HealthCheck]:
    free = shutil.disk_usage(settings.data).free
    if free < LEAST_FREE_BYTES:
        says = f"{free >> 20} MB are free below {settings.data}, items need {LEAST_FREE_BYTES >> 20}: make room"
        yield HealthCheck("disk", says, well=False)
