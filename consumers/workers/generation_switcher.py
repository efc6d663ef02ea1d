"""Generation switcher: a batch handler over the serving index that moves to the next one after a cut-over.

Each batch is handled over a single index from start to end, so the query's look and the looks that it is compared
with always come from the same encoder.
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

CHECK_SECONDS = 0.25
"""How often the register is checked for a cut-over."""
RETRY_SECONDS = 10.0
"""Pause after an index could not be opened."""

OpenHandler = Callable[[Generation, ExitStack], BatchHandler]
"""Opens the handler over a generation; its resources are closed with the stack."""


class GenerationSwitcher:
    """A batch handler over the generation `serving()`, for one thread. A second thread checks for cut-overs."""

    def __init__(self, serving: Callable[[], Generation], open_handler: OpenHandler) -> None:
        self._serving = serving
        self._open_handler = open_handler
        self._handler_lock = threading.Lock()
        self._closed = threading.Event()
        self._log = structlog.get_logger()
        self._pause = CHECK_SECONDS
        self._watch_error: BaseException | None = None
        self._generation = serving()
        self._stack, self._handler = self._open(self._generation)
        self._watch_thread = threading.Thread(target=self._watch, name="serving", daemon=True)
        self._watch_thread.start()

    def close(self) -> None:
        """Stop the watch thread, and close the open generation."""
        self._closed.set()
        self._watch_thread.join()
        self._stack.close()

    @property
    def encoder(self) -> str:
        """The name of the encoder of the current generation."""
        return self._generation.encoder

    @property
    def prepares(self) -> bool:
        """False: searches come one by one, so there is nothing to prepare."""
        return False

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Handle a batch over the serving index."""
        with self._current_handler() as handler:
            return dict(handler.handle(events))

    def handle_expired(self, events: Sequence[Event]) -> dict[str, Failure]:
        with self._current_handler() as handler:
            return dict(handler.handle_expired(events))

    def idle(self) -> None:
        with self._current_handler() as handler:
            handler.idle()

    def is_behind(self) -> bool:
        return self._handler.is_behind()

    def already_processed(self, record: Record) -> bool:
        with self._current_handler() as handler:
            return handler.already_processed(record)

    def mark_processed(self, records: Sequence[Record]) -> None:
        with self._current_handler() as handler:
            handler.mark_processed(records)

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        with self._current_handler() as handler:
            return handler.expired_ids(events)

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        with self._current_handler() as handler:
            return handler.deferred_ids(events)

    def prepare(self, events: Sequence[Event]) -> None:
        """Do nothing."""

    @contextmanager
    def _current_handler(self) -> Iterator[BatchHandler]:
        """Yield the handler, locked against a switch; re-raises the error that ended the watch thread."""
        if self._watch_error is not None:
            raise self._watch_error
        with self._handler_lock:
            yield self._handler

    def _open(self, generation: Generation) -> tuple[ExitStack, BatchHandler]:
        with ExitStack() as stack:
            handler = self._open_handler(generation, stack)
            return stack.pop_all(), handler

    def _watch(self) -> None:
        """Check for cut-overs until closed; an unexpected error is stored, and raised in the worker's thread."""
        try:
            while not self._closed.wait(self._pause):
                self._switch_if_due()
        except BaseException as error:
            self._log.exception("thread that follows the serving index failed")
            self._watch_error = error
            raise

    def _switch_if_due(self) -> None:
        """After a cut-over open the new generation while the old one still serves, then switch between batches."""
        self._pause = CHECK_SECONDS
        try:
            serving = self._serving()
        except Unavailable:  # the batches meet that too, and report it
            return
        if serving == self._generation:
            return
        try:
            stack, handler = self._open(serving)
        except (EncoderDiffers, EncoderUnavailable, Unavailable) as error:
            self._log.error("cannot switch to the new index, the old one keeps serving", reason=str(error))
            self._pause = RETRY_SECONDS
            return
        with self._handler_lock:
            old_stack, self._stack, self._handler, self._generation = self._stack, stack, handler, serving
        old_stack.close()
        self._log.info("switched to another index", index=serving.number, encoder=serving.encoder)
