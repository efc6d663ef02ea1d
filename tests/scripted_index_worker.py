"""An index worker for tests: it publishes for each item event the outcomes that the test chooses."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record
from schemas.envelope import Event, from_record
from schemas.failures import Code
from schemas.items import ItemDeleted, ItemEvent, item_key
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected, ItemRemoved
from schemas.topics import ITEM_OUTCOMES, ITEM_TOPICS
from tests.worker_thread import run_worker

Report = Callable[[str, ItemEvent], list[ItemOutcome]]
RunIndexWorker = Callable[[Report], AbstractContextManager[None]]


def default_outcomes(event_id: str, item: ItemEvent) -> list[ItemOutcome]:
    """An upsert is indexed with all of its pictures, and a deletion removes the item."""
    common: dict[str, object] = {"event_id": event_id, "tenant": item.tenant, "item_id": item.item_id}
    common |= {"source": item.source, "revision": item.revision}
    if isinstance(item, ItemDeleted):
        return [ItemRemoved.model_validate(common)]
    return [ItemIndexed.model_validate(common | {"images": len(getattr(item, "images", ()))})]


def rejected(event_id: str, item: ItemEvent, code: Code, message: str) -> ItemOutcome:
    """The outcome of an event that was refused."""
    return ItemRejected(
        event_id=event_id,
        tenant=item.tenant,
        item_id=item.item_id,
        revision=item.revision,
        code=code,
        message=message,
    )


def run_index_worker(kafka: KafkaSettings, report: Report = default_outcomes) -> AbstractContextManager[None]:
    """Run the worker in a thread, for the events that are sent from now on; it indexes nothing."""

    def handle(record: Record, sink: EventSink) -> None:
        event = from_record(record.position, record.key, record.value, record.headers, record.timestamp_ms)
        assert isinstance(event.body, ItemEvent)
        for outcome in report(event.id, event.body):
            sink.send(ITEM_OUTCOMES, item_key(event.body.tenant, event.body.item_id), Event(outcome))

    return run_worker(kafka, ITEM_TOPICS, handle)
