"""The daily sweep of the content store in an index worker: by one worker, now and then, in small steps."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import pytest

from consumers.workers.backfill_task import GenerationOwnership
from consumers.workers.sweep_task import LOOK_SECONDS, PERIOD_SECONDS, STEP_SECONDS, SweepTask
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.fetching.content_store import LocalContentStore, StoredPicture
from infra.local_state import LocalState
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.owner_process import serve
from infra.qdrant.generations import (
    FIRST,
    FileGenerationRegister,
    Generation,
    Generations,
    GenerationSwitch,
    index_folder,
)
from infra.retry import Retry
from schemas.failures import Fault, Unavailable

SIZE = 8


@dataclass
class WorkerUnderTest:
    """An index worker of a local system, with a clock of its own."""

    settings: Settings
    index: EmbeddedIndex
    store: LocalContentStore
    now: float = 1_000_000.0
    tasks: list[SweepTask] = field(default_factory=list)

    @property
    def register(self) -> FileGenerationRegister:
        return FileGenerationRegister(self.settings.data, "test")

    def task(self, generation: int = FIRST) -> SweepTask:
        ownership = GenerationOwnership(self.register, generation)
        self.tasks.append(SweepTask(self.settings, self.index, ownership, self.store, clock=lambda: self.now))
        return self.tasks[-1]

    def put_old(self, data: bytes) -> str:
        """Put a picture 40 days ago; its checksum."""
        self.store.put("ana", data)
        checksum, moment = sha256(data).hexdigest(), time.time() - 40 * 86_400
        os.utime(self.settings.data / "pictures" / "ana" / checksum[:2] / checksum, (moment, moment))
        return checksum

    def has(self, checksum: str) -> bool:
        return self.store.exists("ana", checksum)

    def run(self, task: SweepTask, steps: int = 20, pause: float = STEP_SECONDS) -> None:
        for _ in range(steps):
            self.now += pause
            task.step()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerUnderTest]:
    settings = Settings(data=tmp_path / "data", kafka=KafkaSettings())
    folder = index_folder(settings.data, FIRST)
    folder.mkdir(parents=True)
    address = address_of(folder)
    process = get_context("spawn").Process(target=serve, args=(folder, address, 1 << 20), daemon=True)
    process.start()
    LocalState(os.getpid(), "127.0.0.1:9", address, True, None, {}, {FIRST: address}).write(settings.data)
    with closing(EmbeddedIndex(address)) as index:
        Retry(30).run(lambda: index.open("test:1", SIZE), lambda error: isinstance(error, Unavailable))
        made = WorkerUnderTest(settings, index, LocalContentStore(settings.data / "pictures"))
        yield made
        for task in made.tasks:
            task.close()
    process.terminate()
    process.join()


def test_an_index_worker_sweeps_once_a_day_and_others_do_not(worker: WorkerUnderTest) -> None:
    first, second = worker.task(), worker.task()
    one = worker.put_old(b"one")
    worker.run(first)
    assert not worker.has(one)
    two = worker.put_old(b"two")
    worker.run(second)
    worker.run(first, pause=LOOK_SECONDS)
    assert worker.has(two)
    worker.now += PERIOD_SECONDS
    worker.run(second)
    assert not worker.has(two)


def test_the_worker_of_a_generation_that_does_not_serve_sweeps_nothing(worker: WorkerUnderTest) -> None:
    one = worker.put_old(b"one")
    worker.run(worker.task(generation=2), pause=LOOK_SECONDS)
    assert worker.has(one)


def test_a_generation_that_comes_meanwhile_ends_the_sweep(worker: WorkerUnderTest) -> None:
    task = worker.task()
    worker.run(task, steps=1)
    known = (Generation(FIRST, "test"), Generation(2, "test2"))
    worker.register.write(Generations(known, (GenerationSwitch(0.0, FIRST),)))
    one = worker.put_old(b"one")
    worker.run(task)
    assert worker.has(one)


def test_an_index_of_a_generation_that_is_away_postpones_the_sweep(worker: WorkerUnderTest) -> None:
    known = (Generation(FIRST, "test"), Generation(2, "test2"))
    worker.register.write(Generations(known, (GenerationSwitch(0.0, FIRST),)))
    one, task = worker.put_old(b"one"), worker.task()
    with pytest.raises(Unavailable):
        worker.run(task)
    worker.run(task)
    assert worker.has(one)


class ForbiddenStore(LocalContentStore):
    """A store that may be written to, and not listed, as a bucket may be."""

    def not_put_since(self, moment: datetime) -> Iterator[Sequence[StoredPicture]]:
        raise Fault(f"what is older than {moment} may not be listed")


def test_a_store_that_may_not_be_swept_does_not_end_the_worker(worker: WorkerUnderTest) -> None:
    ownership, store = GenerationOwnership(worker.register, FIRST), ForbiddenStore(worker.settings.data)
    task = SweepTask(worker.settings, worker.index, ownership, store, clock=lambda: worker.now)
    worker.run(task, pause=LOOK_SECONDS)
    task.close()
