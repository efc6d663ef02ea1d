"""The metrics of a gateway; labels have few values, none of which a caller chooses."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import generate_latest as exposition_of

from infra.metrics.bounds import SECONDS

EXPOSITION_TYPE = CONTENT_TYPE_LATEST
"""The media type of what `exposition` gives."""
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""The others count as `other`: a caller may make up any."""


class GatewayMetrics:
    """What a gateway tells of itself, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "lookstream_http_requests",
            "HTTP requests, by the route that took them (`none`: no route did) and the status of the response.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lookstream_http_seconds",
            "From the request's headers to the end of its response, the wait for the answer included.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._results = Counter(
            "lookstream_http_results",
            "Results of searches that were asked here, by their status.",
            ("status",),
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "lookstream_http_searches_in_flight",
            "Searches and facets that were asked here and whose answers are awaited.",
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return exposition_of(self.registry)

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
