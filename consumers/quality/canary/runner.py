"""Canary runner: connects the canary to Kafka and the index, and runs its rounds until it is stopped."""

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
from infra.local_state import resolve_kafka_settings
from infra.metrics import CanaryMetrics, serve_metrics
from infra.qdrant.connect import connect


class CanarySchedule(Protocol):
    """Seconds between rounds, searches of each kind per round, the tenant, and how many rounds (0: no limit)."""

    @property
    def every(self) -> float: ...
    @property
    def queries(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def rounds(self) -> int: ...


def run_canary(settings: Settings, schedule: CanarySchedule) -> bool:
    """Run rounds until SIGTERM, Ctrl-C or the last one of the schedule; return whether the last one succeeded.

    Raises Unavailable when Kafka or the index is unavailable at the start; later, the round counts as failed.
    """
    metrics, stop, succeeded = CanaryMetrics(), threading.Event(), True
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda _number, _frame: stop.set())
    with (
        serve_metrics(settings.metrics, metrics.registry),
        open_over_kafka(resolve_kafka_settings(settings), TENANT) as system,
        closing(connect(settings)) as index,
    ):
        canary = Canary(index, system, metrics, schedule.tenant, schedule.queries)
        for number in count(1):
            started = time.monotonic()
            succeeded = canary.run_round()
            structlog.get_logger().info(
                "canary round finished", succeeded=succeeded, seconds=round(time.monotonic() - started, 1)
            )
            if number == schedule.rounds or stop.wait(max(0.0, schedule.every - (time.monotonic() - started))):
                break
    return succeeded
