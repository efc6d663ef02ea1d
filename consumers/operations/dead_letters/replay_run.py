"""Replay runner: wires up a replay, and runs it with a progress bar."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from consumers.operations.dead_letters.dead_letter import DeadLetter
from consumers.operations.dead_letters.replay import Replay, ReplayRequest, ReplayTally, stop_on_signals
from consumers.operations.dead_letters.replay_audit import Audit, TopicAudit, user
from consumers.operations.dead_letters.replay_plan import ReplayPlan, ReplayPlanner
from consumers.operations.dead_letters.selection import Selection
from consumers.operations.dead_letters.store import DeadLetterStore
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.console import error_console
from infra.kafka import EventSink
from infra.qdrant.connect import connect


def make_plan(settings: Settings, store: DeadLetterStore, selection: Selection, *, again: bool) -> ReplayPlan:
    """Plan the replay of a selection; raises Unavailable."""
    replayed = () if again else store.replayed().keys()
    with closing(connect(settings)) as index:
        return ReplayPlanner(selection, replayed, index, datetime.now(UTC)).plan(with_progress(store.letters()))


def run_plan(
    store: DeadLetterStore, kafka: KafkaSettings, plan: ReplayPlan, rate: float, tally: ReplayTally
) -> None:
    """Send the letters of a plan, at most `rate` records per second; raises Unavailable.

    `tally` is up to date at any time, also when this raises.
    """
    request = ReplayRequest(str(uuid.uuid4()), user(), rate)
    with stop_on_signals() as is_stopped, closing(EventSink(kafka)) as sink, _progress_bar(error_console()) as bar:
        audits: list[Audit] = [TopicAudit(sink), *([store.audit] if store.audit else [])]
        task = bar.add_task("replaying", total=len(plan.send))
        try:
            for _ in Replay(sink, audits, request, is_stopped).run(store.letters(), plan.send, tally):
                bar.advance(task)
        finally:
            store.tidy()


def with_progress(letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
    """Yield the letters unchanged, and show their count on standard error if it is a terminal."""
    console = error_console()
    columns = SpinnerColumn(), TextColumn("reading dead letters: {task.completed:,.0f}")
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        for letter in letters:
            bar.advance(task)
            yield letter


def _progress_bar(console: Console) -> Progress:
    columns = SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
