"""The search client against a real broker, with a query worker of a few lines."""

import random
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from infra.client.reply_router import NoAnswer
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import TopicReader
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO
from schemas.failures import Unavailable
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS

RunQueryWorker = Callable[[Callable[[SearchRequest], list[SearchResult]]], AbstractContextManager[None]]


def request(deadline_ms: int = 10_000) -> SearchRequest:
    return SearchRequest(request_id=str(uuid.uuid4()), item_id="7", deadline_ms=deadline_ms)


def result_of(sent: SearchRequest) -> SearchResult:
    return SearchResult(request_id=sent.request_id, status="no_match", message="nothing like it")


def test_an_answer_finds_the_one_who_asked(kafka: KafkaSettings, answer: RunQueryWorker) -> None:
    with answer(lambda sent: [result_of(sent)]), SearchClient(kafka) as client:
        sent = request()
        assert client.search(sent) == result_of(sent)


def test_several_searches_in_flight_are_answered_in_any_order(kafka: KafkaSettings, answer: RunQueryWorker) -> None:
    held: list[SearchRequest] = []

    def shuffled(sent: SearchRequest) -> list[SearchResult]:
        held.append(sent)
        if len(held) < 5:
            return []
        batch = random.Random(1).sample(held, len(held))
        held.clear()
        return [result_of(one) for one in batch]

    requests = [request() for _ in range(20)]
    with answer(shuffled), SearchClient(kafka) as client:
        found = client.search_all(requests, in_flight=10)
    assert [one.request_id for one in found] == [one.request_id for one in requests]


def test_the_answers_of_others_are_passed_over(kafka: KafkaSettings, answer: RunQueryWorker) -> None:
    def crowd(sent: SearchRequest) -> list[SearchResult]:
        return [result_of(request()), result_of(sent), result_of(sent), result_of(request())]

    with answer(crowd), SearchClient(kafka) as client:
        for sent in (request(), request()):
            assert client.search(sent).request_id == sent.request_id


def test_no_answer_by_the_deadline_is_reported_in_one_sentence(kafka: KafkaSettings) -> None:
    with SearchClient(kafka, grace_s=0.1) as client, pytest.raises(NoAnswer, match="query worker runs"):
        client.search(request(deadline_ms=50))


def test_a_request_carries_where_its_answer_goes(kafka: KafkaSettings) -> None:
    reader = TopicReader(kafka, SEARCH_REQUESTS)
    sent = request(deadline_ms=50)
    with SearchClient(kafka, grace_s=0) as client:
        with pytest.raises(NoAnswer):
            client.search(sent)
        record = reader.poll(5)
    reader.close()
    assert record is not None
    assert record.key == sent.request_id.encode()
    assert record.headers[CORRELATION_ID] == record.key
    assert record.headers[REPLY_TO] == SEARCH_RESULTS.encode()
    assert (record.headers[REPLY_PARTITION] or b"").isdigit()


def test_a_broker_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="LOOKSTREAM_KAFKA_BOOTSTRAP"):
        SearchClient(KafkaSettings(bootstrap="127.0.0.1:1"))
