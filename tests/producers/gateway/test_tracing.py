"""The trace of an HTTP request, as far as the threads in which its events are sent."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from infra.observability.tracing import CALLER_TRACEPARENT
from producers.gateway.traced import TracingMiddleware

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("headers", "noted"),
    [
        ([(b"traceparent", GIVEN.encode())], GIVEN),
        ([(b"traceparent", b"00-short-01\r\nx: y")], None),
        ([], None),
    ],
)
def test_a_requests_trace_is_known_where_its_events_are_sent(
    headers: list[tuple[bytes, bytes]], noted: str | None
) -> None:
    seen: list[str | None] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(await asyncio.to_thread(CALLER_TRACEPARENT.get))

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        """Nobody listens."""

    asyncio.run(TracingMiddleware(app)({"type": "http", "headers": headers}, receive, send))
    assert seen == [noted]
