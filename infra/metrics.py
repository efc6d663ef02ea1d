"""Every metric of the system, declared with its meaning; labels have few values, none of which a caller chooses."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import generate_latest as exposition_of

EXPOSITION_TYPE = CONTENT_TYPE_LATEST
"""The media type of what `exposition` gives."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0)
"""Bounds of times: fine about the promises, which are 0.4 s for a search and 1 s for freshness."""
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""The others count as `other`: a caller may make up any."""


class GatewayMetrics:
    """What a gateway tells of itself, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "lookstream_http_requests",
            "HTTP requests, by the route that took them (`none`: no route did) and the status of the response.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "lookstream_http_seconds",
            "From the request's headers to the end of its response, the wait for the answer included.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._results = Counter(
            "lookstream_http_results",
            "Results of searches that were asked here, by their status.",
            ("status",),
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "lookstream_http_searches_in_flight",
            "Searches and facets that were asked here and whose answers are awaited.",
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return exposition_of(self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of its path, never the path."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def result(self, status: str) -> None:
        """Count a result of a search."""
        self._results.labels(status).inc()

    def watch_in_flight(self, number: Callable[[], int]) -> None:
        """Ask `number` how many are awaited, whenever somebody looks."""
        self._in_flight.set_function(number)
