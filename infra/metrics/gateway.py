"""Gateway metrics: requests, results and searches in flight; label values are few, and no caller chooses them."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import generate_latest as exposition_of

from infra.metrics.workers import SECONDS

EXPOSITION_TYPE = CONTENT_TYPE_LATEST
"""Media type of the text that `exposition` returns."""
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""Other methods are counted as `other`, because a caller may send any method name."""


class GatewayMetrics:
    """Metrics of a gateway, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "lookstream_http_requests",
            "HTTP requests by route (`none`: no route matched) and status of the response.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lookstream_http_seconds",
            "Seconds from the headers of a request to the end of its response, with the wait for the answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._results = Counter(
            "lookstream_http_results",
            "Results of searches of this gateway by status.",
            ("status",),
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "lookstream_http_searches_in_flight",
            "Searches and facet requests of this gateway that are in progress.",
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return exposition_of(self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its path template, never the path."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def result(self, status: str) -> None:
        """Count a search result."""
        self._results.labels(status).inc()

    def watch_in_flight(self, number: Callable[[], int]) -> None:
        """Set the function that returns the number of searches in flight; it is called at each scrape."""
        self._in_flight.set_function(number)
