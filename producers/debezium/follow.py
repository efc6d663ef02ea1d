"""Following change events: those of a file until its end, or those of a topic until Ctrl-C."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.kafka import Batch, EventSink, EventSource, OutgoingRecord, Partition, PartitionsRevoked, Record
from producers.debezium.changes import Change, ChangeReader, PartitionRevisions, RowChange, change_in
from producers.ingest import IngestTally, publish_one
from producers.row_reader import BadRow, open_feed
from schemas.topics import DAY, Topic, dead_letter_topic

BATCH, WAIT_SECONDS = 500, 0.2
QUIET_SECONDS = 5.0
"""A transaction whose changes have not gone on for so long is at its end."""
GROUP = "lookstream-debezium"


def read_changes(path: Path, table: ChangeReader) -> Iterator[Change]:
    """The item events of a file of change events, one a line, as a console consumer writes them."""
    times = PartitionRevisions()
    with open_feed(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                said = change_in(text, None, line)
                yield table.read(said, times, line) if isinstance(said, RowChange) else said


def dead_letters_of(topic: str) -> Topic:
    """The topic for change events that cannot be read."""
    return Topic(dead_letter_topic(topic), 1, 30 * DAY, f"change events of {topic} that were refused")


@dataclass
class _PartitionState:
    """One partition: its revisions, and the records of the commit that it is in."""

    times: PartitionRevisions = field(default_factory=PartitionRevisions)
    open: list[Record] = field(default_factory=list)
    epochs: Mapping[Partition, int] = field(default_factory=dict)
    """The assignment under which the first of these was taken."""
    last: int = -1


@dataclass
class ChangeFollower:
    """Turns the change events of a topic into item events.

    Offsets are committed up to the beginning of the newest commit of the database, so that after a crash its
    changes get the same revisions again; what was sent twice changes nothing.
    """

    source: EventSource
    sink: EventSink
    table: ChangeReader
    watch: Callable[[Change, IngestTally], None]
    clock: Callable[[], float] = time.monotonic
    tally: IngestTally = field(default_factory=IngestTally)
    _lines: dict[Partition, _PartitionState] = field(default_factory=dict)
    _heard: float = 0.0

    def run(self, stopped: Callable[[], bool]) -> IngestTally:
        """Follow until `stopped`; raises Unavailable when Kafka does not take everything."""
        while not stopped():
            self.step()
        self.tally.interrupted = True
        return self.tally

    def step(self) -> None:
        """Publish what there is. Records are done when those of a later commit of the database have come."""
        batch = self.source.take(BATCH, 0.05, WAIT_SECONDS)
        done = [part for record in batch.records if (part := self._publish(record, batch.epochs))]
        if batch.records:
            self.sink.flush()
            self._heard = self.clock()
        elif self.clock() - self._heard > QUIET_SECONDS:
            done = [self._end(line) for line in self._lines.values() if line.open]
        for ended in done:
            self.source.mark(ended)
        if done:
            with suppress(PartitionsRevoked):  # whoever has them now sends the same again
                self.source.commit_now()

    def _publish(self, record: Record, epochs: Mapping[Partition, int]) -> Batch | None:
        """Publish one record; the records of the commit before, if it is the first of another."""
        line, ended = self._line(record), None
        said = change_in(record.value, record.key, record.offset)
        if isinstance(said, RowChange) and line.times.begins(said.at_ms) and line.open:
            ended = self._end(line)
        if not line.open:
            line.epochs = epochs
        line.open.append(record)
        change = self.table.read(said, line.times, record.offset) if isinstance(said, RowChange) else said
        publish_one(change, self.sink, self.tally, event_id=record.position)
        if isinstance(change, BadRow):
            headers = dict(record.headers) | _reason(record, change)
            self.sink.send_record(
                OutgoingRecord(dead_letter_topic(record.topic), record.key, record.value, headers)
            )
        self.watch(change, self.tally)
        return ended

    def _end(self, line: _PartitionState) -> Batch:
        ended, line.open = line.open, []
        return Batch(ended, line.epochs)

    def _line(self, record: Record) -> _PartitionState:
        """The record's partition, which begins anew where it is read again."""
        place = record.topic, record.partition
        line = self._lines.get(place)
        if line is None or record.offset <= line.last:
            line = self._lines[place] = _PartitionState()
        line.last = record.offset
        return line


def _reason(record: Record, bad: BadRow) -> dict[str, bytes | None]:
    said = {"code": "event_invalid", "message": bad.message[:300], "topic": record.topic}
    said |= {"partition": str(record.partition), "offset": str(record.offset)}
    return {f"dead-{name}": text.encode() for name, text in said.items()}
