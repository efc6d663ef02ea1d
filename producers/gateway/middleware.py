"""What every request passes before a route reads it: token, rate, size; and what every response carries."""

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

from infra.config.settings import GatewaySettings
from infra.fetching.address_policy import is_loopback
from producers.gateway.bodies import BodyLimits
from producers.gateway.clients import ClientAddresses, rate_key
from producers.gateway.problem_details import Problem, problem_response
from producers.gateway.static_page import ASSETS, ENTRY
from producers.gateway.tokens import ACCESS, EVERYTHING, TokenTable
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
"""Of every response (research: OWASP Secure Headers); one that says how it may be cached keeps that."""
OPEN = ("/healthz", "/readyz", ENTRY)
"""What an orchestrator asks without a token, and the page, which then asks its user for it."""
COUNTED = ("POST", "DELETE")
FETCH_SITE, OWN_SITES = "Sec-Fetch-Site", ("same-origin", "none")
"""How a browser says whose page asks (W3C Fetch Metadata): pages of other sites may send nothing."""
NOTED, NOTED_A_MINUTE = (401, 403, 429), 6
"""Refusals that are logged with their client, and how many a minute of each: logs must not fill a disk."""
MOST_PARAMETERS = 32
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""What a gateway on loopback is called: a page of another site that has its name point here is refused."""


@dataclass(frozen=True)
class GuardSettings:
    """What the guard goes by, besides the gateway's own settings."""

    gateway: GatewaySettings
    record_bytes: int = MAX_RECORD_BYTES
    """Largest Kafka record, and so the largest JSON."""
    metrics_token: SecretStr | None = None
    """A token for reading metrics alone, as workers take it."""


class GuardMiddleware:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, guarded: GuardSettings) -> None:
        settings = guarded.gateway
        self._app, self._clients = app, ClientAddresses(settings)
        self._names = (*LOCAL_NAMES, settings.host) if is_loopback(settings.host) else ()
        self._tokens = TokenTable(settings, guarded.metrics_token)
        self._bodies = BodyLimits(settings, guarded.record_bytes)
        self._rate = RateLimitItemPerMinute(settings.per_minute)
        self._noted = RateLimitItemPerMinute(NOTED_A_MINUTE)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response, client = _Response(send), self._clients.client_of(scope)
        try:
            await self._check(scope, client)
            async with self._bodies.reading(scope, receive, rate_key(client)) as reading:
                await self._pass_on(scope, reading, response.send)
        except Problem as problem:
            await problem_response(problem)(scope, receive, response.send)
        await self._note(scope, client, response.status)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """HEAD is a GET whose body the server leaves out."""
        inner = dict(scope, method="GET") if scope["method"] == "HEAD" else scope
        await self._app(inner, receive, send)
        scope.setdefault("route", inner.get("route"))

    async def _check(self, scope: Scope, client: str) -> None:
        headers = Headers(scope=scope)
        if self._names:
            _check_host(headers, self._names)
        is_open = scope["path"] in OPEN or scope["path"].startswith(ASSETS)
        scope[ACCESS] = EVERYTHING if is_open else self._tokens.access(headers)
        _check_query(scope)
        if scope["method"] in COUNTED:
            _check_origin(headers)
            await self._check_rate(client)

    async def _check_rate(self, client: str) -> None:
        if not await self._limiter.hit(self._rate, rate_key(client)):
            message = f"more than {self._rate.amount} requests came from here in a minute: wait a little"
            raise Problem(429, message, {"Retry-After": "5"})

    async def _note(self, scope: Scope, client: str, status: int) -> None:
        if status in NOTED and await self._limiter.hit(self._noted, "noted", rate_key(client)):
            self._log.warning("a request is refused", status=status, client=client, method=scope["method"])


def _check_query(scope: Scope) -> None:
    """Refuse a parameter that stands twice: a proxy that judges by the first one would let the last one through."""
    try:
        pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise Problem(400, f"the query is not readable, or has more than {MOST_PARAMETERS} parameters") from None
    counts = Counter(name for name, _ in pairs)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise Problem(400, f"the parameter `{twice[:64]}` stands twice in the query: send it once")


def _check_host(headers: Headers, names: Sequence[str]) -> None:
    """Refuse a request that means a host of another name."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in names:
        raise Problem(400, f"this gateway is not called `{host[:64]}`: ask one of {', '.join(names)}")


def _check_origin(headers: Headers) -> None:
    """Refuse what pages of other sites send; browsers without Fetch Metadata say their origin at least."""
    site, origin = headers.get(FETCH_SITE), headers.get("origin")
    if site is None and origin is not None:
        is_own = origin.partition("://")[2] == headers.get("host")
    else:
        is_own = site is None or site in OWN_SITES
    if not is_own:
        raise Problem(403, "pages of other sites may not ask this gateway: ask from a server of yours")


class _Response:
    """Sends a response with the headers that all have, and knows its status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def send(self, message: Message) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
