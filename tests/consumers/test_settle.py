"""Settling: what becomes of a failed record, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from consumers.settle import Settler, due_time, origin_of
from consumers.valve import OpenValve, Valve
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = TryLater(Code.IMAGE_TIMEOUT, "slow, for the test")
NEVER = Rejected(Code.IMAGE_FORMAT, "no picture, for the test")


@dataclass
class Sent:
    """Keeps the records that were sent."""

    records: list[Record] = field(default_factory=list)
    told: list[Code] = field(default_factory=list)

    def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
        *,
        partition: int | None = None,
    ) -> None:
        self.records.append(Record(topic, 0, len(self.records), key, value, headers))

    def flush(self) -> None:
        """All that was sent has arrived already."""

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        self.told.append(failure.code)

    @property
    def topics(self) -> list[str]:
        return [record.topic for record in self.records]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def settler(sent: Sent) -> Settler:
    return Settler(sent, sent.tell, OpenValve(), "host-0", "fake:1", now=lambda: NOW)


def record(headers: Mapping[str, bytes | None] | None = None, topic: str = "catalog.items") -> Record:
    return Record(topic, 2, 7, b"default:a", b"\xff value", headers or {"ce_id": b"e1", "mine": None}, 1_000)


def through(settler: Settler, sent: Sent, failure: Failure) -> list[str]:
    """The topics that a record goes through when it fails in the same way each time."""
    current = record()
    while not sent.topics or not sent.topics[-1].endswith(".dead"):
        settler.settle(current, None, failure)
        current = sent.records[-1]
    return sent.topics


def test_what_may_work_later_goes_through_the_retry_topics_and_then_to_the_dead_letters(
    settler: Settler, sent: Sent
) -> None:
    tiers = ["catalog.items.retry.5s", "catalog.items.retry.60s", "catalog.items.retry.600s", "catalog.items.dead"]
    assert through(settler, sent, LATER) == tiers
    assert sent.told == [Code.IMAGE_TIMEOUT]
    letter = sent.records[-1]
    assert (letter.key, letter.value) == (b"default:a", b"\xff value")
    assert {name: value for name, value in letter.headers.items() if not name.startswith("dead-")} == {
        "ce_id": b"e1",
        "mine": None,
    }
    assert letter.headers["dead-topic"] == b"catalog.items"
    assert [letter.headers[f"dead-{name}"] for name in ("partition", "offset", "timestamp")] == [
        b"2",
        b"7",
        b"1000",
    ]
    assert letter.headers["dead-attempts"] == b"4"
    assert letter.headers["dead-first-failed-at"] == NOW.isoformat().encode()
    assert (letter.headers["dead-worker"], letter.headers["dead-encoder"]) == (b"host-0", b"fake:1")


def test_what_is_missing_gets_one_more_try(settler: Settler, sent: Sent) -> None:
    gone = TryLater(Code.IMAGE_MISSING, "404, for the test", tries=1)
    assert through(settler, sent, gone) == ["catalog.items.retry.5s", "catalog.items.dead"]


def test_what_never_works_goes_to_the_dead_letters_at_once(settler: Settler, sent: Sent) -> None:
    assert through(settler, sent, NEVER) == ["catalog.items.dead"]
    assert sent.records[0].headers["dead-class"] == b"Rejected"


def test_what_was_not_even_tried_keeps_its_attempts_and_waits_longer_each_time(sent: Sent) -> None:
    moment = NOW
    settler = Settler(sent, sent.tell, OpenValve(), now=lambda: moment)
    rests = TryLater(Code.IMAGE_TIMEOUT, "its host rests, for the test", tried=False)
    current = record()
    for age in (0, 6, 66, 666, 1_266):
        moment = NOW + timedelta(seconds=age)
        settler.settle(current, None, rests)
        current = sent.records[-1]
    assert [topic.rpartition(".")[2] for topic in sent.topics] == ["5s", "60s", "600s", "600s", "5s"]
    assert [waiting.headers["retry-attempts"] for waiting in sent.records] == [b"0", b"0", b"0", b"0", b"1"]


def test_waits_differ_by_a_fifth_at_most(settler: Settler, sent: Sent) -> None:
    for _ in range(50):
        settler.settle(record(), None, LATER)
    waits = {due_time(waiting) - NOW.timestamp() for waiting in sent.records}
    assert all(4 <= wait <= 6 for wait in waits)
    assert len(waits) > 10


def test_at_the_last_call_nothing_waits_any_more(settler: Settler, sent: Sent) -> None:
    settler.delays = {}
    assert through(settler, sent, LATER) == ["catalog.items.dead"]


def test_retry_headers_that_somebody_else_wrote_are_not_believed(settler: Settler, sent: Sent) -> None:
    told = {"topic": b"victim", "partition": b"0", "offset": b"0", "timestamp": b"0", "attempts": b"9"}
    forged = record({f"retry-{name}": value for name, value in told.items()} | {"retry-first-failed-at": b"x"})
    assert origin_of(forged, NOW).position == "catalog.items/2/7"
    settler.settle(forged, None, NEVER)
    assert sent.topics == ["catalog.items.dead"]


def test_secrets_are_masked_in_what_is_said_and_kept_in_what_was_sent(sent: Sent) -> None:
    settler = Settler(sent, sent.tell, OpenValve(), redact=lambda text: text.replace("hunter2", "***"))
    settler.settle(record(), None, Rejected(Code.SOURCE_REFUSED, "no hunter2 " + "x" * 400))
    [letter] = sent.records
    assert (letter.headers["dead-message"] or b"").startswith(b"no *** x")
    assert len(letter.headers["dead-message"] or b"") == 300


def test_a_row_of_dead_letters_in_one_partition_closes_the_valve() -> None:
    valve = Valve(3, 1.0)
    here, there = record(), Record("catalog.items", 1, 0, None, None)
    assert not any(valve.count(place, dead=True) for place in (here, there, here, there))
    assert not valve.count(here, dead=False)
    assert [valve.count(here, dead=True) for _ in range(3)] == [False, False, True]


def test_a_large_share_of_dead_letters_closes_the_valve_once_there_are_enough_events() -> None:
    valve = Valve(1_000, 0.2)
    closed = [valve.count(record(), dead=n % 4 == 0) for n in range(501)]
    assert closed.index(True) == 500
    steady = Valve(1_000, 0.2)
    assert not any(steady.count(record(), dead=n % 5 == 0) for n in range(2_000))
