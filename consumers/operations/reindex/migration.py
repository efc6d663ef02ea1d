"""A change of generations, step by step: begin, fill, weigh, switch; or back, or drop."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from consumers.indexing.backfill import BackfillProgress as Filled
from consumers.indexing.backfill import backfill_items, progress_in
from consumers.operations.reindex.shadow_queries import ShadowIndex, ShadowMeasures, draw, measure
from consumers.points.progress import goal_of, has_come_to
from consumers.workers.resources import open_embedder
from infra.config.settings import Settings
from infra.console import BadInput
from infra.local_state import reach_index, reach_kafka
from infra.qdrant.connect import connect, generations_of
from infra.qdrant.contract import Index
from infra.qdrant.generations import Generation, Generations
from infra.retry import Retry
from schemas.failures import Unavailable

NOTICE_SECONDS = 2.0
"""How long before it counts a switch is written down: workers look at what is written for every event."""
LOOK_SECONDS = 0.25
PATIENCE = Retry(seconds=120, first=0.1)
"""How long an index may be away: it is being made, it starts, or its process is started again."""

Result = TypeVar("Result")


@dataclass
class Migration:
    """What a command can do about the generations of a running system."""

    settings: Settings
    console: Console
    now: Callable[[], float] = time.time
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._look_alive()
        self.register = generations_of(self.settings)

    def close(self) -> None:
        """Let go of indexes and eyes."""
        self._stack.close()

    @property
    def generations(self) -> Generations:
        """As they are written down."""
        return self.register.read()

    def begin(self, encoder: str) -> tuple[ShadowIndex, ShadowIndex]:
        """The one that serves, and the one beside it, which is begun unless it is there already.

        Raises BadInput when another one is there, or the encoder that serves is not known here; EncoderUnavailable.
        """
        other = self.generations.other
        if other is not None and other.encoder != encoder:
            raise BadInput(
                f"--encoder: there is an index {other.number} of {other.encoder} beside the one that serves: "
                "go on with that, or `lookstream reindex drop` it first"
            )
        eyes = open_embedder(self.settings, encoder, self._stack)
        serving = self._serving_side()
        if other is None:
            self.register.write(self.generations.begun(encoder))
            other = self.generations.other
        assert other is not None
        if self.settings.qdrant.url:
            text = (
                f"`lookstream up` starts its worker; or run `lookstream worker index --generation {other.number}`"
            )
            self.console.print(text, markup=False, soft_wrap=True)
        beside = self._patiently(lambda: self._index(other))
        self._patiently(beside.status)  # its worker has opened it
        return serving, ShadowIndex(beside, eyes)

    def fill(self, serving: Index, other: Index) -> Filled:
        """Wait, with progress, until the other index holds what the serving one does; how it was filled."""
        self._patiently(lambda: backfill_items(other))
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, TimeRemainingColumn(), console=self.console) as bar:
            task = bar.add_task("reading the topics", total=None)
            filled = Filled()
            while not filled.done:
                time.sleep(LOOK_SECONDS)
                try:
                    filled, total = progress_in(other), serving.count()
                except Unavailable:
                    self._look_alive()  # while the system runs, whatever has died is started again
                    continue
                if filled.passed or filled.seen:
                    bar.update(
                        task, description=f"filling, pass {filled.passed + 1}", total=max(total, filled.seen)
                    )
                    bar.update(task, completed=filled.seen)
            bar.update(task, description="catching up", total=None)
            self.catch_up(serving, other)
        return filled

    def catch_up(self, serving: Index, other: Index) -> None:
        """Wait until the other index has come as far in the topics as the serving one has by now.

        Raises Unavailable when it has not within PATIENCE.
        """
        goal = goal_of(serving, reach_kafka(self.settings))
        self._until(lambda: has_come_to(goal, other))

    def weigh(
        self, serving: ShadowIndex, other: ShadowIndex, queries: int
    ) -> tuple[ShadowMeasures, ShadowMeasures]:
        """The measures of both by the same searches."""
        drawn = self._patiently(lambda: draw(serving.index, other.index, queries))
        with self.console.status(f"{len(drawn)} shadow queries"):
            return self._patiently(lambda: measure(serving, drawn)), self._patiently(lambda: measure(other, drawn))

    def switch(self) -> Generation:
        """Have the other one serve, from a moment on that is near; the one that will."""
        self.register.write(self.generations.switched(self.now() + NOTICE_SECONDS))
        return self.generations.serving

    def back(self) -> Generation:
        """Have the other one serve once it has caught up; raises BadInput when there is none."""
        serving, other = self._both("rollback")
        self.catch_up(self._index(serving), self._index(other))
        return self.switch()

    def drop(self) -> Generation:
        """Remove the one beside that which serves, once nothing is left for it to tell; raises BadInput if none."""
        serving, other = self._both("drop")
        if any(switch.number == other.number for switch in self.generations.switches):
            time.sleep(max(0.0, self.generations.switches[-1].moment - self.now()))
            self.catch_up(self._index(serving), self._index(other))
        self.register.write(self.generations.dropped())
        self.register.forget(other.number)
        return other

    def status(self) -> list[dict[str, object]]:
        """Each index, how many points it has, and how it was filled; why, where that cannot be told (yet)."""
        return [self._status(one) for one in self.generations.known]

    def _status(self, one: Generation) -> dict[str, object]:
        index, serves = self._index(one), one == self.generations.serving
        told: dict[str, object] = {"index": one.number, "encoder": one.encoder, "serves": serves}
        try:
            told["points"], filled = index.count(), progress_in(index)
        except Unavailable as error:
            return told | {"points": None, "unavailable": str(error)}
        if not serves:
            told |= {"pass": filled.passed + 1, "seen": filled.seen, "filled": filled.filled}
            told |= {"missing": filled.missing, "named": list(filled.named), "done": filled.done}
        return told

    def _look_alive(self) -> None:
        """Raise Unavailable when no `lookstream up` runs the embedded indexes; a server is waited for."""
        if not self.settings.qdrant.url:
            reach_index(self.settings)

    def _both(self, word: str) -> tuple[Generation, Generation]:
        other = self.generations.other
        if other is None:
            raise BadInput(f"reindex {word}: there is no index beside the one that serves")
        return self.generations.serving, other

    def _serving_side(self) -> ShadowIndex:
        serving = self.generations.serving
        index, eyes = self._index(serving), open_embedder(self.settings, serving.encoder, self._stack)
        made_by = self._patiently(index.status).fingerprint
        if made_by != eyes.encoder.fingerprint:
            raise BadInput(
                f"LOOKSTREAM_ENCODER: it is {serving.encoder} here ({eyes.encoder.fingerprint}), and the index "
                f"that serves was made by {made_by}: name the encoder that `lookstream up` has"
            )
        return ShadowIndex(index, eyes)

    def _index(self, generation: Generation) -> Index:
        return self._stack.enter_context(closing(connect(self.settings, generation.number)))

    def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds; raises Unavailable when it does not within PATIENCE."""

        def ask() -> None:
            if not holds():
                raise Unavailable("the new index is not ready, or far behind: see the log of `lookstream up`")

        self._patiently(ask)

    def _patiently(self, ask: Callable[[], Result]) -> Result:
        """The answer, asked for again while an index is away: what has died of a running system comes again."""

        def is_away(error: Exception) -> bool:
            if isinstance(error, Unavailable):
                self._look_alive()
            return isinstance(error, Unavailable)

        return PATIENCE.run(ask, is_away)


@contextmanager
def sole_change(data: Path) -> Iterator[None]:
    """Hold the right to change the generations of a data folder; raises BadInput when another command has it."""
    with (data / "reindex.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput("another `lookstream reindex` is at work on this data folder: wait for it") from None
        yield
