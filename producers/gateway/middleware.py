"""Middleware: guard (token, rate and size of requests, security headers of responses) and trace context."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.config.gateway import GatewaySettings
from infra.fetching.address_policy import is_loopback
from infra.observability.tracing import CALLER_TRACEPARENT
from producers.gateway.bodies import BodyLimits
from producers.gateway.clients import ClientAddresses, rate_key
from producers.gateway.problem_details import Problem, problem_response
from producers.gateway.static_page import ASSETS, COMPONENT, ENTRY
from producers.gateway.tokens import ACCESS, EVERYTHING, TokenTable
from schemas.envelope import TRACEPARENT
from schemas.topics import MAX_RECORD_BYTES

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every response (source: OWASP Secure Headers); a response's own Cache-Control takes precedence."""
PUBLIC_PATHS = ("/healthz", "/readyz", ENTRY, COMPONENT)
"""Paths without a token: the health checks of an orchestrator, the page, which asks its user for the token, and the
component for pages of shops, which sends the key in its attribute."""
CHANGING_METHODS = ("POST", "DELETE")
FETCH_SITE, OWN_SITES = "Sec-Fetch-Site", ("same-origin", "none")
"""Fetch Metadata header (W3C) with the relation of the requesting site to this one, and its accepted values."""
LOGGED_STATUSES, LOGS_PER_MINUTE = (401, 403, 429), 6
"""Statuses that are logged with the client, and the most lines per client and minute: logs must not fill a disk."""
MAX_PARAMETERS = 32
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Host names of a gateway on loopback. Others are refused, which stops DNS rebinding by pages of other sites."""
TRACEPARENT_PATTERN = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Format of `traceparent` (https://www.w3.org/TR/trace-context, section 3.2.2); other values are ignored."""


@dataclass(frozen=True)
class GuardSettings:
    """Settings of GuardMiddleware: those of the gateway, and two from elsewhere."""

    gateway: GatewaySettings
    record_bytes: int = MAX_RECORD_BYTES
    """Largest Kafka record in bytes, and so the largest JSON body."""
    metrics_token: SecretStr | None = None
    """Token that may only read metrics; the workers accept the same one."""


class GuardMiddleware:
    """ASGI middleware that refuses requests by host, token, query, origin, rate or size."""

    def __init__(self, app: ASGIApp, guard: GuardSettings) -> None:
        settings = guard.gateway
        self._app, self._clients = app, ClientAddresses(settings)
        self._host_names = (*LOCAL_NAMES, settings.host) if is_loopback(settings.host) else ()
        self._tokens = TokenTable(settings, guard.metrics_token)
        self._bodies = BodyLimits(settings, guard.record_bytes)
        self._origins = settings.origins
        self._rate = RateLimitItemPerMinute(settings.per_minute)
        self._log_rate = RateLimitItemPerMinute(LOGS_PER_MINUTE)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response, client = _Response(send), self._clients.client_of(scope)
        try:
            await self._check(scope, client)
            async with self._bodies.reading(scope, receive, rate_key(client)) as limited_receive:
                await self._call_app(scope, limited_receive, response.send)
        except Problem as problem:
            await problem_response(problem)(scope, receive, response.send)
        await self._log_refusal(scope, client, response.status)

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application; HEAD is handled as GET, because the server omits the body."""
        inner = dict(scope, method="GET") if scope["method"] == "HEAD" else scope
        await self._app(inner, receive, send)
        scope.setdefault("route", inner.get("route"))

    async def _check(self, scope: Scope, client: str) -> None:
        headers = Headers(scope=scope)
        if self._host_names:
            _check_host(headers, self._host_names)
        is_public = scope["path"] in PUBLIC_PATHS or scope["path"].startswith(ASSETS)
        scope[ACCESS] = EVERYTHING if is_public else self._tokens.access(headers)
        _check_query(scope)
        if headers.get("origin") in self._origins:
            scope[ACCESS] = scope[ACCESS].limited_to("search")
        elif scope["method"] in CHANGING_METHODS:
            _check_origin(headers)
        if scope["method"] in CHANGING_METHODS:
            await self._check_rate(client)

    async def _check_rate(self, client: str) -> None:
        if not await self._limiter.hit(self._rate, rate_key(client)):
            message = (
                f"more than {self._rate.amount} requests came from this address in a minute: wait, then try again"
            )
            raise Problem(429, message, {"Retry-After": "5"})

    async def _log_refusal(self, scope: Scope, client: str, status: int) -> None:
        if status in LOGGED_STATUSES and await self._limiter.hit(self._log_rate, "noted", rate_key(client)):
            self._log.warning("request refused", status=status, client=client, method=scope["method"])


class TracingMiddleware:
    """ASGI middleware that stores the `traceparent` header of the request in a context variable."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traceparent = Headers(scope=scope).get(TRACEPARENT, "") if scope["type"] == "http" else ""
        CALLER_TRACEPARENT.set(traceparent if TRACEPARENT_PATTERN.fullmatch(traceparent) else None)
        await self._app(scope, receive, send)


def _check_query(scope: Scope) -> None:
    """Refuse a repeated parameter: a proxy might check the first value, while the gateway uses the last."""
    try:
        pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Problem(400, f"the query is not readable, or has more than {MAX_PARAMETERS} parameters") from None
    counts = Counter(name for name, _ in pairs)
    if repeated := next((name for name, count in counts.items() if count > 1), None):
        raise Problem(400, f"the parameter `{repeated[:64]}` occurs twice in the query: send it once")


def _check_host(headers: Headers, names: Sequence[str]) -> None:
    """Refuse a request for a host name that is not in `names`."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in names:
        raise Problem(400, f"`{host[:64]}` is not a host name of this gateway: use one of {', '.join(names)}")


def _check_origin(headers: Headers) -> None:
    """Refuse requests from pages of other sites; browsers without Fetch Metadata at least send Origin."""
    site, origin = headers.get(FETCH_SITE), headers.get("origin")
    if site is None and origin is not None:
        is_own = origin.partition("://")[2] == headers.get("host")
    else:
        is_own = site is None or site in OWN_SITES
    if not is_own:
        raise Problem(
            403,
            "pages of this site may not call this gateway: call it from your own server, or name the site in "
            "LOOKSTREAM_GATEWAY_ORIGINS",
        )


class _Response:
    """Adds the common headers to a response, and records its status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
