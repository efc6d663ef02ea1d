"""Sweep task: sweeps the content store once a day, in small steps between batches."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import structlog

from consumers.indexing.content_sweep import open_sweep
from consumers.workers.backfill_task import GenerationOwnership
from infra.config.settings import Settings
from infra.fetching.content_store import ContentStore, StoredPicture
from infra.qdrant.contract import Index
from infra.qdrant.generations import Generations
from schemas.failures import Failure, Fault

NOTE_NAME = "content_sweep"
PERIOD_SECONDS = 86_400.0
"""From the start of a sweep to the start of the next one, by any index worker of the system."""
LOOK_SECONDS = 600.0
"""How often to look whether a sweep is due."""
STEP_SECONDS = 1.0
"""Pause between two steps: a sweep is never urgent."""


@dataclass(eq=False)
class SweepTask:
    """Sweeps the content store, in the worker of the serving generation. For one thread.

    A note in the index says when the last sweep began, so that of several workers one does it. `clock` is in
    seconds since 1970.
    """

    settings: Settings
    index: Index
    ownership: GenerationOwnership
    store: ContentStore
    clock: Callable[[], float] = time.time
    _parts: Iterator[Sequence[StoredPicture]] | None = field(default=None, init=False)
    _generations: Generations | None = field(default=None, init=False)
    """The generations that this sweep asks."""
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _removed: int = field(default=0, init=False)
    _not_before: float = field(default=0, init=False)

    def step(self) -> None:
        """Do one small step if one is due. Raises Unavailable, after which the next step begins a new sweep."""
        now = self.clock()
        if now < self._not_before:
            return
        try:
            if self._parts is None:
                self._begin(now)
            else:
                self._advance(now)
        except (Failure, Fault) as error:  # a sweep that is not permitted must not end the worker
            structlog.get_logger().warning("content store not swept", reason=str(error))
            self._end(now)
        except BaseException:
            self._end(now)
            raise

    def close(self) -> None:
        """Close the connections."""
        self._end(self.clock())

    def _begin(self, now: float) -> None:
        """Begin a sweep if this is the serving generation and the last one began PERIOD_SECONDS ago."""
        self._not_before = now + LOOK_SECONDS
        generations = self.ownership.register.read()
        note = self.index.notes([NOTE_NAME]).get(NOTE_NAME, {})
        began = note.get("began")
        is_due = not isinstance(began, int | float) or not 0 <= now - began < PERIOD_SECONDS
        if generations.serving.number != self.ownership.number or not is_due:
            return
        sweep = self._stack.enter_context(open_sweep(self.settings, self.store))
        self.index.put_note(NOTE_NAME, {"began": now})
        self._parts, self._generations, self._removed = sweep.parts(), generations, 0
        self._not_before = now + STEP_SECONDS

    def _advance(self, now: float) -> None:
        """Sweep one part; a sweep ends early when the generations change, because it does not ask the new ones."""
        assert self._parts is not None
        self._not_before = now + STEP_SECONDS
        has_changed = self.ownership.register.read() != self._generations
        part = None if has_changed else next(self._parts, None)
        if part is None:
            structlog.get_logger().info("content store swept", removed=self._removed, complete=not has_changed)
            self._end(now)
        else:
            self._removed += len(part)

    def _end(self, now: float) -> None:
        self._parts, self._not_before = None, now + LOOK_SECONDS
        self._stack.close()
