"""Composition: builds what a replay needs, and runs it under the eyes of the user."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from consumers.operations.dead_letters.dead_letter import DeadLetter
from consumers.operations.dead_letters.replay import Replay, ReplayRequest, ReplayTally, signals_noted
from consumers.operations.dead_letters.replay_audit import Audit, TopicAudit, user
from consumers.operations.dead_letters.replay_plan import ReplayPlan, ReplayPlanner
from consumers.operations.dead_letters.selection import Selection
from consumers.operations.dead_letters.store import DeadLetterStore
from infra.config.settings import KafkaSettings, Settings
from infra.console import error_console
from infra.kafka import EventSink
from infra.qdrant.connect import connect


def make_plan(settings: Settings, shelf: DeadLetterStore, choice: Selection, *, again: bool) -> ReplayPlan:
    """What a replay of this choice would do; raises Unavailable."""
    replayed = () if again else shelf.replayed().keys()
    with closing(connect(settings)) as index:
        return ReplayPlanner(choice, replayed, index, datetime.now(UTC)).plan(watched(shelf.letters()))


def run_plan(
    shelf: DeadLetterStore, kafka: KafkaSettings, plan: ReplayPlan, rate: float, tally: ReplayTally
) -> None:
    """Do it, at most `rate` records a second; raises Unavailable, with `tally` true to what was done."""
    order = ReplayRequest(str(uuid.uuid4()), user(), rate)
    with signals_noted() as stopped, closing(EventSink(kafka)) as sink, _bar(error_console()) as bar:
        audits: list[Audit] = [TopicAudit(sink), *([shelf.audit] if shelf.audit else [])]
        task = bar.add_task("replaying", total=len(plan.send))
        try:
            for _ in Replay(sink, audits, order, stopped).run(shelf.letters(), plan.send, tally):
                bar.advance(task)
        finally:
            shelf.tidy()


def watched(letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
    """The letters as they come, with a count of them on a terminal's standard error."""
    console = error_console()
    columns = SpinnerColumn(), TextColumn("reading dead letters: {task.completed:,.0f}")
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        for letter in letters:
            bar.advance(task)
            yield letter


def _bar(console: Console) -> Progress:
    columns = SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
