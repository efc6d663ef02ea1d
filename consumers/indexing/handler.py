"""ItemIndexer: item events become points in the index."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.category_prediction import name_items
from consumers.indexing.images import EmbeddedImage, ImageRequest, ImageResolver, ImageStatus
from consumers.indexing.item_update import ItemUpdate, updates_of
from consumers.indexing.judges import ItemEnrichers
from consumers.indexing.merge import changes_by_item
from consumers.indexing.outcomes import BatchTimes, OutcomePublisher
from consumers.indexing.watches.matcher import publish_matches
from consumers.indexing.writes import WriteSet, diff, write
from consumers.points.payload import KNOWN_KEYS, MARKS
from consumers.runtime.ports import HandlerDefaults, Sink
from infra.kafka import Record
from infra.qdrant.contract import Index
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable
from schemas.items import ItemEvent, revision_at

TOMBSTONE_DAYS = 7
"""How long a deleted item is remembered. An older event that comes later than that brings it back, so this must be
longer than events wait in retry topics (11 minutes) and than those lie that an operator replays."""
COLLECT_HOURS = 1
MOST_LOST = 20
"""How often the race for an item may be lost to other writers, before the batch is held and done again."""


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


def always(_moment: datetime) -> bool:
    """For whoever tells of every event."""
    return True


class ItemIndexer(HandlerDefaults):
    """A job: `handle` puts item events into the index; what an item comes to depends on revisions alone.

    For any number of threads and processes on one index: each item is read, and written on condition that nobody
    has written it since; who loses that race reads again.
    """

    def __init__(
        self,
        sight: ImagePipeline,
        index: Index,
        judges: ItemEnrichers,
        sink: Sink,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._sight = sight
        self._index = index
        self._judges = judges
        self._sink = sink
        self._outcomes = OutcomePublisher(sink)
        self._now = now
        self.tells: Callable[[datetime], bool] = always
        """Whether it is for this job to tell what became of an event of this time."""
        self._collected: datetime | None = None
        self._settling = threading.Lock()
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Index, patch or remove each item, and tell each event what became of it; all is searchable by then.

        An event fails alone: what else a batch says of its item counts as if the event had never come.
        """
        received, pictures = self._now(), ImageResolver(self._sight, self._index)
        entries = updates_of(changes_by_item(events), self._sight.policy)
        waiting: Sequence[ItemUpdate] = entries
        while waiting:
            waiting = self._round(waiting, pictures)
        self._outcomes.settled(entries, BatchTimes(received, self._now(), pictures.clock), self.tells)
        verdicts = {id: verdict for entry in entries for id, verdict in entry.verdicts.items()}
        failures = {id: verdict for id, verdict in verdicts.items() if isinstance(verdict, Failure)}
        self._report(entries, failures, pictures)
        return failures | {event.id: _not_an_item() for event in events if not isinstance(event.body, ItemEvent)}

    @property
    def prepares(self) -> bool:
        """It does: pictures are fetched ahead."""
        return True

    def prepare(self, events: Sequence[Event]) -> None:
        """Have the pictures come that a batch of these events will need. Raises Unavailable."""
        entries = updates_of(changes_by_item(events), self._sight.policy)
        self._read(entries)
        ImageResolver(self._sight, self._index).begin(_bases(entries))

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Publish that an event was refused for good."""
        self._outcomes.rejected(record, event, failure)

    def idle(self) -> None:
        """Forget, about hourly, items that were deleted long ago. Raises Unavailable."""
        now = self._now()
        if self._collected is not None and now - self._collected < timedelta(hours=COLLECT_HOURS):
            return
        collected = self._index.collect_tombstones(revision_at(now - timedelta(days=TOMBSTONE_DAYS)))
        self._collected = now
        if collected:
            self._log.info("collected", tombstones=collected)

    def _round(self, entries: Sequence[ItemUpdate], pictures: ImageResolver) -> list[ItemUpdate]:
        """Take items as far as they go; those that need another round."""
        self._read(entries)
        seen = pictures.see(_bases(entries))
        with self._settling:
            if seen:  # that took its time, and others write too
                self._read(entries)
            ready = [entry for entry in entries if entry.is_ready(pictures)]
            pictures.clock.lap()
            lost = self.write(ready)
            pictures.clock.written += pictures.clock.lap()
        return lost + [entry for entry in entries if entry not in ready]

    def write(self, entries: Sequence[ItemUpdate]) -> list[ItemUpdate]:
        """Write entries that are ready, with what the judges say of them; those that others wrote meanwhile."""
        name_items(entries, self._judges.categories, self._index)
        self._judges.duplicates.mark(entries)
        changes = self._changes(entries)
        write(self._index, changes)
        return self._lost([each for each in changes if each.ids])

    def _changes(self, entries: Sequence[ItemUpdate]) -> list[WriteSet]:
        """What to write for entries that are ready. Standing searches are told of matches before that.

        So a crash in between has a match told again, under the same id; told after the write it would be lost.
        """
        encoder, now = self._sight.encoder, self._now()
        changes = [diff(entry, encoder, now) for entry in entries]
        matches = self._judges.standing.match(changes)
        publish_matches(self._sink, matches, self.tells)
        return [diff(each.entry, encoder, now) if each.entry in matches else each for each in changes]

    def _read(self, entries: Sequence[ItemUpdate]) -> None:
        """Fold the events onto what the index holds: every point, so that what broken writes left is mended."""
        stored = self._index.payloads([id for entry in entries for id in entry.ids], KNOWN_KEYS)
        for entry in entries:
            entry.learn(stored)

    def _lost(self, changes: Sequence[WriteSet]) -> list[ItemUpdate]:
        """The items that somebody else has written meanwhile."""
        if not changes:
            return []
        stored = self._index.payloads([id for each in changes for id in each.ids], MARKS)
        lost = [each.entry for each in changes if not each.were_made(stored)]
        for entry in lost:
            entry.lost += 1
            if entry.lost > MOST_LOST:
                raise Unavailable(f"item {entry.item_id} of {entry.tenant} is being written by others all the time")
        return lost

    def _report(
        self, entries: Sequence[ItemUpdate], failures: Mapping[str, Failure], pictures: ImageResolver
    ) -> None:
        verdicts = [verdict for entry in entries for verdict in entry.verdicts.values()]
        standings = [picture for entry in entries for picture in entry.pictures]
        clock = pictures.clock
        self._log.info(
            "indexed",
            items=len(entries),
            pictures=sum(isinstance(picture, EmbeddedImage) for picture in standings),
            unchanged=standings.count(ImageStatus.KEPT),
            superseded=verdicts.count("superseded"),
            blocked=sum(bool(entry.state.blocked) for entry in entries),
            conflicts=sum(failure.code == Code.REVISION_CONFLICT for failure in failures.values()),
            raced=sum(entry.lost for entry in entries),
            fetched_ms=round(clock.fetched),
            decoded_ms=round(clock.decoded),
            encoded_ms=round(clock.encoded),
            written_ms=round(clock.written),
        )


def _bases(entries: Sequence[ItemUpdate]) -> list[ImageRequest]:
    """The upserts that the items' states rest on, if they are among the events."""
    bases = [(entry.folded.base, entry.known.points) for entry in entries]
    return [(base, points) for base, points in bases if base is not None]


def _not_an_item() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "an item topic takes item.upserted/1, item.patched/1 and item.deleted/1")
