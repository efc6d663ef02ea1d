"""Connections that send nothing, or one byte at a time, and other requests at the same time."""

import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from infra.config.kafka import KafkaSettings
from infra.kafka import TopicReader
from schemas.topics import SEARCH_REQUESTS
from tests.producers.gateway.conftest import MakeClient
from tests.producers.gateway.raw_connections import answer_on, drip_continuously, open_connections

HEAD = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
PROBLEM = b"application/problem+json"


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"], ids=["the same address", "another address"])
def test_valid_requests_are_answered_during_a_thousand_idle_and_a_thousand_dripping_connections(
    make_client: MakeClient, source: str
) -> None:
    client = make_client(request_s=60)
    with (
        open_connections(client, 1000, source=source),
        open_connections(client, 1000, HEAD, source) as slow,
        drip_continuously(slow, b"X-Letter: a\r\n"),
    ):
        statuses = [client.get("/healthz").status_code for _ in range(20)]
        fresh = [httpx.get(f"{client.base_url}/healthz", trust_env=False).status_code for _ in range(20)]
    assert statuses + fresh == [200] * 40


def test_an_idle_connection_makes_room_for_one_that_asks(make_client: MakeClient) -> None:
    client = make_client(connections=1)
    with open_connections(client, 1) as [line]:
        assert client.get("/healthz").status_code == 200
        assert answer_on(line) == b""


def test_a_client_that_says_nothing_is_left_after_a_while(make_client: MakeClient) -> None:
    with open_connections(make_client(request_s=0.2), 1) as [line]:
        assert answer_on(line) == b""


def test_a_head_that_drips_is_refused_after_a_while(make_client: MakeClient) -> None:
    with (
        open_connections(make_client(request_s=0.5), 1, HEAD) as lines,
        drip_continuously(lines, b"X-Letter: a\r\n"),
    ):
        answer = answer_on(lines[0])
    assert answer.startswith(b"HTTP/1.1 408")
    assert PROBLEM in answer


def test_a_second_request_whose_head_drips_is_refused_too(make_client: MakeClient) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with open_connections(make_client(request_s=0.5), 1, whole) as lines:
        assert lines[0].recv(65_536).startswith(b"HTTP/1.1 200")
        with drip_continuously(lines, b"GET /healthz"):
            assert b"HTTP/1.1 408" in answer_on(lines[0])


def test_a_body_that_drips_is_refused_after_a_while(make_client: MakeClient) -> None:
    first = HEAD + b"Content-Length: 1000\r\n\r\n"
    with open_connections(make_client(request_s=0.5), 1, first) as lines, drip_continuously(lines, b" "):
        answer = answer_on(lines[0])
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 408


def test_a_body_that_comes_steadily_may_take_longer_than_the_head(make_client: MakeClient) -> None:
    client = make_client(request_s=0.5)
    pause = threading.Event()

    def slowly() -> Iterator[bytes]:
        for _ in range(20):
            pause.wait(0.05)
            yield b" " * 4_096

    response = client.post("/v1/search", content=slowly(), headers={"content-type": "application/json"})
    assert response.status_code == 400, "it was read to its end, and is no JSON"


def test_a_refused_body_is_read_for_a_moment_only(make_client: MakeClient) -> None:
    first = b"POST /none HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
    with open_connections(make_client(), 1, first) as lines, drip_continuously(lines, b" "):
        assert answer_on(lines[0]).startswith(b"HTTP/1.1 404")


def test_what_is_no_http_is_refused_as_a_problem(make_client: MakeClient) -> None:
    with open_connections(make_client(), 1, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n") as [line]:
        answer = answer_on(line)
    assert answer.startswith(b"HTTP/1.1 400")
    assert PROBLEM in answer


def test_a_connection_at_work_never_makes_room_for_others(make_client: MakeClient, kafka: KafkaSettings) -> None:
    client = make_client(connections=1)
    reader = TopicReader(kafka, SEARCH_REQUESTS)
    search = json.dumps({"item_id": "a", "deadline_ms": 500}).encode()
    with open_connections(client, 1, HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(search), search)) as [line]:
        assert any(reader.poll(0.1) for _ in range(300)), "the search is on its way"
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as other:
            assert answer_on(other).startswith(b"HTTP/1.1 503")
        line.settimeout(30)
        assert line.recv(12) == b"HTTP/1.1 504", "nobody answers here, but it was not cut off"
    reader.close()
