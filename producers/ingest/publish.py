"""Publishing: send a stream of item events to Kafka, and count the rows by their results."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import ValidationError
from rich.console import Console

from infra.config.errors import BadInput
from infra.console import format_count
from infra.kafka import EventSink, RecordRefused
from producers.feed_item import FeedEvent, FeedItem
from producers.ingest.outcome_tracker import OutcomeTracker
from producers.ingest.reason_counts import Reason, ReasonCounts, place_of
from producers.ingest.report import IngestReport, ReportLine
from producers.row_reader import BadRow, SkippedRow, revisions
from schemas.envelope import Event, describe
from schemas.items import ItemDeleted, Source, item_key
from schemas.topics import TOPIC_OF

FLUSH_EVERY = 200
"""Events after which to wait for acknowledgements, so that an unavailable broker is noticed soon."""
MAX_NAMED = 10
"""Problems of one kind that are named row by row; further ones are counted, and are in the report."""

Publishable = FeedItem | FeedEvent | BadRow | SkippedRow


def ignore(_text: str) -> None:
    """Name no problems."""


@dataclass
class IngestTally:
    """Counts the rows of a feed by their results."""

    sent: int = 0
    bad: int = 0
    skipped: int = 0
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)
    bad_reasons: ReasonCounts = field(default_factory=ReasonCounts)
    skipped_reasons: ReasonCounts = field(default_factory=ReasonCounts)
    left_out: ReasonCounts = field(default_factory=ReasonCounts)
    """Facts that events do not contain, because they were not usable."""
    tracker: OutcomeTracker | None = None
    """Follows the events to their outcomes; None if the command does not wait for them."""
    report: IngestReport | None = None
    name_problem: Callable[[str], None] = ignore
    """Called with a line for people about each of the first problems of a kind."""

    @property
    def rate(self) -> float:
        """Events per second since the start."""
        return self.sent / max(time.monotonic() - self.started, 1e-6)

    def event_id(self, item: FeedItem) -> str | None:
        """The id for an event that is about to be sent; None for any id."""
        return None if self.tracker is None else self.tracker.add(item.event.item_id, item.line)

    def count_sent(self, item: FeedItem, outcome: str = "sent") -> None:
        """Count an event that was sent, and the facts that it does not contain.

        `outcome` is the outcome in the report, unless a tracker reports it.
        """
        self.sent += 1
        for sentence in item.left_out:
            self._name(self.left_out.add(sentence, place_of(item.line, item.event.item_id)), item.line, sentence)
            self._report(ReportLine(item.line, item.event.item_id, "left_out", "", sentence))
        if self.tracker is None:
            self._report(ReportLine(item.line, item.event.item_id, outcome))

    def count_refused(self, item: FeedItem, message: str) -> BadRow:
        """Count an event that has an id, and could not be sent, as a row that cannot be used; returns that row."""
        if self.tracker is not None:
            self.tracker.withdraw()
        row = BadRow(item.line, message if item.line else f"{item.event.item_id}: {message}")
        self.count_bad(row)
        return row

    def count_bad(self, row: BadRow) -> None:
        """Count a row that cannot be used."""
        self.bad += 1
        self._name(_add(self.bad_reasons, row), row.line, row.message)
        self._report(ReportLine(row.line, "", "bad", "", row.message))

    def count_skipped(self, row: SkippedRow) -> None:
        """Count a row that is no item."""
        self.skipped += 1
        _add(self.skipped_reasons, row)
        self._report(ReportLine(row.line, "", "skipped", "", row.message))

    def interrupt(self) -> None:
        """Record that publishing ended before all rows were read."""
        self.interrupted = True

    def line(self) -> str:
        """The counts in one line."""
        parts = [f"sent {format_count(self.sent, 'event', 'events')} at {self.rate:.0f}/s"]
        parts += [format_count(self.bad, "bad row", "bad rows")] if self.bad else []
        parts += [format_count(self.skipped, "row skipped", "rows skipped")] if self.skipped else []
        facts = self.left_out.total
        parts += [f"{format_count(facts, 'fact', 'facts')} left out"] if facts else []
        return ("stopped by Ctrl-C: " if self.interrupted else "") + ", ".join(parts)

    def _name(self, reason: Reason, line: int, message: str) -> None:
        if reason.count <= MAX_NAMED:
            self.name_problem(f"line {line}: {message}" if line else message)
        if reason.count == MAX_NAMED + 1:
            self.name_problem("more like it are counted, and not named: --report FILE lists them all")

    def _report(self, entry: ReportLine) -> None:
        if self.report is not None:
            self.report.write(entry)


def _add(reasons: ReasonCounts, row: BadRow | SkippedRow) -> Reason:
    """Count the message of a row; without a line it begins with a name: `a.jpg: it is empty`."""
    name, colon, text = row.message.partition(": ")
    if row.line or not colon:
        return reasons.add(row.message, place_of(row.line, ""))
    return reasons.add(text, name)


def publish(
    rows: Iterable[Publishable],
    sink: EventSink,
    watch: Callable[[Publishable, IngestTally], None],
    stopped: Callable[[], bool],
    tally: IngestTally | None = None,
) -> IngestTally:
    """Send every event to the topic of its source, and wait until all are acknowledged.

    `watch` is called with each row. Once `stopped` is true, it ends early, after the sent events are delivered.
    Raises Unavailable if Kafka did not accept all events.
    """
    tally = IngestTally() if tally is None else tally
    for row in rows:
        if stopped():
            tally.interrupt()
            break
        publish_one(row, sink, tally)
        watch(row, tally)
    sink.flush()
    return tally


@contextmanager
def catch_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Yield a callable that returns whether Ctrl-C was pressed; a second Ctrl-C ends the process at once.

    An exception cannot be used: raised in a delivery callback, it breaks confluent-kafka's flush (SystemError).
    """
    pressed: list[int] = []

    def record(number: int, _frame: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    previous = signal.signal(signal.SIGINT, record)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)


def publish_one(
    row: Publishable, sink: EventSink, tally: IngestTally, event_id: str | None = None
) -> BadRow | None:
    """Send an event to the topic of its source, or count a bad or skipped row.

    An event that is too large for a record counts as a bad row, which is returned. A tally that follows its events
    chooses their ids.
    """
    if isinstance(row, BadRow):
        tally.count_bad(row)
    elif isinstance(row, SkippedRow):
        tally.count_skipped(row)
    else:
        item = row if isinstance(row, FeedItem) else FeedItem(row, 0)
        body, event_id = item.event, tally.event_id(item) or event_id
        source = f"lookstream/{body.source}"
        event = Event(body, source) if event_id is None else Event(body, source, event_id)
        try:
            sink.send(TOPIC_OF[body.source], item_key(body.tenant, body.item_id), event)
        except RecordRefused as error:
            return tally.count_refused(item, str(error))
        tally.count_sent(item)
        if tally.sent % FLUSH_EVERY == 0:
            sink.flush()
    return None


def deletions(
    items: Iterable[str], tenant: str, source: Source, given_revision: int | None = None
) -> list[ItemDeleted]:
    """Deletions of the items, by default with the present time as revision; raises BadInput for an invalid one."""
    try:
        return [
            ItemDeleted(tenant=tenant, item_id=item, source=source, revision=given_revision or now)
            for item, now in zip(items, revisions(), strict=False)
        ]
    except ValidationError as error:
        raise BadInput(f"the deletion is invalid: {describe(error)}") from None


@contextmanager
def display_tally(console: Console) -> Iterator[Callable[[IngestTally], None]]:
    """Yield a function that displays a growing tally on a terminal, for streams of unknown length."""
    with console.status("waiting for changes") as status:
        yield lambda tally: status.update(tally.line())
