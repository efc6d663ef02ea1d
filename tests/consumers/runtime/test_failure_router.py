"""The failure router: where a failed record goes, and its headers."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.dead_letter_limit import MAX_TENANTS, SET_ASIDE_SECONDS, DeadLetterLimit, Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.retry_headers import due_time, read_origin
from infra.kafka import OutgoingRecord, Record
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = TryLater(Code.IMAGE_TIMEOUT, "slow, for the test")
WRITTEN = ("retry-topic", "retry-first-failed-at", "retry-partition", "retry-attempts", "retry-timestamp")
NEVER = Rejected(Code.IMAGE_FORMAT, "no picture, for the test")


@dataclass
class RecordingSink:
    """A sink that records what is sent."""

    records: list[Record] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)

    def send_record(self, record: OutgoingRecord) -> None:
        now_ms = round(NOW.timestamp() * 1000)
        place = record.topic, 0, len(self.records)
        self.records.append(Record(*place, record.key, record.value, record.headers, now_ms))

    def flush(self) -> None:
        """All that was sent has arrived already."""

    def note_failure(self, record: Record, event: Event | None, failure: Failure) -> None:
        self.codes.append(failure.code)

    @property
    def topics(self) -> list[str]:
        return [record.topic for record in self.records]


@pytest.fixture
def sent() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def router(sent: RecordingSink) -> FailureRouter:
    return FailureRouter(sent, sent.note_failure, Unlimited(), "host-0", lambda: "fake:1", now=lambda: NOW)


def record(headers: Mapping[str, bytes | None] | None = None, topic: str = "catalog.items") -> Record:
    return Record(topic, 2, 7, b"default:a", b"\xff value", headers or {"ce_id": b"e1", "mine": None}, 1_000)


def through(
    router: FailureRouter, sent: RecordingSink, failure: Failure, current: Record | None = None
) -> list[str]:
    """The topics that a record goes through when it fails in the same way each time."""
    current = current or record()
    while not sent.topics or not sent.topics[-1].endswith(".dead"):
        router.route(current, None, failure)
        current = sent.records[-1]
    return sent.topics


def test_what_may_work_later_goes_through_the_retry_topics_and_then_to_the_dead_letters(
    router: FailureRouter, sent: RecordingSink
) -> None:
    tiers = ["catalog.items.retry.5s", "catalog.items.retry.60s", "catalog.items.retry.600s", "catalog.items.dead"]
    assert through(router, sent, LATER) == tiers
    assert sent.codes == [Code.IMAGE_TIMEOUT]
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


def test_what_is_missing_gets_one_more_try(router: FailureRouter, sent: RecordingSink) -> None:
    gone = TryLater(Code.IMAGE_MISSING, "404, for the test", tries=1)
    assert through(router, sent, gone) == ["catalog.items.retry.5s", "catalog.items.dead"]


def test_what_never_works_goes_to_the_dead_letters_at_once(router: FailureRouter, sent: RecordingSink) -> None:
    assert through(router, sent, NEVER) == ["catalog.items.dead"]
    assert sent.records[0].headers["dead-class"] == b"Rejected"


def test_what_was_not_even_tried_keeps_its_attempts_and_waits_longer_each_time(sent: RecordingSink) -> None:
    moment = NOW
    router = FailureRouter(sent, sent.note_failure, Unlimited(), now=lambda: moment)
    rests = TryLater(Code.IMAGE_TIMEOUT, "its host rests, for the test", tried=False)
    current = record()
    for age in (0, 6, 66, 666, 1_266):
        moment = NOW + timedelta(seconds=age)
        router.route(current, None, rests)
        current = sent.records[-1]
    assert [topic.rpartition(".")[2] for topic in sent.topics] == ["5s", "60s", "600s", "600s", "5s"]
    assert [waiting.headers["retry-attempts"] for waiting in sent.records] == [b"0", b"0", b"0", b"0", b"1"]


def test_a_wait_that_is_longer_than_any_of_ours_is_not_believed() -> None:
    now_ms = round(time.time() * 1000)
    far = {"retry-not-before": b"253402300799000"}
    soon = {"retry-not-before": str(now_ms + 5_000).encode()}
    assert due_time(Record("t", 0, 0, None, None, far, now_ms)) == 0
    assert due_time(Record("t", 0, 0, None, None, far, 253402300799000)) == 0
    assert due_time(Record("t", 0, 0, None, None, soon, now_ms)) == (now_ms + 5_000) / 1000


def test_waits_differ_by_a_fifth_at_most(router: FailureRouter, sent: RecordingSink) -> None:
    for _ in range(50):
        router.route(record(), None, LATER)
    waits = {due_time(waiting) - NOW.timestamp() for waiting in sent.records}
    assert all(4 <= wait <= 6 for wait in waits)
    assert len(waits) > 10


def test_at_the_last_call_nothing_waits_any_more(router: FailureRouter, sent: RecordingSink) -> None:
    router.delays = {}
    assert through(router, sent, LATER) == ["catalog.items.dead"]


def test_retry_headers_of_other_producers_are_ignored(router: FailureRouter, sent: RecordingSink) -> None:
    codes = {"topic": b"victim", "partition": b"0", "offset": b"0", "timestamp": b"0", "attempts": b"9"}
    forged = record({f"retry-{name}": value for name, value in codes.items()} | {"retry-first-failed-at": b"x"})
    assert read_origin(forged, NOW).position == "catalog.items/2/7"
    router.route(forged, None, NEVER)
    assert sent.topics == ["catalog.items.dead"]


def test_what_anybody_wrote_to_a_retry_topic_goes_the_way_of_the_events_that_wait_there(
    router: FailureRouter, sent: RecordingSink
) -> None:
    tiers = ["catalog.items.retry.5s", "catalog.items.retry.60s", "catalog.items.retry.600s", "catalog.items.dead"]
    assert through(router, sent, LATER, record(topic="catalog.items.retry.60s")) == tiers
    assert sent.records[-1].headers["dead-topic"] == b"catalog.items.retry.60s", "where it was written"
    sent.records.clear()
    assert through(router, sent, NEVER, record(topic="social.posts.retry.5s")) == ["social.posts.dead"]


def test_secrets_are_masked_in_messages_and_unchanged_in_records(sent: RecordingSink) -> None:
    router = FailureRouter(sent, sent.note_failure, Unlimited(), redact=lambda text: text.replace("hunter2", "***"))
    router.route(record(), None, Rejected(Code.SOURCE_REFUSED, "no hunter2 " + "x" * 400))
    [letter] = sent.records
    assert (letter.headers["dead-message"] or b"").startswith(b"no *** x")
    assert len(letter.headers["dead-message"] or b"") == 300


def test_a_row_of_dead_letters_sets_only_their_tenant_aside_for_a_while() -> None:
    moment = [0.0]
    limit = DeadLetterLimit(3, 1.0, now=lambda: moment[0])
    for dead in (True, True, False, True, True):
        limit.record_outcome("a", dead=dead)
        limit.record_outcome("b", dead=dead)
    assert not limit.is_set_aside("a")
    limit.record_outcome("a", dead=True)
    assert (limit.is_set_aside("a"), limit.is_set_aside("b")) == (True, False)
    moment[0] = SET_ASIDE_SECONDS
    assert not limit.is_set_aside("a")


def test_a_large_share_of_dead_letters_sets_a_tenant_aside_once_there_are_enough_events() -> None:
    limit, closed = DeadLetterLimit(1_000, 0.2, now=lambda: 0.0), list[bool]()
    for n in range(501):
        limit.record_outcome("a", dead=n % 4 == 0)
        closed.append(limit.is_set_aside("a"))
    assert closed.index(True) == 500
    steady = DeadLetterLimit(1_000, 0.2)
    for n in range(2_000):
        steady.record_outcome("a", dead=n % 5 == 0)
    assert not steady.is_set_aside("a")


def test_no_more_tenants_are_counted_than_there_is_room_for() -> None:
    limit = DeadLetterLimit(2, 1.0)
    limit.record_outcome("first", dead=True)
    for n in range(MAX_TENANTS):
        limit.record_outcome(f"{n}", dead=False)
    limit.record_outcome("first", dead=True)
    assert not limit.is_set_aside("first"), "its first dead letter was forgotten"


def test_a_tenant_that_is_set_aside_stays_so_however_many_others_come() -> None:
    limit = DeadLetterLimit(1, 1.0)
    limit.record_outcome("flood", dead=True)
    for n in range(MAX_TENANTS):
        limit.record_outcome(f"{n}", dead=False)
    assert limit.is_set_aside("flood")


def test_what_does_not_fit_into_a_dead_letter_is_cut_and_says_what_it_was(sent: RecordingSink) -> None:
    router = FailureRouter(sent, sent.note_failure, Unlimited(), now=lambda: NOW, record_bytes=20_000)
    value = b"x" * 30_000
    huge = Record("catalog.items", 1, 5, b"default:a", value, {"big": b"y" * 5_000, "small": b"z"}, 1_000)
    router.route(huge, None, Rejected(Code.EVENT_INVALID, "too long, for the test"))
    [letter] = sent.records
    assert (letter.key, letter.value) == (b"default:a", value[:1_024])
    assert (letter.headers["small"], letter.headers["big"]) == (b"z", b"y" * 1_024)
    assert (letter.headers["dead-cut"], letter.headers["dead-value-bytes"]) == (b"true", b"30000")
    assert letter.headers["dead-value-sha256"] == hashlib.sha256(value).hexdigest().encode()
    assert letter.headers["dead-offset"] == b"5"


def test_what_would_wait_but_does_not_fit_is_a_dead_letter_at_once(sent: RecordingSink) -> None:
    router = FailureRouter(sent, sent.note_failure, Unlimited(), now=lambda: NOW, record_bytes=20_000)
    router.route(Record("catalog.items", 1, 5, b"default:a", b"x" * 30_000), None, LATER)
    assert sent.topics == ["catalog.items.dead"]


@given(
    key=st.none() | st.binary(max_size=100),
    headers=st.dictionaries(
        st.text(max_size=20) | st.sampled_from(WRITTEN), st.none() | st.binary(max_size=100), max_size=5
    ),
    timestamp=st.integers(-1, 2**63 - 1),
    digits=st.sampled_from([1, 18, 19, 400, 4_300, 5_000]),
)
def test_whatever_a_record_says_of_itself_it_finds_its_dead_letter(
    key: bytes | None, headers: dict[str, bytes | None], timestamp: int, digits: int
) -> None:
    sent = RecordingSink()
    router = FailureRouter(sent, sent.note_failure, Unlimited(), now=lambda: NOW)
    forged = {
        "retry-topic": b"catalog.items",
        "retry-first-failed-at": b"2026-01-01",
        "retry-not-before": b"9" * 400,
        **{f"retry-{name}": b"9" * digits for name in ("partition", "offset", "timestamp", "attempts")},
    }
    record = Record("catalog.items.retry.5s", 0, 0, key, b"v", forged | headers, timestamp)
    due_time(record)
    router.route(record, None, NEVER)
    assert sent.topics == ["catalog.items.dead"]
