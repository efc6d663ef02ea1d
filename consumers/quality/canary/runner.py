"""The cage of the canary: what it needs, and its rounds until it is told to stop."""

import signal
import threading
import time
from contextlib import closing
from itertools import count
from typing import Protocol

import structlog

from consumers.quality.canary.probe import TENANT, Canary
from consumers.quality.evaluation.over_kafka import open_over_kafka
from infra.config.settings import Settings
from infra.local_state import reach_kafka
from infra.metrics import CanaryMetrics, exposed
from infra.qdrant.connect import connect


class CanarySchedule(Protocol):
    """How a canary is kept."""

    @property
    def every(self) -> float: ...
    @property
    def queries(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def rounds(self) -> int: ...


def keep(settings: Settings, told: CanarySchedule) -> bool:
    """Have it look every so often, until SIGTERM or Ctrl-C, or for so many rounds; whether the last one was well.

    Raises Unavailable when Kafka or the index is away at the start; afterwards that is a round that was not well.
    """
    metrics, over, well = CanaryMetrics(), threading.Event(), True
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_, lambda _number, _frame: over.set())
    with (
        exposed(settings.metrics, metrics.registry),
        open_over_kafka(reach_kafka(settings), TENANT) as system,
        closing(connect(settings)) as index,
    ):
        canary = Canary(index, system, metrics, told.tenant, told.queries)
        for number in count(1):
            started = time.monotonic()
            well = canary.look()
            structlog.get_logger().info("looked", well=well, seconds=round(time.monotonic() - started, 1))
            if number == told.rounds or over.wait(max(0.0, told.every - (time.monotonic() - started))):
                break
    return well
