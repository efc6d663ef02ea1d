"""The switcher: the handler on the serving index, and the change to the next one."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import pytest

from consumers.runtime.ports import BatchHandler
from consumers.workers import generation_switcher as module
from consumers.workers.generation_switcher import GenerationSwitcher
from infra.encoder import EncoderUnavailable
from infra.qdrant.generations import Generation
from schemas.envelope import Event
from schemas.failures import Failure
from tests.consumers.item_histories import delete
from tests.consumers.runtime.handlers import FunctionHandler

OLD, NEW = Generation(1, "old"), Generation(2, "new")


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


@dataclass
class RecordingOpener:
    """Opens handlers that record their batches and their close."""

    serving: Generation = OLD
    handled: list[tuple[str, int]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    broken: bool = False
    mistaken: bool = False

    def open(self, generation: Generation, stack: ExitStack) -> BatchHandler:
        stack.callback(self.gone.append, generation.encoder)
        if self.broken:
            raise EncoderUnavailable("no such encoder")
        if self.mistaken:
            raise ZeroDivisionError("a mistake of ours, for the test")

        def handle(events: Sequence[Event]) -> dict[str, Failure]:
            self.meanwhile()
            self.handled.append((generation.encoder, len(events)))
            return {}

        return FunctionHandler(handle)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


@pytest.fixture
def opener() -> RecordingOpener:
    return RecordingOpener()


@pytest.fixture
def job(opener: RecordingOpener) -> Iterator[GenerationSwitcher]:
    with closing(GenerationSwitcher(lambda: opener.serving, opener.open)) as serving:
        yield serving


def test_batches_go_to_whatever_serves(opener: RecordingOpener, job: GenerationSwitcher) -> None:
    job.handle([delete("a", 1)])
    opener.serving = NEW
    wait_until(lambda: opener.gone == ["old"])
    job.handle([delete("a", 2), delete("b", 1)])
    job.handle_expired([])
    assert opener.handled == [("old", 1), ("new", 2), ("new", 0)]


def test_a_batch_is_handled_to_its_end_before_anything_changes(
    opener: RecordingOpener, job: GenerationSwitcher
) -> None:
    opened = threading.Event()

    def change_now() -> None:
        opener.serving = NEW
        opened.wait(0.2)  # longer than it takes to open the next
        assert opener.gone == []

    opener.meanwhile = change_now
    job.handle([delete("a", 1)])
    assert opener.handled == [("old", 1)]
    wait_until(lambda: opener.gone == ["old"])


def test_while_the_next_index_cannot_be_opened_the_old_one_serves(
    opener: RecordingOpener, job: GenerationSwitcher
) -> None:
    opener.broken, opener.serving = True, NEW
    wait_until(lambda: "new" in opener.gone)
    job.handle([delete("a", 1)])
    assert opener.handled == [("old", 1)]
    opener.broken = False
    wait_until(lambda: opener.gone[-1] == "old")
    job.handle([delete("a", 1)])
    assert opener.handled[-1] == ("new", 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watcher_that_dies_ends_the_worker_with_its_error(
    opener: RecordingOpener, job: GenerationSwitcher
) -> None:
    opener.mistaken, opener.serving = True, NEW

    def is_announced() -> bool:
        try:
            return bool(job.handle([delete("a", 1)]))
        except ZeroDivisionError:
            return True

    wait_until(is_announced)
    with pytest.raises(ZeroDivisionError):
        job.deferred_ids([])


def test_at_the_end_all_handlers_are_closed(opener: RecordingOpener) -> None:
    GenerationSwitcher(lambda: opener.serving, opener.open).close()
    assert opener.gone == ["old"]
