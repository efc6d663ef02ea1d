"""Item outcomes: publish the final outcome of each item event, and the watches that its item matches."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumers.embedding.stage_timer import StageTimer
from consumers.indexing.images import EmbeddedImage, ImageStatus
from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.merge import ItemChange
from consumers.indexing.watches.watch_matrix import WatchMatch
from consumers.points.payload import HitConfidence, hit_of, prediction_in
from consumers.runtime.ports import Sink
from infra.kafka import Record
from infra.qdrant.contract import ScoredPoint
from schemas.cloud_events import read_event_id
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.items import ItemDeleted, ItemEvent, ItemUpserted, item_key, split_item_key
from schemas.moments import moment_at
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
from schemas.topics import ITEM_OUTCOMES, SEARCH_MATCHES
from schemas.watches import WatchMatched

MAX_ITEM_ID = 200
FIRST_TIME = 10**15
"""From here on a revision counts as a time: as microseconds since 1970 it is in September 2001."""
OUTCOME_NAMESPACE = uuid.UUID("0f0f3c1e-0a57-5d0c-8f3e-6d2b8c1f7a44")
MATCH_NAMESPACE = uuid.UUID("b1c7a9de-3f58-5f0e-9a41-7c2d0e6f8b35")
"""UUID namespaces that make the ids of outcomes and of matches differ from those of other events."""


@dataclass(frozen=True)
class BatchTimes:
    """When a batch was received, when it was in the index, and how long the stages in between took."""

    received: datetime
    written: datetime
    timer: StageTimer


def always(_time: datetime) -> bool:
    """Report the outcome of every event."""
    return True


@dataclass(frozen=True)
class OutcomePublisher:
    """Publishes outcomes and matches. Their ids derive from the event or the item, so consumers detect repeats."""

    sink: Sink
    reports_outcomes: Callable[[datetime], bool] = always
    """Whether the outcome of an event with this time is published; another index worker publishes the others."""

    def publish(self, updates: Sequence[ItemUpdate], times: BatchTimes) -> None:
        """Publish the outcome of each event that has not failed."""
        for update in updates:
            for change in update.item.changes:
                verdict = update.outcomes[change.id]
                if not isinstance(verdict, Failure) and self.reports_outcomes(change.event.time):
                    self._send(change.id, _outcome(update, change, times, counts=verdict == "counts"))

    def publish_rejection(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Publish that an event was finally rejected; `event` is None if the record could not be parsed."""
        tenant, item_id, revision = _item(record, event)
        event_id = event.id if event else read_event_id(record.value, record.headers) or record.position
        outcome = ItemRejected(
            event_id=event_id[:MAX_EVENT_ID],
            tenant=tenant,
            item_id=item_id,
            revision=revision,
            code=failure.code,
            message=failure.message[:500],
        )
        self._send(event_id, outcome)

    def publish_matches(self, matches: Mapping[ItemUpdate, Sequence[WatchMatch]]) -> None:
        """Publish the watches that items match. Raises Unavailable.

        Matches of an event whose outcome another index worker publishes are left out: it publishes them too.

        Returns after delivery of all matches: an item that is written with notified watches must not lose its
        matches if this process dies.
        """
        for update, item_matches in matches.items():
            base = update.merged.base_change
            if base is None or self.reports_outcomes(base.event.time):
                for match in item_matches:
                    id = str(uuid.uuid5(MATCH_NAMESPACE, f"{match.watch.fingerprint}\n{update.item.key}"))
                    self.sink.send(SEARCH_MATCHES, match.watch.key, Event(_match_event(update, match), id=id))
        if matches:
            self.sink.flush()

    def _send(self, event_id: str, outcome: ItemOutcome) -> None:
        key = item_key(str(outcome.tenant), str(outcome.item_id))
        self.sink.send(ITEM_OUTCOMES, key, Event(outcome, id=str(uuid.uuid5(OUTCOME_NAMESPACE, event_id))))


def _match_event(update: ItemUpdate, match: WatchMatch) -> WatchMatched:
    point = ScoredPoint(match.point.id, match.score, match.point.payload)
    hit = hit_of(point, thumbnail=False, confidence=HitConfidence(match.confidence))
    return WatchMatched(watch_id=match.watch.watch_id, tenant=update.item.tenant, hit=hit)


def _outcome(update: ItemUpdate, change: ItemChange, times: BatchTimes, *, counts: bool) -> ItemOutcome:
    body = change.body
    common: dict[str, object] = {
        "event_id": change.id[:MAX_EVENT_ID],
        "tenant": body.tenant,
        "item_id": body.item_id,
        "source": body.source,
        "revision": body.revision,
        "times": _step_times(change.event, times),
    }
    if not counts:
        newest = update.state.revision
        return ItemSuperseded.model_validate(
            common | {"newest": newest, "message": _revision_remedy(body.revision, newest)}
        )
    if isinstance(body, ItemDeleted):
        return ItemRemoved.model_validate(common)
    if update.state.blocked:
        return ItemBlocked.model_validate(common | {"labels": update.state.blocked})
    images = _image_fields(update) if isinstance(body, ItemUpserted) else {"images": 0}
    return ItemIndexed.model_validate(common | images)


def _revision_remedy(revision: int, newest: int) -> str | None:
    """The remedy when an event without a time as revision is compared with one that has a time."""
    if not revision < FIRST_TIME <= newest:
        return None
    return (
        f"revision {revision} is below {newest}, a time in microseconds since 1970 ({moment_at(newest):%Y-%m-%d}): "
        "null values, and events without a revision of their own, have their times as revisions. Use such times in "
        "all events, or delete by item.deleted/1 with your own revision"
    )


def _image_fields(update: ItemUpdate) -> dict[str, object]:
    """The fields of ItemIndexed that depend on the pictures of an upsert."""
    skipped = [
        SkippedImage(image=n, code=image.code, message=image.message[:500])
        for n, image in enumerate(update.images)
        if isinstance(image, Failure)
    ]
    new = [image for image in update.images if isinstance(image, EmbeddedImage)]
    return {
        "images": len(new),
        "regions": sum(len(image.look.regions) for image in new),
        "duplicate_group": update.group,
        "duplicate": update.duplicate,
        "unchanged": sum(image is ImageStatus.UNCHANGED for image in update.images),
        "skipped": tuple(skipped),
        "category_predicted": prediction_in(update.state.facts),
    }


def _step_times(event: Event, times: BatchTimes) -> StepTimes:
    steps = {name: getattr(times.timer, name) for name in ("fetched", "decoded", "encoded", "written")}
    return StepTimes(event_time=event.time, received_at=times.received, searchable_at=times.written, **steps)


def _item(record: Record, event: Event | None) -> tuple[str | None, str | None, int | None]:
    """Tenant, id and revision of a record's item, from the event or else from the record's key; None if unknown."""
    if event is not None and isinstance(event.body, ItemEvent):
        return event.body.tenant, event.body.item_id, event.body.revision
    try:
        tenant, item_id = split_item_key((record.key or b"").decode("utf-8", "replace"))
    except ValueError:
        return None, None, None
    return tenant, item_id[:MAX_ITEM_ID], None
