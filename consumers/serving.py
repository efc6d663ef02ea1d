"""Serving: a job that is done over the index that serves, and over the next one as soon as that serves and is open.

Each batch is handled over one index from end to end: the query's look and what it is compared with are always made
by the same encoder.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import structlog

from consumers.hands import Job
from infra.encoder import EncoderUnavailable
from infra.generations import Generation
from infra.kafka import Record
from infra.qdrant.plan import EncoderDiffers
from schemas.envelope import Event
from schemas.failures import Failure, Unavailable

LOOK_SECONDS = 0.25
AGAIN_SECONDS = 10.0
"""How long to wait before opening an index is tried again."""

Open = Callable[[Generation, ExitStack], Job]
"""Opens the job over a generation; what it holds is closed with the stack."""


class Serving:
    """Handles batches over `serving()`, whichever that is. For one thread; another one looks for changes."""

    def __init__(self, serving: Callable[[], Generation], open_job: Open) -> None:
        self._serving = serving
        self._open_job = open_job
        self._using = threading.Lock()
        self._over = threading.Event()
        self._log = structlog.get_logger()
        self._generation = serving()
        self._stack, self._job = self._opened(self._generation)
        self._watcher = threading.Thread(target=self._watch, name="serving", daemon=True)
        self._watcher.start()

    def job(self) -> Job:
        """The job as a worker takes it."""
        return Job(
            self._handle,
            self._idle,
            lambda: self._job.is_behind(),
            lambda record: self._job.was_done(record),
            self._passed,
            lambda events: self._job.hopeless(events),
            self._refuse,
        )

    def close(self) -> None:
        """Let go of what is open."""
        self._over.set()
        self._watcher.join()
        self._stack.close()

    def _handle(self, events: Sequence[Event]) -> "dict[str, Failure]":
        with self._using:
            return dict(self._job.handle(events))

    def _refuse(self, events: Sequence[Event]) -> "dict[str, Failure]":
        with self._using:
            return dict((self._job.refuse or self._job.handle)(events))

    def _idle(self) -> None:
        with self._using:
            self._job.idle()

    def _passed(self, records: Sequence[Record]) -> None:
        self._job.passed(records)

    def _opened(self, generation: Generation) -> tuple[ExitStack, Job]:
        with ExitStack() as stack:
            job = self._open_job(generation, stack)
            return stack.pop_all(), job

    def _watch(self) -> None:
        """Open what serves next beside what serves now, then change between two batches."""
        pause = LOOK_SECONDS
        while not self._over.wait(pause):
            pause = LOOK_SECONDS
            try:
                wanted = self._serving()
            except Unavailable:  # the batches meet that too, and say so
                continue
            if wanted == self._generation:
                continue
            try:
                stack, job = self._opened(wanted)
            except (EncoderDiffers, EncoderUnavailable, Unavailable) as error:
                self._log.error("cannot serve from the new index, the old one goes on", why=str(error))
                pause = AGAIN_SECONDS
                continue
            with self._using:
                old, self._stack, self._job, self._generation = self._stack, stack, job, wanted
            old.close()
            self._log.info("serving", index=wanted.number, encoder=wanted.encoder)
