"""What the gateway tells of itself: each request counted by its route, and the page that Prometheus reads."""

import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import APIRouter, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.metrics import EXPOSITION_TYPE, GatewayMetrics
from producers.gateway.problem_details import problems
from producers.gateway.tokens import permit_use

NO_ROUTE = "none"
EXPOSITION: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
BUG = 500
CUT_OFF = 499
"""The status of a request whose client left before the response began, as nginx has it."""


class MetricsMiddleware:
    """An ASGI middleware around all others, so that what they refuse is counted too."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when it is over."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = CUT_OFF, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:  # what is answered then is sent outside of every middleware
            status = BUG
            raise
        finally:
            self._metrics.request(scope["method"], _route(scope), status, time.perf_counter() - began)


def metrics_routes(metrics: GatewayMetrics) -> APIRouter:
    """The route that Prometheus asks, with a token for operating."""
    routes = APIRouter(tags=["health"], dependencies=[permit_use("operate")])

    @routes.get("/metrics", response_class=Response, responses=problems() | EXPOSITION)
    async def exposition() -> Response:
        """The gateway's metrics, in the text format of Prometheus."""
        return Response(metrics.exposition(), media_type=EXPOSITION_TYPE)

    return routes


def _route(scope: MutableMapping[str, Any]) -> str:
    return str(getattr(scope.get("route"), "path", NO_ROUTE))
