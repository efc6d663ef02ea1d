"""Publishing: a stream of item events goes out to Kafka, counted, with what was bad on standard error."""

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

from infra.console import BadInput, counted, printable
from infra.kafka import EventSink
from producers.row_reader import BadRow, SkippedRow, revisions
from schemas.envelope import Event, describe
from schemas.items import ItemDeleted, ItemUpserted, Source, item_key
from schemas.topics import TOPIC_OF

FLUSH_EVERY = 200
"""Events after which acknowledgements are waited for: a broker that went away is noticed soon."""

Publishable = ItemUpserted | ItemDeleted | BadRow | SkippedRow


@dataclass
class IngestTally:
    """What became of the rows of a feed."""

    sent: int = 0
    bad: int = 0
    skipped: int = 0
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Events a second since the start."""
        return self.sent / max(time.monotonic() - self.started, 1e-6)

    def line(self) -> str:
        """The figures in one sentence."""
        parts = [f"sent {counted(self.sent, 'event', 'events')} at {self.rate:.0f}/s"]
        parts += [counted(self.bad, "bad row", "bad rows")] if self.bad else []
        parts += [counted(self.skipped, "row skipped", "rows skipped")] if self.skipped else []
        return ("stopped by Ctrl-C: " if self.interrupted else "") + ", ".join(parts)


def publish(
    rows: Iterable[Publishable],
    sink: EventSink,
    watch: Callable[[Publishable, IngestTally], None],
    stopped: Callable[[], bool],
) -> IngestTally:
    """Send every event to the topic of its source, and wait until all are acknowledged.

    `watch` is told of each row. It ends early once `stopped` is true, with what was sent delivered. Raises
    Unavailable when Kafka did not take everything.
    """
    tally = IngestTally()
    for row in rows:
        if stopped():
            tally.interrupted = True
            break
        publish_one(row, sink, tally)
        watch(row, tally)
    sink.flush()
    return tally


@contextmanager
def ctrl_c_noted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, as a callable; a second Ctrl-C ends the process at once.

    An exception would not do: raised inside a delivery callback it breaks confluent-kafka's flush (SystemError).
    """
    pressed: list[int] = []

    def note(number: int, _frame: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def publish_one(row: Publishable, sink: EventSink, tally: IngestTally, event_id: str | None = None) -> None:
    """Send an event to the topic of its source, and count it."""
    if isinstance(row, BadRow):
        tally.bad += 1
    elif isinstance(row, SkippedRow):
        tally.skipped += 1
    else:
        source = f"lookstream/{row.source}"
        event = Event(row, source) if event_id is None else Event(row, source, event_id)
        sink.send(TOPIC_OF[row.source], item_key(row.tenant, row.item_id), event)
        tally.sent += 1
        if tally.sent % FLUSH_EVERY == 0:
            sink.flush()


def deletions(items: Iterable[str], tenant: str, source: Source) -> list[ItemDeleted]:
    """A deletion of each item, as of now; raises BadInput when an id or the tenant makes no sense."""
    try:
        return [
            ItemDeleted(tenant=tenant, item_id=item, source=source, revision=revision)
            for item, revision in zip(items, revisions(), strict=False)
        ]
    except ValidationError as error:
        raise BadInput(f"this deletion makes no sense: {describe(error)}") from None


@contextmanager
def tally_shown(console: Console) -> Iterator[Callable[[IngestTally], None]]:
    """Shows a tally as it grows, on a terminal: for feeds whose length nobody knows."""
    with console.status("waiting for what comes") as status:
        yield lambda tally: status.update(tally.line())


def publish_watched(rows: Iterable[Publishable], sink: EventSink, total: int, console: Console) -> IngestTally:
    """Like publish, with a progress bar on a terminal, and a line for each bad row."""
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

    with bar, ctrl_c_noted() as stopped:
        tally = publish(rows, sink, watch, stopped)
    console.print(tally.line(), markup=False, soft_wrap=True)
    return tally
