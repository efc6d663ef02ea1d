"""Publishing: send a stream of item events to Kafka, count them, and report bad rows on standard error."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from infra.config.errors import BadInput
from infra.console import format_count, printable
from infra.kafka import EventSink
from producers.row_reader import BadRow, SkippedRow, revisions
from schemas.envelope import Event, describe
from schemas.items import ItemDeleted, ItemPatched, ItemUpserted, Source, item_key
from schemas.topics import TOPIC_OF

FLUSH_EVERY = 200
"""Events after which to wait for acknowledgements, so that an unavailable broker is noticed soon."""

Publishable = ItemUpserted | ItemPatched | ItemDeleted | BadRow | SkippedRow


@dataclass
class IngestTally:
    """Counts of the rows of a feed by outcome."""

    sent: int = 0
    bad: int = 0
    skipped: int = 0
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Events per second since the start."""
        return self.sent / max(time.monotonic() - self.started, 1e-6)

    def count_sent(self) -> None:
        """Count an event that was sent."""
        self.sent += 1

    def count_bad(self) -> None:
        """Count a row that cannot be used."""
        self.bad += 1

    def count_skipped(self) -> None:
        """Count a row that is no item."""
        self.skipped += 1

    def interrupt(self) -> None:
        """Record that publishing ended before all rows were read."""
        self.interrupted = True

    def line(self) -> str:
        """The counts in one line."""
        parts = [f"sent {format_count(self.sent, 'event', 'events')} at {self.rate:.0f}/s"]
        parts += [format_count(self.bad, "bad row", "bad rows")] if self.bad else []
        parts += [format_count(self.skipped, "row skipped", "rows skipped")] if self.skipped else []
        return ("stopped by Ctrl-C: " if self.interrupted else "") + ", ".join(parts)


def publish(
    rows: Iterable[Publishable],
    sink: EventSink,
    watch: Callable[[Publishable, IngestTally], None],
    stopped: Callable[[], bool],
) -> IngestTally:
    """Send every event to the topic of its source, and wait until all are acknowledged.

    `watch` is called with each row. Once `stopped` is true, it ends early, after the sent events are delivered.
    Raises Unavailable if Kafka did not accept all events.
    """
    tally = IngestTally()
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


def publish_one(row: Publishable, sink: EventSink, tally: IngestTally, event_id: str | None = None) -> None:
    """Send an event to the topic of its source, or count a bad or skipped row."""
    if isinstance(row, BadRow):
        tally.count_bad()
    elif isinstance(row, SkippedRow):
        tally.count_skipped()
    else:
        source = f"lookstream/{row.source}"
        event = Event(row, source) if event_id is None else Event(row, source, event_id)
        sink.send(TOPIC_OF[row.source], item_key(row.tenant, row.item_id), event)
        tally.count_sent()
        if tally.sent % FLUSH_EVERY == 0:
            sink.flush()


def deletions(items: Iterable[str], tenant: str, source: Source) -> list[ItemDeleted]:
    """Deletions of the items with the present time as revision; raises BadInput for an invalid id or tenant."""
    try:
        return [
            ItemDeleted(tenant=tenant, item_id=item, source=source, revision=revision)
            for item, revision in zip(items, revisions(), strict=False)
        ]
    except ValidationError as error:
        raise BadInput(f"the deletion is invalid: {describe(error)}") from None


@contextmanager
def display_tally(console: Console) -> Iterator[Callable[[IngestTally], None]]:
    """Yield a function that displays a growing tally on a terminal, for streams of unknown length."""
    with console.status("waiting for what comes") as status:
        yield lambda tally: status.update(tally.line())


def publish_with_progress(
    rows: Iterable[Publishable], sink: EventSink, total: int, console: Console
) -> IngestTally:
    """Like `publish`, with a progress bar on a terminal, and a line for each bad row."""
    bar = Progress(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s  {task.fields[bad]} bad"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task("", total=total, rate=0.0, bad=0)

    def watch(row: Publishable, tally: IngestTally) -> None:
        if isinstance(row, BadRow):
            console.print(printable(f"line {row.line}: {row.message}"), markup=False, soft_wrap=True)
        bar.update(task, advance=1, rate=tally.rate, bad=tally.bad)

    with bar, catch_ctrl_c() as stopped:
        tally = publish(rows, sink, watch, stopped)
    console.print(tally.line(), markup=False, soft_wrap=True)
    return tally
