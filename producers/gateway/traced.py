"""Traced: an HTTP request's own trace goes on in the events that the request becomes."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.observability.tracing import CALLER
from schemas.envelope import TRACEPARENT

WELL_FORMED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context, section 3.2.2; what is not like this is left out."""


class TracingMiddleware:
    """An ASGI middleware that notes the `traceparent` of whoever asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note it for all that is done for this request."""
        given = Headers(scope=scope).get(TRACEPARENT, "") if scope["type"] == "http" else ""
        CALLER.set(given if WELL_FORMED.fullmatch(given) else None)
        await self._app(scope, receive, send)
