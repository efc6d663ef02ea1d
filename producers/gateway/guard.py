"""What every request passes before anything reads it: token, rate, size; and what every response carries."""

import hmac
from collections.abc import Awaitable, Callable

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.settings import Gateway
from producers.gateway.page import ASSETS, ENTRY
from producers.gateway.problems import Problem, problem_response

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


class Guard:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Gateway) -> None:
        self._app = app
        self._token = settings.token
        self._most = settings.max_bytes
        self._rate = RateLimitItemPerMinute(settings.per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sender = _with_headers(send)
        try:
            await self._check(scope)
            await self._app(scope, _counted(receive, self._most), sender)
        except Problem as problem:
            await problem_response(problem)(scope, receive, sender)

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN and not scope["path"].startswith(ASSETS):
            check_token(headers, self._token)
        if scope["method"] in COUNTED:
            _check_origin(headers)
            _check_length(headers, self._most)
            await self._check_rate(scope)

    async def _check_rate(self, scope: Scope) -> None:
        address = scope["client"][0] if scope["client"] else "unknown"
        if not await self._limiter.hit(self._rate, address):
            message = f"more than {self._rate.amount} requests came from here in a minute: wait a little"
            raise Problem(429, message, {"Retry-After": "5"})


def check_token(headers: Headers, token: SecretStr | None) -> None:
    """Raise a Problem unless the token was sent, if there is one."""
    if token is None:
        return
    given, wanted = headers.get("authorization", ""), f"Bearer {token.get_secret_value()}"
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        how = {"WWW-Authenticate": "Bearer"}
        raise Problem(401, "send the gateway's token as `Authorization: Bearer ...`", how)


def _check_origin(headers: Headers) -> None:
    if headers.get(FETCH_SITE, "none") not in OWN_SITES:
        raise Problem(403, "pages of other sites may not ask this gateway: ask from a server of yours")


def _check_length(headers: Headers, most: int) -> None:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise Problem(413, f"the body may have {most} bytes at most: send a smaller picture")


def _counted(receive: Receive, most: int) -> Receive:
    """Stops a body that is longer than it says, or does not say how long it is."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise Problem(413, f"the body may have {most} bytes at most: send a smaller picture")
        return message

    return counting


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
