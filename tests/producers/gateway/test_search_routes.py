"""Searches over HTTP, answered over a real broker."""

import io
import json
import threading

import httpx
import numpy as np
from PIL import Image

from schemas.results import SearchResult
from schemas.searches import SearchRequest
from tests.producers.conftest import png
from tests.producers.gateway.conftest import MakeClient
from tests.scripted_query_worker import Responder, RunQueryWorker

PROBLEM = "application/problem+json"


def found(request: SearchRequest) -> list[SearchResult]:
    return [SearchResult(request_id=request.request_id, status="no_match", message="nothing looks like it")]


def record_requests(requests: list[SearchRequest]) -> Responder:
    """A responder that answers as `found` does, and records the requests."""

    def note(request: SearchRequest) -> list[SearchResult]:
        requests.append(request)
        return found(request)

    return note


def test_a_json_request_is_answered_with_its_result(client: httpx.Client, answer: RunQueryWorker) -> None:
    with answer(found):
        response = client.post("/v1/search", json={"request_id": "mine", "item_id": "a"})
    assert (response.status_code, response.json()["request_id"]) == (200, "mine")
    assert response.json()["status"] == "no_match"


def test_a_picture_in_a_form_becomes_the_picture_of_the_request(
    client: httpx.Client, answer: RunQueryWorker, picture: bytes
) -> None:
    requests: list[SearchRequest] = []
    with answer(record_requests(requests)):
        response = client.post(
            "/v1/search", files={"picture": ("red.png", picture)}, data={"request": json.dumps({"top_k": 3})}
        )
    assert response.status_code == 200
    [request] = requests
    assert (request.top_k, request.image and request.image.kind) == (3, "inline")


def test_lists_of_filters_travel_as_json_has_them(client: httpx.Client, answer: RunQueryWorker) -> None:
    requests: list[SearchRequest] = []
    with answer(record_requests(requests)):
        fields = {"item_id": "a", "filters": {"category": ["shoes", "bags"], "price_max": 20}}
        response = client.post("/v1/search", json=fields)
    assert response.status_code == 200, response.text
    assert requests[0].filters.category == ("shoes", "bags")


def test_a_large_picture_is_shrunk_until_it_fits_a_record(client: httpx.Client, answer: RunQueryWorker) -> None:
    requests: list[SearchRequest] = []
    noise = _noise(1800, 1400)
    assert len(noise) > 700_000
    with answer(record_requests(requests)):
        response = client.post("/v1/search", files={"picture": ("noise.png", noise)})
    assert response.status_code == 200, response.text
    assert requests[0].image is not None
    assert requests[0].image.kind == "inline"
    assert requests[0].image.data.startswith(b"\xff\xd8\xff")


def test_who_prefers_not_to_wait_gets_an_address_to_come_back_to(
    client: httpx.Client, answer: RunQueryWorker
) -> None:
    may_answer = threading.Event()

    def late(request: SearchRequest) -> list[SearchResult]:
        may_answer.wait(10)
        return found(request)

    with answer(late):
        response = client.post("/v1/search", json={"item_id": "a"}, headers={"Prefer": "respond-async"})
        assert response.status_code == 202
        where = response.headers["Location"]
        may_answer.set()
        result = client.get(where)
        events = client.get(where, headers={"Accept": "text/event-stream"})
    assert result.json()["status"] == "no_match"
    assert events.headers["content-type"].startswith("text/event-stream")
    assert [line for line in events.text.splitlines() if line.startswith("event:")] == [
        "event: asked",
        "event: result",
    ]


def test_a_request_that_is_sent_again_under_its_key_is_asked_once(
    client: httpx.Client, answer: RunQueryWorker
) -> None:
    requests: list[SearchRequest] = []
    key = {"Idempotency-Key": "once"}
    with answer(record_requests(requests)):
        answers = [client.post("/v1/search", json={"item_id": "a"}, headers=key).json() for _ in range(2)]
        other = client.post("/v1/search", json={"item_id": "b"}, headers=key)
    assert answers[0] == answers[1]
    assert [answer["request_id"] for answer in answers] == ["once", "once"]
    assert [request.request_id[:5] for request in requests] == ["once."]
    assert (other.status_code, other.headers["content-type"]) == (422, PROBLEM)


def test_each_status_of_a_result_has_its_http_status(client: httpx.Client, answer: RunQueryWorker) -> None:
    def echo_request(request: SearchRequest) -> list[SearchResult]:
        return [
            SearchResult.model_validate(
                {"request_id": request.request_id, "status": request.request_id.partition(".")[0]}
            )
        ]

    with answer(echo_request):
        search_ids = {
            status: client.post("/v1/search", json={"request_id": status, "item_id": "a"}).status_code
            for status in ("ok", "no_match", "rejected", "expired", "unavailable")
        }
    assert search_ids == {"ok": 200, "no_match": 200, "rejected": 422, "expired": 503, "unavailable": 503}


def test_an_unanswered_search_is_a_problem_with_its_remedy(client: httpx.Client) -> None:
    response = client.post("/v1/search", json={"item_id": "a", "deadline_ms": 50})
    assert (response.status_code, response.headers["content-type"]) == (504, PROBLEM)
    assert "lookstream up" in response.json()["detail"]


def test_searches_above_the_limit_in_progress_are_told_to_retry(make_client: MakeClient) -> None:
    client = make_client(in_flight=1)
    first = {"item_id": "a", "deadline_ms": 2000}
    assert client.post("/v1/search", json=first, headers={"Prefer": "respond-async"}).status_code == 202
    for _ in range(200):  # the first one is on its way a moment later
        response = client.post(
            "/v1/search", json={"item_id": "b", "deadline_ms": 50}, headers={"Prefer": "respond-async"}
        )
        if response.status_code == 503:
            break
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_an_unknown_search_is_not_found(client: httpx.Client) -> None:
    response = client.get("/v1/searches/never")
    assert (response.status_code, response.headers["content-type"]) == (404, PROBLEM)


def test_the_openapi_document_has_the_schemas_of_the_wire(client: httpx.Client) -> None:
    document = client.get("/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert set(schemas["SearchRequest"]["properties"]) == set(
        SearchRequest.model_json_schema(by_alias=True)["properties"]
    )
    assert "/v1/search" in document["paths"]


def _noise(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_a_form_without_a_picture_says_so(client: httpx.Client) -> None:
    response = client.post("/v1/search", files={"image": ("red.png", png())})
    assert response.status_code == 422
    assert "picture" in response.json()["detail"]


def test_a_second_answer_to_a_request_changes_nothing_for_those_that_follow(
    client: httpx.Client, answer: RunQueryWorker
) -> None:
    with answer(lambda request: found(request) * 3):
        search_ids = [client.post("/v1/search", json={"item_id": str(n)}).status_code for n in range(5)]
    assert search_ids == [200] * 5


def test_an_event_stream_reports_a_problem_too(client: httpx.Client) -> None:
    request = {"item_id": "a", "deadline_ms": 50}
    events = client.post("/v1/search", json=request, headers={"Accept": "text/event-stream"})
    assert "event: problem" in events.text
    assert "lookstream up" in events.text
