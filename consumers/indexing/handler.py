"""Item indexing: handle item events by writing points to the index and publishing outcomes."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.category_prediction import assign_categories
from consumers.indexing.enrichers import ItemEnrichers
from consumers.indexing.images import EmbeddedImage, ImageRequest, ImageResolver, ImageStatus
from consumers.indexing.item_update import ItemUpdate, updates_of
from consumers.indexing.merge import changes_by_item
from consumers.indexing.outcomes import BatchTimes, OutcomePublisher
from consumers.indexing.watches.matcher import publish_matches
from consumers.indexing.writes import WriteSet, diff, write
from consumers.points.payload import KNOWN_KEYS, PROVENANCE_KEYS
from consumers.runtime.ports import HandlerDefaults, Sink
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


def always(_time: datetime) -> bool:
    """Default of `ItemIndexer.tells`: report the outcome of every event."""
    return True


class ItemIndexer(HandlerDefaults):
    """Writes item events to the index. The resulting state of an item depends on revisions alone.

    Any number of threads and processes may write to one index. Each item is read, and then written on condition
    that nobody has written it since; a writer that loses this race reads the item again.
    """

    def __init__(
        self,
        pipeline: ImagePipeline,
        index: Index,
        enrichers: ItemEnrichers,
        sink: Sink,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pipeline = pipeline
        self._index = index
        self._enrichers = enrichers
        self._sink = sink
        self._outcomes = OutcomePublisher(sink)
        self._now = now
        self.tells: Callable[[datetime], bool] = always
        """Whether this indexer publishes the outcome of an event with this time."""
        self._collected_at: datetime | None = None
        self._write_lock = threading.Lock()
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Index, patch or remove each item, then publish the outcomes; by then all changes are searchable.

        Each event fails alone: the other events of its item are applied as if the failed one had never arrived.
        Returns the failures by event id.
        """
        received, images = self._now(), ImageResolver(self._pipeline, self._index)
        updates = updates_of(changes_by_item(events), self._pipeline.policy)
        unfinished: Sequence[ItemUpdate] = updates
        while unfinished:
            unfinished = self._process_round(unfinished, images)
        self._outcomes.publish(updates, BatchTimes(received, self._now(), images.timer), self.tells)
        verdicts = {id: verdict for update in updates for id, verdict in update.outcomes.items()}
        failures = {id: verdict for id, verdict in verdicts.items() if isinstance(verdict, Failure)}
        self._log_batch(updates, failures, images)
        return failures | {event.id: _not_an_item() for event in events if not isinstance(event.body, ItemEvent)}

    @property
    def prepares(self) -> bool:
        """True: `prepare` fetches pictures ahead."""
        return True

    def prepare(self, events: Sequence[Event]) -> None:
        """Start to fetch the pictures that a batch of these events will need. Raises Unavailable."""
        updates = updates_of(changes_by_item(events), self._pipeline.policy)
        self._load(updates)
        ImageResolver(self._pipeline, self._index).prefetch(_image_requests(updates))

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

    def _process_round(self, updates: Sequence[ItemUpdate], images: ImageResolver) -> list[ItemUpdate]:
        """Process items as far as possible. Returns those that need another round."""
        self._load(updates)
        resolved = images.resolve(_image_requests(updates))
        with self._write_lock:
            if resolved:  # fetching and embedding took time, in which others may have written
                self._load(updates)
            ready = [update for update in updates if update.prepare_write(images)]
            images.timer.lap()
            lost = self.write(ready)
            images.timer.written += images.timer.lap()
        return lost + [update for update in updates if update not in ready]

    def write(self, updates: Sequence[ItemUpdate]) -> list[ItemUpdate]:
        """Enrich and write updates that are ready. Returns those that other writers have written meanwhile."""
        assign_categories(updates, self._enrichers.categories, self._index)
        self._enrichers.duplicates.assign_groups(updates)
        write_sets = self._publish_matches(updates)
        write(self._index, write_sets)
        return self._lost_updates([each for each in write_sets if each.ids])

    def _publish_matches(self, updates: Sequence[ItemUpdate]) -> list[WriteSet]:
        """Publish the watches that the updates match, and return the writes, which record these watches.

        Matches are published before the write: after a crash in between they are published again, with the same id.
        If they were published after the write, a crash in between would lose them.
        """
        encoder, now = self._pipeline.encoder, self._now()
        write_sets = [diff(update, encoder, now) for update in updates]
        matches = self._enrichers.watches.match(write_sets)
        publish_matches(self._sink, matches, self.tells)
        return [diff(each.update, encoder, now) if each.update in matches else each for each in write_sets]

    def _load(self, updates: Sequence[ItemUpdate]) -> None:
        """Apply the events to the stored points: all points are read, so that incomplete writes are repaired."""
        stored = self._index.payloads([id for update in updates for id in update.ids], KNOWN_KEYS)
        for update in updates:
            update.load(stored)

    def _lost_updates(self, write_sets: Sequence[WriteSet]) -> list[ItemUpdate]:
        """The items that another writer has written meanwhile. Raises Unavailable after MOST_LOST lost races."""
        if not write_sets:
            return []
        stored = self._index.payloads([id for each in write_sets for id in each.ids], PROVENANCE_KEYS)
        lost = [each.update for each in write_sets if not each.is_applied(stored)]
        for update in lost:
            update.lost_races += 1
            if update.lost_races > MAX_LOST_RACES:
                raise Unavailable(
                    f"item {update.item_id} of {update.tenant} is being changed by others all the time: "
                    "the event is tried again"
                )
        return lost

    def _log_batch(
        self, updates: Sequence[ItemUpdate], failures: Mapping[str, Failure], images: ImageResolver
    ) -> None:
        verdicts = [verdict for update in updates for verdict in update.outcomes.values()]
        results = [image for update in updates for image in update.images]
        timer = images.timer
        self._log.info(
            "indexed",
            items=len(updates),
            pictures=sum(isinstance(image, EmbeddedImage) for image in results),
            unchanged=results.count(ImageStatus.UNCHANGED),
            superseded=verdicts.count("superseded"),
            blocked=sum(bool(update.state.blocked) for update in updates),
            conflicts=sum(failure.code == Code.REVISION_CONFLICT for failure in failures.values()),
            raced=sum(update.lost_races for update in updates),
            fetched_ms=round(timer.fetched),
            decoded_ms=round(timer.decoded),
            encoded_ms=round(timer.encoded),
            written_ms=round(timer.written),
        )


def _image_requests(updates: Sequence[ItemUpdate]) -> list[ImageRequest]:
    """The upserts on which the states of the items are based, if they are among the events, with their points."""
    requests = [(update.merged.base_change, update.stored.points) for update in updates]
    return [(base, points) for base, points in requests if base is not None]


def _not_an_item() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "an item topic takes item.upserted/1, item.patched/1 and item.deleted/1")
