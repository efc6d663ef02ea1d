"""The outcome follower on a real broker."""

import queue
from contextlib import closing

from infra.client.outcome_follower import OutcomeFollower
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord
from schemas.envelope import Event
from schemas.failures import Code
from schemas.items import ItemDeleted
from schemas.outcomes import ItemOutcome, ItemRejected
from schemas.topics import ITEM_OUTCOMES

PATIENCE_SECONDS = 20


def outcome(event_id: str) -> ItemRejected:
    return ItemRejected(event_id=event_id, code=Code.IMAGE_MISSING, message="there is no picture")


def send(sink: EventSink, *event_ids: str) -> None:
    for event_id in event_ids:
        sink.send(ITEM_OUTCOMES, event_id, Event(outcome(event_id)))
    sink.flush()


def test_outcomes_are_followed_from_the_creation_on_and_only_those_that_are_marked(kafka: KafkaSettings) -> None:
    found: queue.Queue[ItemOutcome] = queue.Queue()
    with closing(EventSink(kafka)) as sink:
        send(sink, "run-0")
        with closing(OutcomeFollower(kafka, found.put, b"run")) as follower:
            send(sink, "other-1", "run-1", "other-2", "run-2")
            ids = {found.get(timeout=PATIENCE_SECONDS).event_id for _ in range(2)}
            assert follower.failure is None
    assert ids == {"run-1", "run-2"}
    assert found.empty()


def test_what_is_no_outcome_is_passed_over(kafka: KafkaSettings) -> None:
    found: queue.Queue[ItemOutcome] = queue.Queue()
    with closing(EventSink(kafka)) as sink, closing(OutcomeFollower(kafka, found.put)) as follower:
        for value in (None, b"", b"\xff", b"{}", b'{"schema": "item.indexed/9"}'):
            sink.send_record(OutgoingRecord(ITEM_OUTCOMES, b"a", value, partition=0))
        sink.send(ITEM_OUTCOMES, "a", Event(ItemDeleted(item_id="a", revision=1)), partition=0)
        sink.send(ITEM_OUTCOMES, "a", Event(outcome("last")), partition=0)
        sink.flush()
        assert found.get(timeout=PATIENCE_SECONDS) == outcome("last")
        assert follower.failure is None
