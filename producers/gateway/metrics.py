"""Gateway metrics: count each request by route, and serve the metrics to Prometheus."""

import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import APIRouter, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.metrics import EXPOSITION_TYPE, GatewayMetrics
from producers.gateway.problem_details import problems
from producers.gateway.tokens import permit_use

UNKNOWN_ROUTE = "none"
EXPOSITION: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
SERVER_ERROR = 500
CLIENT_CLOSED = 499
"""Status for a request whose client disconnected before the response began, as in nginx."""


class MetricsMiddleware:
    """ASGI middleware. It must be the outermost one, so that requests refused by the others are counted too."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, and record its route, status and duration when it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = CLIENT_CLOSED, time.perf_counter()

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, record_status)
        except Exception:  # the response to it is sent outside of all middleware
            status = SERVER_ERROR
            raise
        finally:
            self._metrics.request(scope["method"], _route_path(scope), status, time.perf_counter() - started)


def metrics_routes(metrics: GatewayMetrics) -> APIRouter:
    """The route that Prometheus scrapes; it needs a token with the use `operate`."""
    routes = APIRouter(tags=["health"], dependencies=[permit_use("operate")])

    @routes.get("/metrics", summary="Get metrics", response_class=Response, responses=problems() | EXPOSITION)
    async def exposition() -> Response:
        """The gateway's metrics in the text format of Prometheus."""
        return Response(metrics.exposition(), media_type=EXPOSITION_TYPE)

    return routes


def _route_path(scope: MutableMapping[str, Any]) -> str:
    return str(getattr(scope.get("route"), "path", UNKNOWN_ROUTE))
