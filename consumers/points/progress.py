"""Index progress: store in the index itself how far each partition of the item topics has been indexed.

The worker that indexes a batch stores the end offset of the batch once all of it is searchable; the workers that
answer searches read it. The stored progress is therefore never ahead of the index: at worst it is a batch behind.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from consumers.points.payload import as_int
from infra.config.kafka import KafkaSettings
from infra.futures import call_in_thread
from infra.kafka import Partition, Record, next_offsets, topic_ends
from infra.qdrant.contract import Index, Payload
from schemas.failures import Unavailable
from schemas.freshness import RecordPosition, Watermark
from schemas.items import Source
from schemas.moments import moment_at
from schemas.topics import ITEM_TOPICS, TOPIC_OF

CountPartitions = Callable[[str], int]
"""Takes a topic and returns its number of partitions, as far as it is known."""
ReadEnds = Callable[[], Mapping[Partition, int]]
"""Returns the broker's end offset of each partition (the offset after the last record); raises Unavailable."""
CHECK_SECONDS = 5.0
"""Interval between checks for a reset broker while searches are running. Each check asks the broker about all
partitions and takes about 50 ms, so a search waits for it only when the last check is overdue."""
OVERDUE_SECONDS = 60.0
"""A search waits for a check when the last one is older than this: at the start, and where searches are rare."""


def note_progress(index: Index, records: Sequence[Record]) -> None:
    """Store that these records, and all before them in their partitions, were indexed or otherwise completed."""
    newest: dict[Partition, int] = {}
    now_ms = round(time.time() * 1000)  # a record's timestamp may lie in any year
    for record in records:
        partition = (record.topic, record.partition)
        newest[partition] = max(min(record.timestamp_ms, now_ms), newest.get(partition, 0))
    for partition, end in next_offsets(records).items():
        index.put_note(_note_name(*partition), {"offset": end, "time_ms": newest[partition]})


class ProgressReader:
    """Reads the progress of the index.

    A broker that has lost its topics, as the local one does at each start, numbers their records from 0 again,
    while the index still has the notes of the earlier records. A note with an offset beyond the end of its topic is
    such a stale note: it is ignored until another replaces it. `ends` is called at the first read, and then again
    from time to time.
    """

    def __init__(
        self,
        index: Index,
        partitions: CountPartitions,
        ends: ReadEnds | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._partitions = partitions
        self._ends = ends
        self._now = now
        self._checked_at = float("-inf")
        self._check: Future[dict[str, Payload]] | None = None
        """The check in progress, if there is one."""
        self._stale_notes: dict[str, Payload] = {}
        """Notes that are ignored, by name."""

    def read(self) -> tuple[Watermark, ...]:
        """The watermark of each source of which anything was indexed. Raises Unavailable."""
        partitions = [(topic, part) for topic in ITEM_TOPICS for part in range(self._partitions(topic))]
        names = [_note_name(*partition) for partition in partitions]
        notes = self._valid_notes(self._index.notes(names)) if names else {}
        watermarks = [
            _watermark(source, {part: notes.get(_note_name(topic, part)) for t, part in partitions if t == topic})
            for source, topic in TOPIC_OF.items()
        ]
        return tuple(watermark for watermark in watermarks if watermark is not None)

    def _valid_notes(self, notes: Mapping[str, Payload]) -> dict[str, Payload]:
        """The notes without those of a broker that has lost its topics. Raises Unavailable."""
        if self._ends is not None:
            self._check_if_due(self._ends, notes)
        self._stale_notes = {name: note for name, note in self._stale_notes.items() if notes.get(name) == note}
        return {name: note for name, note in notes.items() if name not in self._stale_notes}

    def _check_if_due(self, ends: ReadEnds, notes: Mapping[str, Payload]) -> None:
        """Compare the notes with the ends of their topics when a check is due; wait only for an overdue check."""
        now = self._now()
        if now - self._checked_at > OVERDUE_SECONDS:
            self._stale_notes |= _notes_beyond_end(ends, notes)
            self._checked_at, self._check = now, None
        elif self._check is None and now - self._checked_at >= CHECK_SECONDS:
            self._check = call_in_thread("ends", partial(_notes_beyond_end, ends, notes))
        elif self._check is not None and self._check.done():
            check, self._check, self._checked_at = self._check, None, now
            with suppress(Unavailable):  # the results of earlier checks remain valid
                self._stale_notes |= check.result()


def target_offsets(index: Index, kafka: KafkaSettings) -> dict[Partition, int]:
    """The offset that another index must reach in each partition to hold what this one does. Raises Unavailable.

    Offsets beyond the end of their topic are left out: they come from a broker that has since lost the topic.
    """
    ends = topic_ends(kafka, ITEM_TOPICS)
    return {partition: end for partition, end in _indexed_ends(index, ends).items() if end <= ends[partition]}


def has_reached(goal: Mapping[Partition, int], index: Index) -> bool:
    """Whether an index has reached the offset of every partition in `goal`. Raises Unavailable."""
    indexed = _indexed_ends(index, goal)
    return all(indexed.get(partition, 0) >= end for partition, end in goal.items())


def covers(as_of: Sequence[Watermark], positions: Sequence[RecordPosition]) -> bool:
    """Whether the index, at these watermarks, has passed all of these records."""
    ends = {(each.source, int(part)): end for each in as_of for part, end in each.offsets.items()}
    return all(ends.get((position.source, position.partition), 0) > position.offset for position in positions)


def _notes_beyond_end(ends: ReadEnds, notes: Mapping[str, Payload]) -> dict[str, Payload]:
    """The notes beyond the ends of their topics; the ends are read after the notes. Raises Unavailable."""
    topic_end = {_note_name(*partition): end for partition, end in ends().items()}
    return {name: note for name, note in notes.items() if as_int(note["offset"]) > topic_end.get(name, 0)}


def _indexed_ends(index: Index, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """The offset after the last indexed record of each partition for which the index has a note."""
    names = {_note_name(*partition): partition for partition in partitions}
    notes = index.notes(list(names)) if names else {}
    return {names[name]: as_int(note["offset"]) for name, note in notes.items()}


def _watermark(source: Source, notes: Mapping[int, Payload | None]) -> Watermark | None:
    known = {part: note for part, note in notes.items() if note is not None}
    if not known:
        return None
    newest = max(as_int(note["time_ms"]) for note in known.values())
    offsets = {str(part): as_int(note["offset"]) for part, note in known.items()}
    return Watermark(source=source, time=moment_at(newest * 1000), offsets=offsets)


def _note_name(topic: str, partition: int) -> str:
    return f"reached:{topic}:{partition}"
