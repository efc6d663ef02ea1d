"""Ingest session: send the rows of a feed with progress, wait for their outcomes, and sum them up."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from infra.client.outcome_follower import OutcomeFollower
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.console import FAILED, INTERRUPTED, UNFINISHED, error_console, format_count, printable
from infra.kafka import EventSink, check_broker
from infra.local_state import resolve_kafka_settings
from infra.observability.tracing import SERVICE, tracing
from producers.cli_options import OutcomeOptions
from producers.ingest.outcome_tracker import OutcomeTracker
from producers.ingest.publish import IngestTally, Publishable, catch_ctrl_c, publish
from producers.ingest.report import IngestReport
from producers.ingest.summary import print_summary

HINT_SECONDS = 30.0
"""Time without outcomes after which a message names the possible reason."""
PAUSE_SECONDS = 0.1
HINT = (
    "no outcome for {seconds:.0f} s: see that an index worker runs (`lookstream health`); an event whose picture "
    "cannot be fetched now is tried again after 5, 60 and 600 s"
)
NO_OUTCOME = (
    "{events} without an outcome, and none came for {seconds:g} s: see that an index worker runs (`lookstream "
    "health`). What was sent stays in Kafka, and is indexed once a worker runs; --wait-timeout waits longer"
)


@dataclass
class IngestSession:
    """One run of a command that sends item events: its counts, its tracker and its report."""

    tally: IngestTally
    console: Console
    follower: OutcomeFollower | None
    timeout_s: float
    """Seconds without any outcome after which the wait ends."""
    _bar: Progress = field(init=False)

    def __post_init__(self) -> None:
        columns = (TextColumn("{task.description}"), SpinnerColumn(), BarColumn(), MofNCompleteColumn())
        more = (TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        is_quiet = not self.console.is_terminal
        self._bar = Progress(*columns, *more, console=self.console, disable=is_quiet, transient=True)

    def publish(
        self, rows: Iterable[Publishable], sink: EventSink, total: int, stopped: Callable[[], bool]
    ) -> None:
        """Send rows with a progress bar, and wait for the outcomes; raises Unavailable as EventSink does."""
        with self._bar as bar:
            task = bar.add_task("sent", total=total, note="")
            count = 0

            def watch(_row: Publishable, tally: IngestTally) -> None:
                nonlocal count
                count += 1
                if count % 50 == 0:
                    bar.update(task, completed=count, note=f"{tally.rate:.0f}/s  {tally.bad} bad")

            publish(rows, sink, watch, stopped, self.tally)
            bar.update(task, completed=total)
            self._wait(stopped)

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Wait until each event has its outcome, or none comes any more; without --wait return at once."""
        with self._bar:
            self._wait(stopped)

    def _wait(self, stopped: Callable[[], bool]) -> None:
        tracker, follower = self.tally.tracker, self.follower
        if tracker is None or follower is None:
            return
        task, is_hinted = self._bar.add_task("outcomes", total=tracker.sent, note=""), False
        while tracker.finished < tracker.sent and not stopped():
            if follower.failure is not None:
                raise follower.failure
            silence = time.monotonic() - tracker.changed_at
            if silence > self.timeout_s:
                break
            if silence > HINT_SECONDS and not is_hinted:
                is_hinted = True
                self._print(HINT.format(seconds=silence))
            self._bar.update(task, completed=tracker.finished)
            time.sleep(PAUSE_SECONDS)
        if stopped():
            self.tally.interrupt()

    def finish(self) -> int:
        """Print the summary, and return the exit code; call it after the outcome follower is closed."""
        report, tracker = self.tally.report, self.tally.tracker
        missing = 0 if tracker is None else tracker.sent - tracker.finished
        print_summary(self.tally, self.console)
        if report is not None and report.error:
            self._print(f"the report is incomplete: {report.error}")
        if missing and not self.tally.interrupted:
            events = format_count(missing, "event is", "events are")
            self._print(NO_OUTCOME.format(events=events, seconds=self.timeout_s))
        return self._exit_code(missing)

    def _exit_code(self, missing: int) -> int:
        tally, tracker = self.tally, self.tally.tracker
        if tally.interrupted:
            return INTERRUPTED
        if missing:
            return UNFINISHED
        is_incomplete = tally.report is not None and bool(tally.report.error)
        is_rejected = tracker is not None and tracker.rejections.total > 0
        return FAILED if tally.bad or is_rejected or is_incomplete else 0

    def _print(self, text: str) -> None:
        self.console.print(printable(text), markup=False, soft_wrap=True)


@contextmanager
def open_session(
    kafka: KafkaSettings, options: OutcomeOptions, console: Console, *, names_problems: bool = True
) -> Iterator[IngestSession]:
    """Open a session, which follows the outcomes from now on with --wait; raises BadInput, Unavailable.

    Without `names_problems` bad rows are counted, and the caller names them.
    """

    def name_problem(text: str) -> None:
        if names_problems:
            console.print(printable(text), markup=False, soft_wrap=True)

    report = None if options.report is None else IngestReport(options.report)
    tracker = None
    if options.wait:
        tracker = OutcomeTracker() if report is None else OutcomeTracker(report.write)
    tally = IngestTally(tracker=tracker, report=report, name_problem=name_problem)
    with ExitStack() as stack:
        stack.callback(_complete_report, tally)
        follower = None
        if tracker is not None:
            follower = OutcomeFollower(kafka, tracker.record, tracker.run_id.encode())
            stack.callback(follower.close)
        yield IngestSession(tally, console, follower, options.wait_timeout)


def _complete_report(tally: IngestTally) -> None:
    """Add the events without an outcome to the report, and close it."""
    if tally.report is not None:
        for entry in () if tally.tracker is None else tally.tracker.unfinished():
            tally.report.write(entry)
        tally.report.close()


def run_ingest(settings: Settings, rows: Iterable[Publishable], total: int, options: OutcomeOptions) -> int:
    """Send the rows of a feed, and report their results; returns the exit code.

    `total` is the number of rows, or slightly more. Raises Unavailable, and as reading the rows does.
    """
    kafka, console = resolve_kafka_settings(settings), error_console()
    check_broker(kafka)
    with tracing(settings.traces, SERVICE) as spans, catch_ctrl_c() as stopped:
        with open_session(kafka, options, console) as session:
            sink = EventSink(kafka, tracing=spans)
            session.publish(rows, sink, total, stopped)
            sink.close()
        return session.finish()
