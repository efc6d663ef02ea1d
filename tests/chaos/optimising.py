"""The embedded index is optimised again and again during writes, and its processes are killed meanwhile."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np

from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Patch, Point, SearchPlan, Vector
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.storage import current_shard
from schemas.failures import Unavailable
from tests.chaos.processes import Process, family, wait_for
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size

SERVER, FORGETFUL = "tests.chaos.engine_server", "tests.chaos.no_replay_server"
SIZE, POINTS, BATCH, FILL = 1_024, 3_000, 8, 256
"""The engine builds no graph for less than 10 MB of vectors: 2,500 of this size."""
KILL_SECONDS = 4.0
NOTICE_SECONDS = 1.0
"""The owner ends soon after the child that answers was killed."""
ROUND_SECONDS, PATIENCE_SECONDS = 120.0, 30.0
PAUSE_SECONDS = 0.02


@dataclass
class Model:
    """The expected index: the version of each point and the seed of its vector; None after a removal."""

    points: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    version: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    slowest: dict[str, float] = field(default_factory=dict)
    """The longest call of each kind, in seconds, while nothing was killed."""

    def next_version(self) -> int:
        """A version above all before."""
        self.version += 1
        return self.version


def identity(number: int) -> str:
    """The id of the point of this number."""
    return str(UUID(int=number + 1))


def vector_of(seed: int) -> Vector:
    """A vector in random direction."""
    return np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)


class Writer(threading.Thread):
    """Writes, changes and removes points without a pause; repeats each call until it is acknowledged."""

    def __init__(self, client: EmbeddedIndex, model: Model, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.model = model
        self._chance = random.Random(seed)
        self.stop = threading.Event()
        self.timed = threading.Event()

    def run(self) -> None:
        """Write until `stop` is set."""
        while not self.stop.is_set():
            numbers = self._chance.sample(range(POINTS), BATCH)
            with self.model.lock:
                what = self._chance.choices(("upsert", "patch", "remove", "search"), (5, 3, 1, 3))[0]
                started = time.monotonic()
                getattr(self, what)(numbers)
                took = time.monotonic() - started
            if self.timed.is_set():
                self.model.slowest[what] = max(took, self.model.slowest.get(what, 0.0))
            time.sleep(PAUSE_SECONDS)

    def upsert(self, numbers: list[int]) -> None:
        """Write points again."""
        version = self.model.next_version()
        points = [_point(number, version) for number in numbers]
        _write_until_acknowledged(lambda: self._client.upsert(points))
        self.model.points |= {number: (version, version * POINTS + number) for number in numbers}

    def patch(self, numbers: list[int]) -> None:
        """Change payloads of existing points."""
        version, there = self.model.next_version(), [n for n in numbers if self.model.points.get(n)]
        patches = [Patch(identity(n), {"version": version}) for n in there]
        _write_until_acknowledged(lambda: self._client.patch(patches))
        for number in there:
            if (known := self.model.points[number]) is not None:
                self.model.points[number] = version, known[1]

    def remove(self, numbers: list[int]) -> None:
        """Remove points."""
        version = self.model.next_version()
        _write_until_acknowledged(lambda: self._client.remove({identity(n): version for n in numbers}))
        self.model.points |= dict.fromkeys(numbers)

    def search(self, numbers: list[int]) -> None:
        """Search for a vector."""
        with suppress(Unavailable):
            self._client.search([SearchPlan(vector_of(numbers[0]), "t", included_keys=())])


def run(folder: Path, size: Size) -> Report:
    """Optimise forty times under writes, and in three of four kill a process of the index at a random moment."""
    return _run(folder, size, SERVER)


def control(folder: Path, size: Size) -> Report:
    """The same with an optimised copy that lacks the writes made meanwhile."""
    return _run(folder, size, FORGETFUL)


def _run(folder: Path, size: Size, program: str) -> Report:
    report, rng, model = Report(), random.Random(size.seed), Model()
    data, wrong = folder / "data", 0
    socket = address_of(data / "index")
    rounds = size.of(40, 2)
    index = OwnerProcess(program, (str(data), str(socket), "0"), folder / "log")
    client, other = (EmbeddedIndex(socket, PATIENCE_SECONDS) for _ in range(2))
    with report.timed():
        index.start(client)
        writer = Writer(other, model, size.seed)
        with _writing(writer):
            for turn in range(rounds):
                _fill(writer)
                if turn % 4 == 0:
                    _optimise(client, data, writer)
                else:
                    client.optimise()
                    index.kill_one(rng, client)
                wrong += _wrong(client, model)
    index.process.kill()
    report.expect("points that are not what was acknowledged last", wrong, 0)
    report.figures |= {"rounds": rounds, "kills": index.kills, "changes": model.version}
    report.figures |= {f"longest {what}, ms": round(s * 1000) for what, s in sorted(model.slowest.items())}
    return report


class OwnerProcess:
    """The process that owns the index; it is started again when it has died."""

    def __init__(self, program: str, words: tuple[str, ...], log: Path) -> None:
        self._start = partial(Process, program, words, os.environ, log)
        self.kills = 0

    def start(self, client: EmbeddedIndex) -> None:
        """Start it and wait until it answers."""
        self.process = self._start()
        wait_for(lambda: _opened(client), "the index", self.process)

    def kill_one(self, rng: random.Random, client: EmbeddedIndex) -> None:
        """Some time later kill it, or one of its children."""
        time.sleep(rng.uniform(0, KILL_SECONDS))
        with suppress(ProcessLookupError):  # a child may have done its work meanwhile
            os.kill(rng.choice(family(self.process.pid)), signal.SIGKILL)
        self.kills += 1
        time.sleep(NOTICE_SECONDS)
        wait_for(lambda: self.process.code is not None or _opened(client), "the index, or its end")
        if self.process.code is not None:
            self.start(client)


@contextmanager
def _writing(writer: Writer) -> Iterator[None]:
    writer.start()
    try:
        yield
    finally:
        writer.stop.set()
        writer.join()


def _optimise(client: EmbeddedIndex, data: Path, writer: Writer) -> None:
    """Let it optimise undisturbed; another shard must count afterwards."""
    before = current_shard(data / "index")
    writer.timed.set()
    client.optimise()
    wait_for(lambda: current_shard(data / "index") != before, "an optimised shard", seconds=ROUND_SECONDS)
    writer.timed.clear()


def _fill(writer: Writer) -> None:
    """Write all points again, so that there is something to optimise."""
    for first in range(0, POINTS, FILL):
        with writer.model.lock:
            writer.upsert(list(range(first, min(first + FILL, POINTS))))


def _point(number: int, version: int) -> Point:
    payload = {"item": f"t:{number}", "item_id": str(number), "tenant": "t", "version": version, "state": LIVE}
    return Point(identity(number), payload, vector_of(version * POINTS + number))


def _opened(client: EmbeddedIndex) -> bool:
    try:
        client.open("chaos", SIZE)
    except Unavailable:
        return False
    return True


def _write_until_acknowledged(write: Callable[[], None]) -> None:
    """Write until it is acknowledged: each write carries its condition, so it may be sent again."""
    until = time.monotonic() + ROUND_SECONDS
    while True:
        try:
            return write()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE_SECONDS)


def _wrong(client: EmbeddedIndex, model: Model) -> int:
    """The number of points that differ from their last acknowledged write."""
    with model.lock:
        ids = {number: identity(number) for number in model.points}
        stored = client.payloads(list(ids.values()), ["version"])
        vectors = client.vectors(list(ids.values()))
        return sum(
            stored.get(ids[number], {}).get("version") != known[0] or not _is(vectors.get(ids[number]), known[1])
            if known
            else ids[number] in stored
            for number, known in model.points.items()
        )


def _is(vector: Vector | None, seed: int) -> bool:
    return vector is not None and np.allclose(vector, vector_of(seed), atol=1e-6)


SCENARIO = Scenario(
    name="index optimised",
    promise="The index is optimised 40 times under writes, and its processes are killed 30 times at that: nothing "
    "acknowledged is lost",
    run=run,
    control=control,
    short=0.05,
    brokers=NO_BROKER,
)
