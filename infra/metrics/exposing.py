"""The listener at which Prometheus reads a worker's metrics; the gateway hands its own out itself."""

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler

from infra.config.observability import MetricsSettings
from infra.console import BadInput
from infra.fetching.address_policy import is_loopback

PATIENCE_SECONDS = 5.0
"""How long whoever reads may take with a request."""


@contextmanager
def exposed(settings: MetricsSettings, registry: CollectorRegistry) -> Iterator[None]:
    """Tell the metrics of a registry at `settings.host` and `port` until the block ends; nowhere when that is 0.

    Raises BadInput when the host is no loopback address and there is no token, or when the port is taken.
    """
    if not settings.port:
        yield
        return
    if settings.token is None and not is_loopback(settings.host):
        raise BadInput(
            f"the metrics would be open to whoever reaches {settings.host}: set LOOKSTREAM_METRICS_TOKEN, "
            "or listen on 127.0.0.1"
        )
    expected = f"Bearer {settings.token.get_secret_value()}" if settings.token else None
    try:
        server = ThreadingHTTPServer((settings.host, settings.port), _handler(registry, expected))
    except OSError as error:
        raise BadInput(f"LOOKSTREAM_METRICS_PORT {settings.port} cannot be listened on: {error.strerror}") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    structlog.get_logger().info("metrics", host=settings.host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(registry: CollectorRegistry, expected: str | None) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        """Answers GET /metrics from those who have the token."""

        timeout = PATIENCE_SECONDS

        def do_GET(self) -> None:
            told = self.headers.get("Authorization", "")
            if expected is not None and not hmac.compare_digest(told.encode(), expected.encode()):
                self.send_error(401)
            elif self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
            else:
                super().do_GET()

    Handler.registry = registry
    return Handler
