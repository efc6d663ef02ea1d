"""The publisher against a real broker: events and their outcomes."""

import threading

import pytest

from infra.client.item_publisher import ItemPublisher
from infra.config.kafka import KafkaSettings
from infra.kafka import RecordRefused
from schemas.failures import Code
from schemas.items import InlineImage, ItemDeleted, ItemEvent, ItemUpserted
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected, ItemRemoved
from tests.scripted_index_worker import default_outcomes, rejected, run_index_worker

PICTURE = InlineImage(data=b"picture")


def item(item_id: str, revision: int = 1) -> ItemUpserted:
    return ItemUpserted(item_id=item_id, revision=revision, images=(PICTURE,))


def test_each_event_gets_its_outcome_in_the_order_of_the_events(kafka: KafkaSettings) -> None:
    def report(event_id: str, event: ItemEvent) -> list[ItemOutcome]:
        if event.item_id == "bad":
            return [rejected(event_id, event, Code.IMAGE_UNREADABLE, "no picture")]
        return default_outcomes(event_id, event)

    with run_index_worker(kafka, report), ItemPublisher(kafka) as publisher:
        for _ in range(2):
            found = publisher.publish_all([item("a"), item("bad"), ItemDeleted(item_id="c", revision=2)])
            assert [type(outcome) for outcome in found] == [ItemIndexed, ItemRejected, ItemRemoved]
            assert [outcome.item_id for outcome in found if outcome is not None] == ["a", "bad", "c"]


def test_many_outcomes_arrive_in_any_order_and_twice(kafka: KafkaSettings) -> None:
    waiting: list[ItemOutcome] = []

    def report(event_id: str, event: ItemEvent) -> list[ItemOutcome]:
        waiting.extend(default_outcomes(event_id, event) * 2)
        if len(waiting) < 200:
            return []
        batch = waiting[::-1]
        waiting.clear()
        return batch

    with run_index_worker(kafka, report), ItemPublisher(kafka) as publisher:
        found = publisher.publish_all(item(str(n)) for n in range(300))
    assert [outcome.item_id for outcome in found if outcome is not None] == [str(n) for n in range(300)]


def test_what_has_no_outcome_in_time_is_none(kafka: KafkaSettings) -> None:
    def report(event_id: str, event: ItemEvent) -> list[ItemOutcome]:
        return default_outcomes(event_id, event) if event.item_id == "a" else []

    with run_index_worker(kafka, report), ItemPublisher(kafka) as publisher:
        found, missing = publisher.publish_all([item("a"), item("b")], wait_s=1)
    assert isinstance(found, ItemIndexed)
    assert missing is None


def test_nothing_to_send_is_nothing_to_wait_for(kafka: KafkaSettings) -> None:
    with ItemPublisher(kafka) as publisher:
        assert publisher.publish_all([]) == []


def test_two_threads_get_their_own_outcomes(kafka: KafkaSettings) -> None:
    found: dict[str, list[ItemOutcome | None]] = {}
    with run_index_worker(kafka), ItemPublisher(kafka) as publisher:

        def send(name: str) -> None:
            found[name] = publisher.publish_all([item(f"{name}{n}") for n in range(20)])

        threads = [threading.Thread(target=send, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in "ab":
        assert [outcome.item_id for outcome in found[name] if outcome] == [f"{name}{n}" for n in range(20)]


def test_an_event_that_is_too_large_is_refused_and_the_next_ones_are_sent(kafka: KafkaSettings) -> None:
    small = kafka.model_copy(update={"record_bytes": 100_000})
    with run_index_worker(kafka), ItemPublisher(small) as publisher:
        large = ItemUpserted(item_id="b", revision=1, images=(InlineImage(data=b"x" * 200_000),))
        with pytest.raises(RecordRefused):
            publisher.publish_all([item("a"), large])
        [outcome] = publisher.publish_all([item("c")])
        assert isinstance(outcome, ItemIndexed)
