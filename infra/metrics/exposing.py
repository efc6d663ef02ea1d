"""Metrics listener: the HTTP endpoint of a worker's metrics for Prometheus; the gateway serves its own metrics."""

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler

from infra.config.errors import BadInput
from infra.config.observability import MetricsSettings
from infra.fetching.address_policy import is_loopback

PATIENCE_SECONDS = 5.0
"""Seconds that a client may take to send a request."""


@contextmanager
def serve_metrics(settings: MetricsSettings, registry: CollectorRegistry) -> Iterator[None]:
    """Serve the metrics of a registry at `settings.host` and `port` until the block ends; port 0 disables this.

    Raises BadInput if the host is not a loopback address and there is no token, or if the port is in use.
    """
    if not settings.port:
        yield
        return
    if settings.token is None and not is_loopback(settings.host):
        raise BadInput(
            f"the metrics would be open to everyone who reaches {settings.host}: set LOOKSTREAM_METRICS_TOKEN, "
            "or listen on 127.0.0.1"
        )
    expected = f"Bearer {settings.token.get_secret_value()}" if settings.token else None
    try:
        server = ThreadingHTTPServer((settings.host, settings.port), _handler(registry, expected))
    except OSError as error:
        raise BadInput(f"LOOKSTREAM_METRICS_PORT {settings.port} cannot be listened on: {error.strerror}") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    structlog.get_logger().info("metrics server started", host=settings.host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(metrics: CollectorRegistry, expected: str | None) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        """Answers GET /metrics for clients that send the token."""

        timeout = PATIENCE_SECONDS
        registry = metrics

        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization", "")
            if expected is not None and not hmac.compare_digest(authorization.encode(), expected.encode()):
                self.send_error(401)
            elif self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
            else:
                super().do_GET()

    return Handler
