"""Outcomes: each item event is told what became of it, once and for all."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumers.embedding.stage_timer import StageTimer
from consumers.indexing.images import EmbeddedImage, ImageStatus
from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.merge import ItemChange
from consumers.points.payload import prediction_in
from consumers.runtime.ports import Sink
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.items import ItemDeleted, ItemEvent, ItemUpserted, item_key, split_item_key
from schemas.outcomes import (
    MAX_EVENT_ID,
    ItemBlocked,
    ItemIndexed,
    ItemOutcome,
    ItemRejected,
    ItemRemoved,
    ItemSuperseded,
    SkippedImage,
    StepTimes,
)
from schemas.topics import ITEM_OUTCOMES

MAX_ITEM_ID = 200
NAMESPACE = uuid.UUID("0f0f3c1e-0a57-5d0c-8f3e-6d2b8c1f7a44")
"""Makes the ids of outcomes unlike those of other events."""


@dataclass(frozen=True)
class BatchTimes:
    """When a batch was taken and when the index had it, and how long the steps between took."""

    received: datetime
    written: datetime
    clock: StageTimer


class OutcomePublisher:
    """Publishes outcomes. The id of an outcome comes from its event's: whoever reads one twice can tell."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def settled(
        self, entries: Sequence[ItemUpdate], moments: BatchTimes, tells: Callable[[datetime], bool]
    ) -> None:
        """Tell the events that have not failed what has become of them, if it is for us to tell."""
        for entry in entries:
            for told in entry.events:
                verdict = entry.verdicts[told.id]
                if not isinstance(verdict, Failure) and tells(told.event.time):
                    self._send(told.id, _outcome(entry, told, moments, counts=verdict == "counts"))

    def rejected(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Tell that an event was refused for good."""
        tenant, item_id, revision = _item(record, event)
        event_id = event.id if event else _header(record, "ce_id") or record.position
        outcome = ItemRejected(
            event_id=event_id[:MAX_EVENT_ID],
            tenant=tenant,
            item_id=item_id,
            revision=revision,
            code=failure.code,
            message=failure.message[:500],
        )
        self._send(event_id, outcome)

    def _send(self, event_id: str, outcome: ItemOutcome) -> None:
        key = item_key(str(outcome.tenant), str(outcome.item_id))
        self._sink.send(ITEM_OUTCOMES, key, Event(outcome, id=str(uuid.uuid5(NAMESPACE, event_id))))


def _outcome(entry: ItemUpdate, told: ItemChange, moments: BatchTimes, *, counts: bool) -> ItemOutcome:
    body = told.body
    about: dict[str, object] = {
        "event_id": told.id[:MAX_EVENT_ID],
        "tenant": body.tenant,
        "item_id": body.item_id,
        "source": body.source,
        "revision": body.revision,
        "times": _times(told.event, moments),
    }
    if not counts:
        return ItemSuperseded.model_validate(about | {"newest": entry.state.revision})
    if isinstance(body, ItemDeleted):
        return ItemRemoved.model_validate(about)
    if entry.state.blocked:
        return ItemBlocked.model_validate(about | {"labels": entry.state.blocked})
    seen = _seen(entry) if isinstance(body, ItemUpserted) else {"images": 0}
    return ItemIndexed.model_validate(about | seen)


def _seen(entry: ItemUpdate) -> dict[str, object]:
    """What became of the pictures of an upsert."""
    skipped = [
        SkippedImage(image=n, code=picture.code, message=picture.message[:500])
        for n, picture in enumerate(entry.pictures)
        if isinstance(picture, Failure)
    ]
    return {
        "images": sum(isinstance(picture, EmbeddedImage) for picture in entry.pictures),
        "duplicate_group": entry.group,
        "duplicate": entry.duplicate,
        "unchanged": sum(picture is ImageStatus.KEPT for picture in entry.pictures),
        "skipped": tuple(skipped),
        "category_predicted": prediction_in(entry.state.facts),
    }


def _times(event: Event, moments: BatchTimes) -> StepTimes:
    clock = moments.clock
    steps = {name: getattr(clock, name) for name in ("fetched", "decoded", "encoded", "written")}
    return StepTimes(event_time=event.time, received_at=moments.received, searchable_at=moments.written, **steps)


def _item(record: Record, event: Event | None) -> tuple[str | None, str | None, int | None]:
    """Tenant, id and revision of the item that a record is about, as far as it says."""
    if event is not None and isinstance(event.body, ItemEvent):
        return event.body.tenant, event.body.item_id, event.body.revision
    try:
        tenant, item_id = split_item_key((record.key or b"").decode("utf-8", "replace"))
    except ValueError:
        return None, None, None
    return tenant, item_id[:MAX_ITEM_ID], None


def _header(record: Record, name: str) -> str:
    return (record.headers.get(name) or b"").decode("utf-8", "replace")
