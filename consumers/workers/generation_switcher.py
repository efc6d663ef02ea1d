"""Serving: a job that is done over the index that serves, and over the next one as soon as that serves and is open.

Each batch is handled over one index from end to end: the query's look and what it is compared with are always made
by the same encoder.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import structlog

from consumers.runtime.ports import BatchHandler
from infra.encoder import EncoderUnavailable
from infra.kafka import Record
from infra.qdrant.contract import EncoderDiffers
from infra.qdrant.generations import Generation
from schemas.envelope import Event
from schemas.failures import Failure, Unavailable

LOOK_SECONDS = 0.25
AGAIN_SECONDS = 10.0
"""How long to wait before opening an index is tried again."""

Open = Callable[[Generation, ExitStack], BatchHandler]
"""Opens the job over a generation; what it holds is closed with the stack."""


class GenerationSwitcher:
    """A handler of batches over `serving()`, whichever that is. For one thread; another one looks for changes."""

    def __init__(self, serving: Callable[[], Generation], open_job: Open) -> None:
        self._serving = serving
        self._open_job = open_job
        self._using = threading.Lock()
        self._over = threading.Event()
        self._log = structlog.get_logger()
        self._pause = LOOK_SECONDS
        self._broken: BaseException | None = None
        self._generation = serving()
        self._stack, self._job = self._opened(self._generation)
        self._watcher = threading.Thread(target=self._watch, name="serving", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Let go of what is open."""
        self._over.set()
        self._watcher.join()
        self._stack.close()

    @property
    def encoder(self) -> str:
        """The name of the encoder that makes its looks."""
        return self._generation.encoder

    @property
    def prepares(self) -> bool:
        """Nothing is prepared: searches come one by one."""
        return False

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Handle a batch over the index that serves."""
        with self._in_use() as handler:
            return dict(handler.handle(events))

    def refuse(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Refuse a batch, as the handler does."""
        with self._in_use() as handler:
            return dict(handler.refuse(events))

    def idle(self) -> None:
        """Do a small step of what can wait."""
        with self._in_use() as handler:
            handler.idle()

    def is_behind(self) -> bool:
        """As the handler says."""
        return self._job.is_behind()

    def was_done(self, record: Record) -> bool:
        """As the handler says."""
        with self._in_use() as handler:
            return handler.was_done(record)

    def note_done(self, records: Sequence[Record]) -> None:
        """Tell the handler."""
        with self._in_use() as handler:
            handler.note_done(records)

    def expired(self, events: Sequence[Event]) -> set[str]:
        """As the handler says."""
        with self._in_use() as handler:
            return handler.expired(events)

    def deferred(self, events: Sequence[Event]) -> set[str]:
        """As the handler says."""
        with self._in_use() as handler:
            return handler.deferred(events)

    def prepare(self, events: Sequence[Event]) -> None:
        """Nothing."""

    @contextmanager
    def _in_use(self) -> Iterator[BatchHandler]:
        """The handler, which is not changed meanwhile; raises what ended the watcher, and so ends the worker."""
        if self._broken is not None:
            raise self._broken
        with self._using:
            yield self._job

    def _opened(self, generation: Generation) -> tuple[ExitStack, BatchHandler]:
        with ExitStack() as stack:
            job = self._open_job(generation, stack)
            return stack.pop_all(), job

    def _watch(self) -> None:
        """Look for changes until closed; an error that nobody expected is raised in the worker's own thread."""
        try:
            while not self._over.wait(self._pause):
                self._change_if_due()
        except BaseException as error:
            self._log.exception("the index that serves is not watched any more")
            self._broken = error
            raise

    def _change_if_due(self) -> None:
        """Open what serves next beside what serves now, then change between two batches."""
        self._pause = LOOK_SECONDS
        try:
            wanted = self._serving()
        except Unavailable:  # the batches meet that too, and say so
            return
        if wanted == self._generation:
            return
        try:
            stack, job = self._opened(wanted)
        except (EncoderDiffers, EncoderUnavailable, Unavailable) as error:
            self._log.error("cannot serve from the new index, the old one goes on", why=str(error))
            self._pause = AGAIN_SECONDS
            return
        with self._using:
            old, self._stack, self._job, self._generation = self._stack, stack, job, wanted
        old.close()
        self._log.info("serving", index=wanted.number, encoder=wanted.encoder)
