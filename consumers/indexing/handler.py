"""Item indexing: handle item events by writing points to the index and publishing outcomes."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import ItemEnrichers
from consumers.indexing.images import EmbeddedImage, ImageRequest, ImageResolver, ImageStatus
from consumers.indexing.item_update import (
    ItemEvents,
    ItemUpdate,
    add_categories,
    add_images,
    items_of,
    merge_item,
    read,
)
from consumers.indexing.outcomes import BatchTimes, OutcomePublisher
from consumers.indexing.writes import WriteSet, diff, write
from consumers.points.payload import PROVENANCE_KEYS
from consumers.runtime.ports import HandlerDefaults
from infra.kafka import Record
from infra.qdrant.contract import Index
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable
from schemas.items import ItemEvent, revision_at

TOMBSTONE_DAYS = 7
"""How long the tombstone of a deleted item stays. An older event that arrives after that brings the item back, so
this must be longer than events wait in retry topics (11 minutes) and than dead letters wait for a replay."""
TOMBSTONE_COLLECTION_HOURS = 1
"""Interval between removals of old tombstones."""
MAX_LOST_RACES = 20
"""How often an item may lose the race against other writers before the batch is stopped and handled again."""


def utc_now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


class ItemIndexer(HandlerDefaults):
    """Writes item events to the index. The resulting state of an item depends on revisions alone.

    read the stored states -> merge the events into them -> resolve the pictures -> enrich -> diff -> write

    Any number of threads and processes may write to one index. Each item is read, and then written on condition
    that nobody has written it since; a writer that loses this race reads the item again.
    """

    def __init__(
        self,
        pipeline: ImagePipeline,
        index: Index,
        enrichers: ItemEnrichers,
        outcomes: OutcomePublisher,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pipeline = pipeline
        self._index = index
        self._enrichers = enrichers
        self._outcomes = outcomes
        self._now = now
        self._collected_at: datetime | None = None
        self._write_lock = threading.Lock()
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Index, patch or remove each item, then publish the outcomes; by then all changes are searchable.

        Each event fails alone: the other events of its item are applied as if the failed one had never arrived.
        Returns the failures by event id.
        """
        received, images = self._now(), ImageResolver(self._pipeline, self._index)
        items = items_of(events)
        finished: dict[str, ItemUpdate] = {}
        pending: Sequence[ItemEvents] = items
        while pending:
            written, pending = self._process_round(pending, images)
            finished |= {update.item.key: update for update in written}
        updates = [finished[item.key] for item in items]
        self._outcomes.publish(updates, BatchTimes(received, self._now(), images.timer))
        outcomes = {id: outcome for update in updates for id, outcome in update.outcomes.items()}
        failures = {id: outcome for id, outcome in outcomes.items() if isinstance(outcome, Failure)}
        self._log_batch(updates, failures, images)
        return failures | {event.id: _not_an_item() for event in events if not isinstance(event.body, ItemEvent)}

    @property
    def prepares(self) -> bool:
        """True: `prepare` fetches pictures ahead."""
        return True

    def prepare(self, events: Sequence[Event]) -> None:
        """Start to fetch the pictures that a batch of these events will need. Raises Unavailable."""
        updates = self._read_and_merge(items_of(events))
        ImageResolver(self._pipeline, self._index).prefetch(image_requests(updates))

    def publish_rejection(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Publish that an event was finally rejected."""
        self._outcomes.publish_rejection(record, event, failure)

    def idle(self) -> None:
        """Remove old tombstones, about once an hour. Raises Unavailable."""
        now = self._now()
        if self._collected_at is not None and now - self._collected_at < timedelta(
            hours=TOMBSTONE_COLLECTION_HOURS
        ):
            return
        count = self._index.collect_tombstones(revision_at(now - timedelta(days=TOMBSTONE_DAYS)))
        self._collected_at = now
        if count:
            self._log.info("tombstones removed", count=count)

    def _process_round(
        self, items: Sequence[ItemEvents], images: ImageResolver
    ) -> tuple[list[ItemUpdate], list[ItemEvents]]:
        """Process items as far as possible. Returns what was written, and the items that need another round."""
        updates = self._read_and_merge(items)
        fetched = images.resolve(image_requests(updates))
        with self._write_lock:
            if fetched:  # fetching and embedding took time, in which others may have written
                updates = self._read_and_merge(items)
            updates = [add_images(update, images, self._pipeline.policy) for update in updates]
            images.timer.lap()
            written, lost = self.write([update for update in updates if update.is_ready])
            images.timer.record_writing()
        return written, lost + [update.item for update in updates if not update.is_ready]

    def write(self, updates: Sequence[ItemUpdate]) -> tuple[list[ItemUpdate], list[ItemEvents]]:
        """Enrich and write updates that are ready.

        Returns those that are in the index now, and the items that other writers have written meanwhile.
        """
        updates = add_categories(self._index, updates, self._enrichers.categories)
        write_sets = self._publish_matches(self._enrichers.duplicates.add_duplicates(updates))
        write(self._index, write_sets)
        lost = self._lost_updates([each for each in write_sets if each.ids])
        written = [each.update for each in write_sets if each.update not in lost]
        return written, [_lose_race(update) for update in lost]

    def _publish_matches(self, updates: Sequence[ItemUpdate]) -> list[WriteSet]:
        """Publish the watches that the updates match, and return the writes, which record these watches.

        Matches are published before the write: after a crash in between they are published again, with the same id.
        If they were published after the write, a crash in between would lose them.
        """
        encoder, now = self._pipeline.encoder, self._now()
        write_sets = [diff(update, encoder, now) for update in updates]
        matches = self._enrichers.watches.match(write_sets)
        self._outcomes.publish_matches(matches)
        notified = {
            update: update.with_notified(match.watch.fingerprint for match in item_matches)
            for update, item_matches in matches.items()
        }
        return [
            diff(notified[each.update], encoder, now) if each.update in notified else each for each in write_sets
        ]

    def _read_and_merge(self, items: Sequence[ItemEvents]) -> list[ItemUpdate]:
        """Apply the events to the stored states. Raises Unavailable."""
        stored = zip(items, read(self._index, items, self._pipeline.regions), strict=True)
        return [merge_item(item, state, self._pipeline.policy) for item, state in stored]

    def _lost_updates(self, write_sets: Sequence[WriteSet]) -> list[ItemUpdate]:
        """The updates of items that another writer has written meanwhile. Raises Unavailable."""
        if not write_sets:
            return []
        stored = self._index.payloads([id for each in write_sets for id in each.ids], PROVENANCE_KEYS)
        return [each.update for each in write_sets if not each.is_applied(stored)]

    def _log_batch(
        self, updates: Sequence[ItemUpdate], failures: Mapping[str, Failure], images: ImageResolver
    ) -> None:
        outcomes = [outcome for update in updates for outcome in update.outcomes.values()]
        results = [image for update in updates for image in update.images]
        timer = images.timer
        self._log.info(
            "indexed",
            items=len(updates),
            pictures=sum(isinstance(image, EmbeddedImage) for image in results),
            unchanged=results.count(ImageStatus.UNCHANGED),
            superseded=outcomes.count("superseded"),
            blocked=sum(bool(update.state.blocked) for update in updates),
            conflicts=sum(failure.code == Code.REVISION_CONFLICT for failure in failures.values()),
            raced=sum(update.item.lost_races for update in updates),
            fetched_ms=round(timer.fetched),
            decoded_ms=round(timer.decoded),
            encoded_ms=round(timer.encoded),
            written_ms=round(timer.written),
        )


def image_requests(updates: Sequence[ItemUpdate]) -> list[ImageRequest]:
    """The upserts on which the states of the items are based, if they are among the events, with their points."""
    requests = [(update.merged.base_change, update.stored.points) for update in updates]
    return [(base, points) for base, points in requests if base is not None]


def _lose_race(update: ItemUpdate) -> ItemEvents:
    """The item for the next round, after one more lost race. Raises Unavailable after MAX_LOST_RACES."""
    item = replace(update.item, lost_races=update.item.lost_races + 1)
    if item.lost_races > MAX_LOST_RACES:
        name = f"item {item.item_id} of {item.tenant}"
        raise Unavailable(f"{name} is being changed by others all the time: the event is tried again")
    return item


def _not_an_item() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "an item topic takes item.upserted/1, item.patched/1 and item.deleted/1")
