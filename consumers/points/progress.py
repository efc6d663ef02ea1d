"""Freshness: how far the index has come with each partition of the item topics, kept as notes in the index itself.

Whoever indexes a batch notes where it ends, after all of it can be searched; whoever answers searches reads that.
So what is told is never too much: at worst a note is a batch behind.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from consumers.points.payload import whole
from infra.config.settings import KafkaSettings
from infra.futures import call_in_thread
from infra.kafka import Partition, Record, ends_of, topic_ends
from infra.qdrant.contract import Index, Payload
from schemas.failures import Unavailable
from schemas.freshness import RecordPosition, Watermark
from schemas.items import Source
from schemas.moments import moment_at
from schemas.topics import ITEM_TOPICS, TOPIC_OF

CountPartitions = Callable[[str], int]
"""Takes a topic; how many partitions it has, as far as is known."""
ReadEnds = Callable[[], Mapping[Partition, int]]
"""The offset behind the last record of each partition, by the broker; raises Unavailable."""
CHECK_SECONDS = 5.0
"""A broker that begins again while searches go on is noticed so soon. Each check asks it about all partitions; that
takes some 50 ms, so searches wait for it only when the last one is old."""
OVERDUE_SECONDS = 60.0
"""A search waits for a check when the last one is older: at the start, and where searches are rare."""


def note_progress(index: Index, records: Sequence[Record]) -> None:
    """Note that these records, and all before them in their partitions, were indexed or settled otherwise."""
    newest: dict[Partition, int] = {}
    now_ms = round(time.time() * 1000)  # a record may say that it is of any year
    for record in records:
        place = (record.topic, record.partition)
        newest[place] = max(min(record.timestamp_ms, now_ms), newest.get(place, 0))
    for place, end in ends_of(records).items():
        index.take_note(_name(*place), {"offset": end, "time_ms": newest[place]})


class ProgressReader:
    """Reads how far the index has come.

    A broker that has forgotten its topics, as the local one does at each start, counts their records from 0 again,
    while notes of the earlier ones are still there. One that lies beyond its topic's end is such a note, and is not
    believed until another takes its place. `ends` are asked for at the first look, and then now and again.
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
        self._forgotten: dict[str, Payload] = {}
        """Notes that are not believed, by their names."""

    def read(self) -> tuple[Watermark, ...]:
        """How far it has come with each source of which anything was indexed. Raises Unavailable."""
        places = [(topic, part) for topic in ITEM_TOPICS for part in range(self._partitions(topic))]
        notes = self._believed(self._index.notes([_name(*place) for place in places])) if places else {}
        return tuple(
            as_of
            for source, topic in TOPIC_OF.items()
            if (as_of := _as_of(source, {part: notes.get(_name(topic, part)) for t, part in places if t == topic}))
        )

    def _believed(self, notes: Mapping[str, Payload]) -> dict[str, Payload]:
        """The notes that are not of a broker that has forgotten its topics. Raises Unavailable."""
        if self._ends is not None:
            self._check_again(self._ends, notes)
        self._forgotten = {name: note for name, note in self._forgotten.items() if notes.get(name) == note}
        return {name: note for name, note in notes.items() if name not in self._forgotten}

    def _check_again(self, ends: ReadEnds, notes: Mapping[str, Payload]) -> None:
        """Hold the notes against the ends of their topics when it is time; an overdue check is waited for."""
        now = self._now()
        if now - self._checked_at > OVERDUE_SECONDS:
            self._forgotten |= _beyond(ends, notes)
            self._checked_at, self._check = now, None
        elif self._check is None and now - self._checked_at >= CHECK_SECONDS:
            self._check = call_in_thread("ends", partial(_beyond, ends, notes))
        elif self._check is not None and self._check.done():
            check, self._check, self._checked_at = self._check, None, now
            with suppress(Unavailable):  # what was known before still counts
                self._forgotten |= check.result()


def goal_of(index: Index, kafka: KafkaSettings) -> dict[Partition, int]:
    """How far another index must come in each partition to hold what this one does. Raises Unavailable.

    What lies beyond its topic's end was noted of a broker that has forgotten it, and is left out.
    """
    ends = topic_ends(kafka, ITEM_TOPICS)
    return {place: end for place, end in _reached(index, ends).items() if end <= ends[place]}


def has_come_to(goal: Mapping[Partition, int], index: Index) -> bool:
    """Whether an index has come as far as that. Raises Unavailable."""
    there = _reached(index, goal)
    return all(there.get(place, 0) >= end for place, end in goal.items())


def has_passed(as_of: Sequence[Watermark], positions: Sequence[RecordPosition]) -> bool:
    """Whether the index has come past all of these records."""
    reached = {(each.source, int(part)): end for each in as_of for part, end in each.offsets.items()}
    return all(reached.get((wanted.source, wanted.partition), 0) > wanted.offset for wanted in positions)


def _beyond(ends: ReadEnds, notes: Mapping[str, Payload]) -> dict[str, Payload]:
    """The notes that lie beyond their topics' ends, which are read after them. Raises Unavailable."""
    known = {_name(*place): end for place, end in ends().items()}
    return {name: note for name, note in notes.items() if whole(note["offset"]) > known.get(name, 0)}


def _reached(index: Index, places: Iterable[Partition]) -> dict[Partition, int]:
    """The offset behind what an index has passed in these partitions, as far as it has noted one."""
    names = {_name(*place): place for place in places}
    notes = index.notes(list(names)) if names else {}
    return {names[name]: whole(note["offset"]) for name, note in notes.items()}


def _as_of(source: Source, notes: Mapping[int, Payload | None]) -> Watermark | None:
    known = {part: note for part, note in notes.items() if note is not None}
    if not known:
        return None
    newest = max(whole(note["time_ms"]) for note in known.values())
    offsets = {str(part): whole(note["offset"]) for part, note in known.items()}
    return Watermark(source=source, time=moment_at(newest * 1000), offsets=offsets)


def _name(topic: str, partition: int) -> str:
    return f"reached:{topic}:{partition}"
