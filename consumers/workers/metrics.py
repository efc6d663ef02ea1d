"""Worker metrics: count outcomes of items and results of searches, and measure the size of the index."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from consumers.runtime.instrumentation import Observe
from infra.metrics import ItemMetrics, SearchMetrics, WorkerMetrics
from infra.qdrant.contract import EngineError, Index
from schemas.failures import Unavailable
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemRejected, ItemRemoved, ItemSuperseded
from schemas.results import SearchResult

STEPS = ("fetched", "decoded", "encoded", "written")
SEARCH_STEPS = ("queued", "fetched", "decoded", "encoded", "searched")
INDEX_SECONDS = 15.0
"""How often the size of the index is read."""


@dataclass
class IndexGauge:
    """Updates the metrics of the index size every INDEX_SECONDS."""

    index: Index
    metrics: WorkerMetrics
    now: Callable[[], float] = time.monotonic
    _read_at: float = field(default=float("-inf"))

    def update(self) -> None:
        """Read the size when due. An index that is unavailable or damaged is skipped: its users report that."""
        now = self.now()
        if now - self._read_at < INDEX_SECONDS:
            return
        self._read_at = now
        try:
            status = self.index.status()
        except (Unavailable, EngineError):
            return
        self.metrics.index(status.live, status.unindexed, status.bytes)


def item_observer(metrics: ItemMetrics) -> Observe:
    """Return an observer that counts the outcomes of item events."""

    def observe(body: object) -> None:
        match body:
            case ItemIndexed():
                metrics.item("indexed", body.source)
                _count_indexed(body, metrics)
            case ItemRemoved():
                metrics.item("removed", body.source)
            case ItemBlocked():
                metrics.item("blocked", body.source)
            case ItemSuperseded():
                metrics.item("superseded", body.source)
            case ItemRejected():
                metrics.item("rejected", "unknown")  # the event may have been unreadable

    return observe


def _count_indexed(body: ItemIndexed, metrics: ItemMetrics) -> None:
    for result, count in (("new", body.images), ("unchanged", body.unchanged), ("skipped", len(body.skipped))):
        metrics.pictures(result, count)
    for step in STEPS:
        metrics.step(step, getattr(body.times, step) / 1000)
    if body.times.searchable_at and body.times.event_time:
        metrics.searchable(body.source, (body.times.searchable_at - body.times.event_time).total_seconds())


def result_observer(metrics: SearchMetrics) -> Observe:
    """Return an observer that counts the results of searches."""

    def observe(body: object) -> None:
        if not isinstance(body, SearchResult):
            return
        metrics.result(body.status, body.code or "")
        if body.status in ("ok", "no_match"):
            metrics.steps({step: getattr(body.times, step) / 1000 for step in SEARCH_STEPS})
        if body.hits:
            metrics.confidence(body.hits[0].confidence)

    return observe
