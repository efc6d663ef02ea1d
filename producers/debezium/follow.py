"""Change follower: read change events from a file until its end, or from a topic until Ctrl-C."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.futures import map_in_order
from infra.kafka import Batch, EventSink, EventSource, OutgoingRecord, Partition, PartitionsRevoked, Record
from producers.debezium.changes import Change, ChangeReader, PartitionHistory, RevisedRow
from producers.debezium.records import RecordTime, RowChange, parse_change
from producers.feed_item import FeedResult
from producers.feeds.feed_file import open_feed
from producers.image_refs import threads_for
from producers.ingest.publish import IngestTally, publish_one
from producers.row_reader import BadRow
from schemas.topics import DAY, Topic, dead_letter_topic

BATCH, WAIT_SECONDS = 500, 0.2
QUIET_SECONDS = 5.0
"""A transaction counts as complete when no further change has arrived for this long."""
GROUP = "lookstream-debezium"
RECORD_TIME = re.compile(r"(?:CreateTime|LogAppendTime):(\d{1,15})", re.ASCII)
RECORD_FIELD = re.compile(r"(?:CreateTime|LogAppendTime|Partition|Offset):\d+$|NoTimestampType|NO_HEADERS$|__\w+:")
"""The fields that the console consumer writes before the key: time, partition, offset and headers."""


def read_change_items(path: Path, table: ChangeReader) -> Iterator[FeedResult]:
    """The item events of a file with one record per line, as Kafka's console consumer or kcat writes them.

    Pictures of a folder are read and shrunk in threads, a few ahead.
    """
    yield from map_in_order(table.complete, _read_changes(path, table), threads_for(table.locate))


def _read_changes(path: Path, table: ChangeReader) -> Iterator[RevisedRow | FeedResult]:
    history = PartitionHistory()
    with open_feed(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                parsed = parse_change(*parse_record_line(text, line))
                yield table.revise(parsed, history, line) if isinstance(parsed, Change) else parsed


def parse_record_line(text: str, line: int) -> tuple[str | None, bytes | None, int, RecordTime]:
    """The arguments of `parse_change` for a line: a value, or `CreateTime:MS<TAB>KEY<TAB>VALUE`, or kcat's JSON.

    The console consumer writes time and key with `--property print.timestamp=true --property print.key=true`.
    """
    *before, value = text.strip("\r\n").split("\t")
    if not before and '"payload"' in value and '"offset"' in value and '"partition"' in value:
        return _kcat_record(value, line)
    times = [found[1] for part in before if (found := RECORD_TIME.fullmatch(part))]
    keys = [part for part in before if not RECORD_FIELD.match(part)]
    key = keys[-1].encode(errors="surrogateescape") if keys and keys[-1] != "null" else None
    return value, key, line, RecordTime(int(times[0]) if times else None)


def _kcat_record(text: str, line: int) -> tuple[str | None, bytes | None, int, RecordTime]:
    """A record as `kcat -J` writes it: an object with topic, partition, offset, ts, key and payload."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return text, None, line, RecordTime()
    if not isinstance(record, dict) or not {"topic", "partition", "offset", "payload"} <= record.keys():
        return text, None, line, RecordTime()
    value, key, at = record["payload"], record.get("key"), record.get("ts")
    is_time = isinstance(at, int) and at > 0
    return (
        value if value is None or isinstance(value, str) else text,
        key.encode(errors="surrogatepass") if isinstance(key, str) else None,
        line,
        RecordTime(at if is_time else None),
    )


def dead_letter_topic_of(topic: str) -> Topic:
    """The dead letter topic for change events that cannot be read."""
    return Topic(dead_letter_topic(topic), 1, 30 * DAY, f"change events of {topic} that were refused")


@dataclass
class _PartitionState:
    """One partition: its history, and the records of the present database commit."""

    history: PartitionHistory = field(default_factory=PartitionHistory)
    open: list[Record] = field(default_factory=list)
    epochs: Mapping[Partition, int] = field(default_factory=dict)
    """Assignment epochs under which the first of the open records was read."""
    last: int = -1

    def advance(self, offset: int) -> None:
        """Record the offset of the last record that was read."""
        self.last = offset

    def add(self, record: Record, epochs: Mapping[Partition, int]) -> None:
        """Add a record to the present commit."""
        if not self.open:
            self.epochs = epochs
        self.open.append(record)

    def end(self) -> Batch:
        """End the present commit; returns its records."""
        ended, self.open = self.open, []
        return Batch(ended, self.epochs)


@dataclass
class ChangeFollower:
    """Turns the change events of a topic into item events.

    Offsets are committed up to the beginning of the newest database commit, so that after a crash its changes get
    the same revisions again; events that are sent twice have no effect. Pictures of a folder are read and shrunk in
    threads, a few ahead; events are sent in the order of their changes.
    """

    source: EventSource
    sink: EventSink
    table: ChangeReader
    watch: Callable[[FeedResult, IngestTally], None]
    clock: Callable[[], float] = time.monotonic
    tally: IngestTally = field(default_factory=IngestTally)
    _states: dict[Partition, _PartitionState] = field(default_factory=dict)
    _last_record_at: float = 0.0

    def run(self, stopped: Callable[[], bool]) -> IngestTally:
        """Follow until `stopped` is true; raises Unavailable if Kafka does not accept all events."""
        while not stopped():
            self.step()
        self.tally.interrupt()
        return self.tally

    def step(self) -> None:
        """Publish one batch. Records are done once a record of a later database commit has arrived."""
        batch = self.source.poll_batch(BATCH, 0.05, WAIT_SECONDS)
        finished: list[Batch] = []
        revised = (self._revise(record, batch.epochs, finished) for record in batch.records)
        changes = map_in_order(self.table.complete, revised, threads_for(self.table.locate))
        for record, change in zip(batch.records, changes, strict=True):
            self._publish(record, change)
        if batch.records:
            self.sink.flush()
            self._last_record_at = self.clock()
        elif self.clock() - self._last_record_at > QUIET_SECONDS:
            finished = [state.end() for state in self._states.values() if state.open]
        for ended in finished:
            self.source.mark_finished(ended)
        if finished:
            with suppress(PartitionsRevoked):  # the new owner of the partitions sends the same events again
                self.source.commit_sync()

    def _revise(
        self, record: Record, epochs: Mapping[Partition, int], finished: list[Batch]
    ) -> RevisedRow | FeedResult:
        """The change of a record with its revision; appends the previous commit if this one starts another one."""
        state = self._state_of(record)
        time_of_record = RecordTime(record.timestamp_ms if record.timestamp_ms > 0 else None, record.headers)
        parsed = parse_change(record.value, record.key, record.offset, time_of_record)
        if isinstance(parsed, RowChange) and state.history.is_new_time(parsed.at_ms) and state.open:
            finished.append(state.end())
        state.add(record, epochs)
        return self.table.revise(parsed, state.history, record.offset) if isinstance(parsed, Change) else parsed

    def _publish(self, record: Record, change: FeedResult) -> None:
        change = publish_one(change, self.sink, self.tally, event_id=record.position) or change
        if isinstance(change, BadRow):
            headers = dict(record.headers) | _dead_letter_headers(record, change)
            self.sink.send_record(
                OutgoingRecord(dead_letter_topic(record.topic), record.key, record.value, headers)
            )
        self.watch(change, self.tally)

    def _state_of(self, record: Record) -> _PartitionState:
        """The state of the record's partition; a new one if the record is read again."""
        place = record.topic, record.partition
        state = self._states.get(place)
        if state is None or record.offset <= state.last:
            state = self._states[place] = _PartitionState()
        state.advance(record.offset)
        return state


def _dead_letter_headers(record: Record, bad: BadRow) -> dict[str, bytes | None]:
    fields = {"code": "event_invalid", "message": bad.message[:300], "topic": record.topic}
    fields |= {"partition": str(record.partition), "offset": str(record.offset)}
    return {f"dead-{name}": text.encode() for name, text in fields.items()}
