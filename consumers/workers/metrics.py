"""What the workers count of items and searches, and how large the index is."""

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
"""How often the index is asked how large it is."""


@dataclass
class IndexGauge:
    """Asks an index now and then how large it is."""

    index: Index
    metrics: WorkerMetrics
    now: Callable[[], float] = time.monotonic
    _looked: float = field(default=float("-inf"))

    def look(self) -> None:
        """Ask, if it is time; nothing is told while the index is away or damaged: whoever reads it says so."""
        now = self.now()
        if now - self._looked < INDEX_SECONDS:
            return
        self._looked = now
        try:
            status = self.index.status()
        except (Unavailable, EngineError):
            return
        self.metrics.index(status.live, status.unindexed, status.bytes)


def see_items(metrics: ItemMetrics) -> Observe:
    """Counts the outcomes of item events."""

    def see(body: object) -> None:
        match body:
            case ItemIndexed():
                metrics.item("indexed", body.source)
                _see_indexed(body, metrics)
            case ItemRemoved():
                metrics.item("removed", body.source)
            case ItemBlocked():
                metrics.item("blocked", body.source)
            case ItemSuperseded():
                metrics.item("superseded", body.source)
            case ItemRejected():
                metrics.item("rejected", "unknown")  # the event may have been unreadable

    return see


def _see_indexed(body: ItemIndexed, metrics: ItemMetrics) -> None:
    for fate, number in (("new", body.images), ("unchanged", body.unchanged), ("skipped", len(body.skipped))):
        metrics.pictures(fate, number)
    for step in STEPS:
        metrics.step(step, getattr(body.times, step) / 1000)
    if body.times.searchable_at and body.times.event_time:
        metrics.searchable(body.source, (body.times.searchable_at - body.times.event_time).total_seconds())


def see_results(metrics: SearchMetrics) -> Observe:
    """Counts the results of searches."""

    def see(body: object) -> None:
        if not isinstance(body, SearchResult):
            return
        metrics.result(body.status, body.code or "")
        if body.status in ("ok", "no_match"):
            metrics.steps({step: getattr(body.times, step) / 1000 for step in SEARCH_STEPS})
        if body.hits:
            metrics.confidence(body.hits[0].confidence)

    return see
