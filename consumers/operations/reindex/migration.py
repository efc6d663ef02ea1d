"""Migration: changes the serving generation in steps: begin, fill, compare and switch, or roll back, or drop."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from consumers.indexing.backfill import BackfillProgress, read_progress, restart_backfill
from consumers.operations.reindex.shadow_queries import ShadowIndex, ShadowMeasures, draw, measure
from consumers.points.progress import has_reached, target_offsets
from consumers.workers.resources import open_embedder
from infra.config.errors import BadInput
from infra.config.settings import Settings
from infra.local_state import resolve_index_socket, resolve_kafka_settings
from infra.qdrant.connect import connect, connect_register
from infra.qdrant.contract import Index
from infra.qdrant.generations import Generation, Generations
from infra.retry import Retry
from schemas.failures import Unavailable

SWITCH_DELAY_SECONDS = 2.0
"""Time from the registration of a switch until it takes effect: workers read the register for every event."""
POLL_SECONDS = 0.25
INDEX_RETRY = Retry(seconds=120, first_pause=0.1)
"""How long an index may be unavailable: while it is created, starts, or its process is restarted."""

Result = TypeVar("Result")


@dataclass
class Migration:
    """Operations on the generations of a running system."""

    settings: Settings
    console: Console
    now: Callable[[], float] = time.time
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._check_system_runs()
        self.register = connect_register(self.settings)

    def close(self) -> None:
        """Close the indexes and embedders."""
        self._stack.close()

    @property
    def generations(self) -> Generations:
        """The generations as currently registered."""
        return self.register.read()

    def begin(self, encoder: str) -> tuple[ShadowIndex, ShadowIndex]:
        """Return the serving index and the new one, which is registered unless it exists already.

        Raises BadInput when there is already a new index of another encoder, or when the encoder that serves is not
        known here; raises EncoderUnavailable.
        """
        other = self.generations.other
        if other is not None and other.encoder != encoder:
            raise BadInput(
                f"--encoder: index {other.number} of {other.encoder} exists next to the serving one: "
                "continue with that encoder, or run `lookstream reindex drop` first"
            )
        embedder = open_embedder(self.settings, encoder, self._stack)
        serving = self._serving_index()
        if other is None:
            self.register.write(self.generations.with_new(encoder))
            other = self.generations.other
        assert other is not None
        if self.settings.qdrant.url:
            text = (
                f"`lookstream up` starts its worker; or run `lookstream worker index --generation {other.number}`"
            )
            self.console.print(text, markup=False, soft_wrap=True)
        index = self._retry(lambda: self._index(other))
        self._retry(index.status)  # succeeds once its worker has opened the index
        return serving, ShadowIndex(index, embedder)

    def fill(self, serving: Index, other: Index) -> BackfillProgress:
        """Backfill the other index until it holds what the serving one does; shows a progress bar."""
        self._retry(lambda: restart_backfill(other))
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, TimeRemainingColumn(), console=self.console) as bar:
            task = bar.add_task("reading the topics", total=None)
            progress = BackfillProgress()
            while not progress.done:
                time.sleep(POLL_SECONDS)
                try:
                    progress, total = read_progress(other), serving.count()
                except Unavailable:
                    self._check_system_runs()  # while the system runs, failed processes are restarted
                    continue
                if progress.passed or progress.seen:
                    bar.update(
                        task, description=f"filling, pass {progress.passed + 1}", total=max(total, progress.seen)
                    )
                    bar.update(task, completed=progress.seen)
            bar.update(task, description="catching up", total=None)
            self.catch_up(serving, other)
        return progress

    def catch_up(self, serving: Index, other: Index) -> None:
        """Wait until the other index has reached the current offsets of the serving one in the topics.

        Raises Unavailable when it has not within INDEX_RETRY.
        """
        goal = target_offsets(serving, resolve_kafka_settings(self.settings))
        self._wait_until(lambda: has_reached(goal, other))

    def weigh(
        self, serving: ShadowIndex, other: ShadowIndex, queries: int
    ) -> tuple[ShadowMeasures, ShadowMeasures]:
        """Measure both indexes with the same shadow queries."""
        sample = self._retry(lambda: draw(serving.index, other.index, queries))
        with self.console.status(f"{len(sample)} shadow queries"):
            return self._retry(lambda: measure(serving, sample)), self._retry(lambda: measure(other, sample))

    def switch(self) -> Generation:
        """Register the other generation to serve after SWITCH_DELAY_SECONDS, and return it."""
        self.register.write(self.generations.with_switch(self.now() + SWITCH_DELAY_SECONDS))
        return self.generations.serving

    def back(self) -> Generation:
        """Switch to the other generation once it has caught up; raises BadInput when there is none."""
        serving, other = self._both_generations("rollback")
        self.catch_up(self._index(serving), self._index(other))
        return self.switch()

    def drop(self) -> Generation:
        """Remove the generation that does not serve, once it has no outcome left to report.

        Raises BadInput when there is none.
        """
        serving, other = self._both_generations("drop")
        if any(switch.number == other.number for switch in self.generations.switches):
            time.sleep(max(0.0, self.generations.switches[-1].moment - self.now()))
            self.catch_up(self._index(serving), self._index(other))
        self.register.write(self.generations.serving_only())
        self.register.delete_index(other.number)
        return other

    def status(self) -> list[dict[str, object]]:
        """Describe each index: its points and its backfill, or the reason why they are not (yet) available."""
        return [self._status(generation) for generation in self.generations.known]

    def _status(self, generation: Generation) -> dict[str, object]:
        index, serves = self._index(generation), generation == self.generations.serving
        status: dict[str, object] = {"index": generation.number, "encoder": generation.encoder, "serves": serves}
        try:
            status["points"], progress = index.count(), read_progress(index)
        except Unavailable as error:
            return status | {"points": None, "unavailable": str(error)}
        if not serves:
            status |= {"pass": progress.passed + 1, "seen": progress.seen, "filled": progress.filled}
            status |= {"missing": progress.missing, "named": list(progress.named), "done": progress.done}
        return status

    def _check_system_runs(self) -> None:
        """Raise Unavailable when no `lookstream up` runs the embedded indexes.

        A Qdrant server is not checked: calls to it are retried instead.
        """
        if not self.settings.qdrant.url:
            resolve_index_socket(self.settings)

    def _both_generations(self, command: str) -> tuple[Generation, Generation]:
        other = self.generations.other
        if other is None:
            raise BadInput(f"reindex {command}: there is no index except the one that serves")
        return self.generations.serving, other

    def _serving_index(self) -> ShadowIndex:
        serving = self.generations.serving
        index, embedder = self._index(serving), open_embedder(self.settings, serving.encoder, self._stack)
        fingerprint = self._retry(index.status).fingerprint
        if fingerprint != embedder.encoder.fingerprint:
            raise BadInput(
                f"LOOKSTREAM_ENCODER: it is {serving.encoder} here ({embedder.encoder.fingerprint}), and the index "
                f"that serves was made by {fingerprint}: name the encoder that `lookstream up` has"
            )
        return ShadowIndex(index, embedder)

    def _index(self, generation: Generation) -> Index:
        return self._stack.enter_context(closing(connect(self.settings, generation.number)))

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; raises Unavailable when it does not within INDEX_RETRY."""

        def check() -> None:
            if not condition():
                raise Unavailable("the new index is not ready, or far behind: see the log of `lookstream up`")

        self._retry(check)

    def _retry(self, call: Callable[[], Result]) -> Result:
        """Call `call` again while an index is unavailable: a running system restarts its failed processes."""

        def is_unavailable(error: Exception) -> bool:
            if isinstance(error, Unavailable):
                self._check_system_runs()
            return isinstance(error, Unavailable)

        return INDEX_RETRY.run(call, is_unavailable)


@contextmanager
def migration_lock(data: Path) -> Iterator[None]:
    """Lock the generations of a data folder against other commands; raises BadInput when one holds the lock."""
    with (data / "reindex.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput("another `lookstream reindex` runs on this data folder: wait until it ends") from None
        yield
