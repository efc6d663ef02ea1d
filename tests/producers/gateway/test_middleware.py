"""Refused requests, their responses, and the trace of a request."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from infra.config.errors import BadInput
from infra.config.gateway import GatewaySettings
from infra.observability.tracing import CALLER_TRACEPARENT
from infra.qdrant.contract import EngineError
from producers.gateway.middleware import TracingMiddleware
from producers.gateway.server import require_token
from schemas.failures import Fault, Unavailable
from tests.producers.conftest import png
from tests.producers.gateway.conftest import MakeClient

PROBLEM = "application/problem+json"
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""A `traceparent`."""


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {"content": b"{", "headers": {"content-type": "application/json"}}),
        (422, {"json": []}),
        (422, {"json": {"item_id": "a", "top_k": 1000}}),
        (422, {"json": {"image": {"kind": "inline", "data": "////"}, "item_id": "a"}}),
        (422, {"json": {"item_id": "a"}, "headers": {"Idempotency-Key": "../../etc"}}),
        (415, {"content": b"<x/>", "headers": {"content-type": "text/xml"}}),
        (415, {"files": {"picture": ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")}}),
        (415, {"files": {"picture": ("a.pdf", b"%PDF-1.7")}}),
        (422, {"files": {"picture": ("a.jpg", b"\xff\xd8\xff" + b"x" * 800_000)}}),
        (413, {"content": b"x" * 1_000_001, "headers": {"content-type": "application/json"}}),
        (403, {"json": {"item_id": "a"}, "headers": {"Sec-Fetch-Site": "cross-site"}}),
        (403, {"json": {"item_id": "a"}, "headers": {"Origin": "http://evil.example"}}),
        (403, {"json": {"item_id": "a"}, "headers": {"Origin": "null"}}),
        (400, {"json": {"item_id": "a"}, "headers": {"Host": "evil.example"}}),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    make_client: MakeClient, status: int, sent: dict[str, object]
) -> None:
    client = make_client(max_bytes=1_000_000)
    response = client.request("POST", "/v1/search", **sent)  # type: ignore[arg-type]
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    assert "Traceback" not in response.text


def test_an_old_browser_on_the_own_page_is_answered(client: httpx.Client) -> None:
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    assert client.post("/v1/search", json=[], headers={"Origin": own}).status_code == 422


def test_a_body_that_does_not_say_how_long_it_is_is_stopped(make_client: MakeClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    client = make_client(max_bytes=1_000_000)
    response = client.post("/v1/search", content=endless(), headers={"content-type": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (413, PROBLEM)


def test_without_its_token_a_gateway_answers_only_whether_it_is_well(make_client: MakeClient) -> None:
    client = make_client(token="a-long-secret")
    assert client.get("/healthz").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-long-secret"}):
        response = client.get("/v1/openapi.json", headers=headers)
        assert response.status_code == 401
        assert "a-long-secret" not in response.text
    assert client.get("/v1/openapi.json", headers={"Authorization": "Bearer a-long-secret"}).status_code == 200


def test_who_sends_too_much_in_a_minute_is_told_to_wait(make_client: MakeClient) -> None:
    client = make_client(per_minute=3)
    statuses = [client.post("/v1/search", json=[]).status_code for _ in range(10)]  # a minute may end meanwhile
    assert statuses[:3] == [422, 422, 422]
    assert 429 in statuses
    assert client.get("/healthz").status_code == 200


def test_every_response_carries_the_headers_that_protect_a_browser(client: httpx.Client) -> None:
    for response in (client.get("/healthz"), client.get("/none"), client.post("/v1/search", json=[])):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert "server" not in response.headers


def test_a_gateway_is_ready_when_what_it_asks_is_there(make_client: MakeClient) -> None:
    def away() -> None:
        raise Unavailable("no broker answers: start one")

    assert make_client().get("/readyz").status_code == 200
    response = make_client(check=away).get("/readyz")
    assert (response.status_code, response.json()["detail"]) == (503, "no broker answers: start one")


@pytest.mark.parametrize("error", [EngineError("a segment is broken"), Fault("the key is wrong: xyz")])
def test_an_index_that_waiting_does_not_mend_is_told_without_its_words(
    make_client: MakeClient, error: Exception
) -> None:
    def fail() -> None:
        raise error

    response = make_client(check=fail).get("/readyz")
    assert response.status_code == 503
    assert "`lookstream health` shows it" in response.json()["detail"]
    assert str(error) not in response.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "gateway.example"])
def test_a_door_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(BadInput, match="LOOKSTREAM_GATEWAY_TOKEN"):
        require_token(GatewaySettings(host=host))
    require_token(GatewaySettings.model_validate({"host": host, "token": "a-long-secret"}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_door_that_nobody_else_reaches_needs_none(host: str) -> None:
    require_token(GatewaySettings(host=host))


def test_a_picture_is_whatever_begins_like_one(client: httpx.Client) -> None:
    assert png().startswith(b"\x89PNG")
    response = client.post(
        "/v1/search", files={"picture": ("a.png", png())}, data={"request": '{"deadline_ms": 50}'}
    )
    assert response.status_code == 504, "nobody answers here, but it was asked"


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
    statuses: list[str | None] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        statuses.append(await asyncio.to_thread(CALLER_TRACEPARENT.get))

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        """Discard the message."""

    asyncio.run(TracingMiddleware(app)({"type": "http", "headers": headers}, receive, send))
    assert statuses == [noted]
