"""The walks of an item event and of a search: the files that one passes in a running system, traced by its calls.

`python -m tests.walks` prints them. A walk counts the files of the room in which the work is done
(consumers/indexing, consumers/searching) one by one, and each other room once: a reader takes its word.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from consumers.runtime.lanes import Lanes
from consumers.runtime.loop import WorkerLoop
from consumers.runtime.shutdown import ShutdownSignal
from consumers.workers.index_worker import index_worker
from consumers.workers.query_worker import query_worker
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.config.observability import LogSettings
from infra.config.settings import Settings
from infra.kafka import EventSink, TopicReader
from infra.local.services import index_service
from infra.local_state import LocalState
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.generations import FIRST, index_folder
from schemas.envelope import Event, from_bytes
from schemas.items import InlineImage, ItemUpserted, item_key
from schemas.outcomes import ItemIndexed
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES
from tests.conftest import draw_disc
from tests.end_to_end.system import make_environment
from tests.kafka.brokers import open_kafka
from tests.service_process import run_service

ROOT = Path(__file__).parent.parent
TENANT = "walks"
WAIT_SECONDS = 120.0
Build = Callable[[Settings, Path | None], AbstractContextManager[WorkerLoop | Lanes]]


@dataclass
class Trace:
    """The files of ours that the threads of a worker enter, in the order of their first calls."""

    thread: str
    files: dict[str, None] = field(default_factory=dict)
    is_on: bool = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """A profile function of `threading`."""
        if self.is_on and event == "call" and threading.current_thread().name == self.thread:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("consumers", "infra", "schemas"):
                self.files.setdefault(path.relative_to(ROOT).as_posix())


@dataclass(frozen=True)
class Walk:
    """What was passed."""

    room: str
    files: tuple[str, ...]

    @property
    def stops(self) -> tuple[str, ...]:
        """The files of the room, and the other rooms."""
        own = (file for file in self.files if file.startswith(self.room))
        others = ("/".join(file.split("/")[:-1][:2]) for file in self.files if not file.startswith(self.room))
        return (*own, *dict.fromkeys(others))


def walks() -> tuple[Walk, Walk]:
    """Those of an item event and of a search, in a system that has handled one of each before."""
    with open_kafka() as kafka, tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), kafka=kafka, encoder="fast", logs=LogSettings(level="error"))
        with _engine(settings):
            indexing = _walk(settings, kafka, index_worker, "consumers/indexing/", _index)
            searching = _walk(settings, kafka, query_worker, "consumers/searching/", _search)
    return indexing, searching


def _walk(
    settings: Settings, kafka: KafkaSettings, build: Build, room: str, work: Callable[[KafkaSettings, str], None]
) -> Walk:
    trace = Trace("processing_0")
    threading.setprofile(trace)
    try:
        with _running(partial(build, settings, None)):
            work(kafka, "first")
            trace.is_on = True
            work(kafka, "second")
            trace.is_on = False
    finally:
        threading.setprofile(None)
    return Walk(room, tuple(trace.files))


@contextmanager
def _engine(settings: Settings) -> Iterator[None]:
    (settings.data / "run").mkdir()
    address = address_of(index_folder(settings.data, FIRST))
    LocalState(os.getpid(), None, address, ready=True, indexes={FIRST: address}).write(settings.data)
    with run_service(index_service(address), make_environment(settings.data, {})):
        yield


@contextmanager
def _running(build: Callable[[], AbstractContextManager[WorkerLoop | Lanes]]) -> Iterator[None]:
    shutdown = ShutdownSignal()

    def run() -> None:
        with build() as worker:
            worker.run(shutdown)

    thread = threading.Thread(target=run, name="worker")
    thread.start()
    try:
        yield
    finally:
        shutdown.stop_now()
        thread.join(WAIT_SECONDS)


def _index(kafka: KafkaSettings, name: str) -> None:
    """Send an item, and wait for its outcome."""
    item = ItemUpserted(tenant=TENANT, item_id=name, revision=1, images=(InlineImage(data=draw_disc("#cc2222")),))
    reader, sink = TopicReader(kafka, ITEM_OUTCOMES), EventSink(kafka)
    sink.send(CATALOG_ITEMS, item_key(TENANT, name), Event(item))
    sink.flush()
    until = time.monotonic() + WAIT_SECONDS
    while not _is_outcome(reader, name):
        assert time.monotonic() < until, f"item {name} has no outcome"
    reader.close()
    sink.close()


def _is_outcome(reader: TopicReader, name: str) -> bool:
    record = reader.poll(0.2)
    body = from_bytes(record.value) if record is not None and record.value is not None else None
    return isinstance(body, ItemIndexed) and body.item_id == name


def _search(kafka: KafkaSettings, name: str) -> None:
    image = InlineImage(data=draw_disc("#cc2222"))
    request = SearchRequest(request_id=name, tenant=TENANT, image=image, strict=False, deadline_ms=60_000)
    client = SearchClient(kafka)
    assert client.search(request).hits
    client.close()


if __name__ == "__main__":
    for walk in walks():
        print(f"{walk.room}: {len(walk.stops)} stops, {len(walk.files)} files")
        for file in walk.files if "--files" in sys.argv else walk.stops:
            print(f"  {file}")
