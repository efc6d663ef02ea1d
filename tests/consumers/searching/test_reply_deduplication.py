"""Requests older than a worker are looked up among the results, whatever bytes those contain."""

import pytest

from consumers.searching.reply_deduplication import ReplyDeduplicator
from infra.kafka import Record
from schemas.envelope import CORRELATION_ID, REPLY_TO
from schemas.failures import Unavailable
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS

STARTED_MS = 1_714_564_800_000


class Results:
    """The answered requests by topic; the first `away` reads raise Unavailable."""

    def __init__(self, *, away: int = 0, **names: set[str]) -> None:
        self._names = {topic.replace("_", "."): found for topic, found in names.items()}
        self._away = away
        self.topics_read: list[str] = []

    def read(self, topic: str, _since_ms: int) -> set[str]:
        self.topics_read.append(topic)
        if len(self.topics_read) <= self._away:
            raise Unavailable("the broker is away, for the test")
        return self._names[topic]

    def exists(self, topic: str, _partition: int | None) -> bool:
        return topic in self._names


def request(
    name: str | None, reply_to: str = SEARCH_RESULTS, *, at_ms: int = STARTED_MS - 1, key: bool = True
) -> Record:
    headers: dict[str, bytes | None] = {REPLY_TO: reply_to.encode()}
    if name is not None and not key:
        headers[CORRELATION_ID] = name.encode()
    record_key = name.encode() if key and name is not None else None
    return Record(SEARCH_REQUESTS, 0, 0, record_key, b"{}", headers, at_ms)


def test_a_reading_that_failed_is_done_again_when_the_broker_is_back() -> None:
    results = Results(search_results={"known"}, away=1)
    answered = ReplyDeduplicator(results.read, STARTED_MS, results.exists)
    with pytest.raises(Unavailable):
        answered.is_answered(request("known"))
    assert answered.is_answered(request("known"))
    assert not answered.is_answered(request("new"))
    assert len(results.topics_read) == 2


@pytest.mark.parametrize("at_ms", [1, STARTED_MS - 1])
def test_an_answer_for_a_topic_that_is_not_there_is_looked_for_where_it_went(at_ms: int) -> None:
    results = Results(search_results={"known"})
    answered = ReplyDeduplicator(results.read, STARTED_MS, results.exists)
    assert answered.is_answered(request("known", "search.results.nowhere", at_ms=at_ms))
    assert not answered.is_answered(request("new", "search.results.elsewhere", at_ms=at_ms))
    assert set(results.topics_read) == {SEARCH_RESULTS}


def test_a_request_is_known_by_its_key_or_its_header_and_one_without_either_is_not() -> None:
    results = Results(search_results={"known", "unknown"})  # "unknown" is whom unreadable records are answered to
    answered = ReplyDeduplicator(results.read, STARTED_MS, results.exists)
    assert answered.is_answered(request("known", key=False))
    assert not answered.is_answered(request(None))


def test_what_came_after_the_start_is_not_looked_up() -> None:
    results = Results(search_results={"known"})
    assert not ReplyDeduplicator(results.read, STARTED_MS, results.exists).is_answered(
        request("known", at_ms=STARTED_MS + 60_000)
    )
    assert results.topics_read == []
