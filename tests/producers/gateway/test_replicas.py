"""Two gateways on one broker: each knows the requests of the other."""

import threading
from contextlib import closing

import httpx

from infra.config.kafka import KafkaSettings
from infra.kafka import TopicReader
from schemas.envelope import from_bytes
from schemas.items import ItemUpserted
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS
from tests.producers.gateway.conftest import MakeClient
from tests.scripted_query_worker import Responder, RunQueryWorker

ASYNC = {"Prefer": "respond-async"}
ITEM = {"item_id": "a", "title": "A disc", "images": [{"kind": "url", "url": "https://shop.example/a.png"}]}
SHOP = [{"token": "shop-a-long-secret", "uses": ["search", "write"], "tenants": ["shop"]}]
OTHER = [{"token": "other-a-long-secret", "uses": ["search", "write"], "tenants": ["other"]}]


def count_requests(requests: list[SearchRequest], may_answer: threading.Event | None = None) -> Responder:
    """A responder that finds nothing, and records the requests."""

    def answer(request: SearchRequest) -> list[SearchResult]:
        requests.append(request)
        if may_answer is not None:
            assert may_answer.wait(30)
        return [SearchResult(request_id=request.request_id, status="no_match", message=f"search {len(requests)}")]

    return answer


def test_an_answer_is_come_back_to_at_another_gateway(make_client: MakeClient, answer: RunQueryWorker) -> None:
    first, second = make_client(), make_client()
    requests: list[SearchRequest] = []
    may_answer = threading.Event()
    with answer(count_requests(requests, may_answer)):
        accepted = first.post("/v1/search", json={"item_id": "a"}, headers=ASYNC)
        threading.Timer(0.5, may_answer.set).start()
        while_it_waits = second.get(accepted.headers["Location"])
    afterwards = make_client().get(accepted.headers["Location"])
    assert [result.status_code for result in (accepted, while_it_waits, afterwards)] == [202, 200, 200]
    assert while_it_waits.json() == afterwards.json()
    assert while_it_waits.json()["request_id"] == accepted.json()["request_id"]
    assert len(requests) == 1


def test_a_search_that_is_sent_again_to_another_gateway_is_asked_once(
    make_client: MakeClient, answer: RunQueryWorker
) -> None:
    clients = [make_client() for _ in range(3)]
    requests: list[SearchRequest] = []
    key = {"Idempotency-Key": "again"}
    with answer(count_requests(requests)):
        answers = [client.post("/v1/search", json={"item_id": "a"}, headers=key) for client in clients]
        other = clients[1].post("/v1/search", json={"item_id": "b"}, headers=key)
        elsewhere = make_client().post("/v1/search", json={"item_id": "b"}, headers=key)
    assert len({response.text for response in answers}) == 1, [response.text for response in answers]
    assert len(requests) == 1
    assert (other.status_code, elsewhere.status_code) == (422, 422)


def test_of_searches_that_reach_many_gateways_at_a_time_one_is_asked(
    make_client: MakeClient, answer: RunQueryWorker
) -> None:
    clients = [make_client() for _ in range(3)]
    requests: list[SearchRequest] = []
    answers: list[httpx.Response] = []

    def send(client: httpx.Client) -> None:
        answers.append(client.post("/v1/search", json={"item_id": "a", "request_id": "at-once"}))

    with answer(count_requests(requests)):
        threads = [threading.Thread(target=send, args=(client,)) for client in clients * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {response.status_code for response in answers} == {200}
    assert len({response.text for response in answers}) == 1
    assert len(requests) == 1


def test_an_unanswered_search_is_sent_again_by_another_gateway(
    make_client: MakeClient, answer: RunQueryWorker
) -> None:
    request, key = {"item_id": "a", "deadline_ms": 50}, {"Idempotency-Key": "unanswered"}
    assert make_client().post("/v1/search", json=request, headers=key).status_code == 504
    requests: list[SearchRequest] = []
    second = make_client()
    with answer(count_requests(requests)):
        assert second.post("/v1/search", json=request, headers=key).status_code == 200
    assert len(requests) == 1


def test_an_item_that_is_sent_again_to_another_gateway_is_one_event(
    make_client: MakeClient, kafka: KafkaSettings
) -> None:
    clients = [make_client() for _ in range(3)]
    key = {"Idempotency-Key": "item-again"}
    receipts: list[httpx.Response] = []

    def send(client: httpx.Client) -> None:
        receipts.append(client.post("/v1/items", json=ITEM, headers=key))

    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        threads = [threading.Thread(target=send, args=(client,)) for client in clients * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        send(clients[0])
        events = []
        while (record := reader.poll(0.5)) is not None:
            events.append(from_bytes(record.value or b""))
    assert {response.status_code for response in receipts} == {202}, receipts[0].text
    assert len({response.text for response in receipts}) == 1
    [event] = events
    assert isinstance(event, ItemUpserted)
    assert event.revision == receipts[0].json()["revision"]


def test_the_names_of_one_tenant_are_not_those_of_another(make_client: MakeClient, answer: RunQueryWorker) -> None:
    shop, other = make_client(tokens=SHOP), make_client(tokens=OTHER)
    shop.headers["Authorization"], other.headers["Authorization"] = (
        "Bearer shop-a-long-secret",
        "Bearer other-a-long-secret",
    )
    requests: list[SearchRequest] = []
    key = {"Idempotency-Key": "same-name"}
    with answer(count_requests(requests)):
        mine = shop.post("/v1/search", json={"item_id": "a", "tenant": "shop"}, headers=key | ASYNC)
        theirs = other.post("/v1/search", json={"item_id": "b", "tenant": "other"}, headers=key)
        found = shop.get(mine.headers["Location"])
    assert (mine.status_code, theirs.status_code, found.status_code) == (202, 200, 200)
    assert theirs.json()["message"] != found.json()["message"]
    assert other.get(mine.headers["Location"]).status_code == 403
    assert other.get("/v1/searches/never?tenant=other").status_code == 404
    assert len({request.request_id for request in requests}) == 2
