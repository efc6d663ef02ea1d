"""Tracing middleware: the events of an HTTP request continue the trace of that request."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.observability.tracing import CALLER_TRACEPARENT
from schemas.envelope import TRACEPARENT

TRACEPARENT_PATTERN = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Format of `traceparent` (https://www.w3.org/TR/trace-context, section 3.2.2); other values are ignored."""


class TracingMiddleware:
    """ASGI middleware that stores the `traceparent` header of the request in a context variable."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traceparent = Headers(scope=scope).get(TRACEPARENT, "") if scope["type"] == "http" else ""
        CALLER_TRACEPARENT.set(traceparent if TRACEPARENT_PATTERN.fullmatch(traceparent) else None)
        await self._app(scope, receive, send)
