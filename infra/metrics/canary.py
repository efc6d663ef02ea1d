"""Canary metrics: search quality and freshness as measured by the canary."""

import math
from collections.abc import Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

Finding = Literal[
    "recall", "first_hit_rate", "freshness_seconds", "mean_cosine", "norm", "neighbour_score", "neighbour_reference"
]
CANARY: Mapping[Finding, str] = {
    "recall": "Share of the true ten nearest that searches of the index find: recall@10.",
    "first_hit_rate": "Share of sampled items that a search by their thumbnail finds first.",
    "freshness_seconds": "Seconds from an event until its item was searchable, in the last round.",
    "mean_cosine": "Cosine between the mean embedding of sampled items and that of the reference.",
    "norm": "Mean norm of sampled embeddings, relative to the reference: 1 if nothing has changed.",
    "neighbour_score": "Median score of the nearest other item of sampled items.",
    "neighbour_reference": "The same at the time of the reference.",
}


class CanaryMetrics:
    """Metrics of a canary."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"lookstream_canary_{name}", meaning, registry=self.registry)
            for name, meaning in CANARY.items()
        }
        self._rounds = Counter("lookstream_canary_rounds", "Rounds by result.", ("result",), registry=self.registry)
        for result in ("ok", "unavailable"):
            self._rounds.labels(result)  # initialised to 0, as a rate needs two values
        for gauge in self._gauges.values():
            gauge.set(math.nan)  # not measured yet, which differs from 0

    def set_value(self, name: Finding, value: float) -> None:
        """Set a value that the last round has measured."""
        self._gauges[name].set(value)

    def round_finished(self, result: Literal["ok", "unavailable"]) -> None:
        """Count a finished round; `unavailable`: a part of the system did not respond."""
        self._rounds.labels(result).inc()
