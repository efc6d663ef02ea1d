"""The disk of the embedded engine fills up, again and again."""

from contextlib import suppress
from pathlib import Path

from infra.qdrant.contract import SearchPlan
from infra.qdrant.embedded.channel import address_of, is_listening
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.owner_process import MIN_FREE
from schemas.failures import Unavailable
from tests.chaos.disk import MEGABYTE, Disk, open_disk
from tests.chaos.engine_writer import FINGERPRINT, SIZE, identity, point, vector_of
from tests.chaos.processes import Process, wait_for, wait_until_free
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size

DISK = 640 * MEGABYTE
ROOM = 4 * MEGABYTE
"""What the engine may still write before its guard must stop it."""
BATCH = 256
TOO_MANY = 400
"""Batches that fit into no such room: half a kilobyte of numbers each point, and more for its payload."""
PAGE = 1_024


class Engine:
    """An engine on a disk, and a client that remembers the acknowledged points."""

    def __init__(self, disk: Disk, log: Path, min_free: int) -> None:
        self.disk = disk
        self._log, self._min_free = log, min_free
        self._socket = address_of(disk.folder / "index")
        self.index = EmbeddedIndex(self._socket)
        self.acknowledged = 0

    def start(self) -> None:
        """Start its process, and make or load the index."""
        words = [str(self.disk.folder), str(self._socket), str(self._min_free)]
        wait_until_free(self._socket)
        self.process = Process("tests.chaos.engine_server", words, {}, self._log)
        wait_for(lambda: is_listening(self._socket), "the engine", self.process)
        self.index.open(FINGERPRINT, SIZE)

    def write_until_refused(self) -> bool:
        """Write batches of new points; whether that was refused at last."""
        for _ in range(TOO_MANY):
            try:
                self.index.upsert([point(self.acknowledged + n) for n in range(BATCH)])
            except Unavailable:
                return True
            self.acknowledged += BATCH
        return False

    def finds(self, number: int) -> bool:
        """Whether a search for the vector of a point finds it first."""
        [hits] = self.index.search([SearchPlan(vector_of(number), "t", limit=1)])
        return [hit.id for hit in hits] == [identity(number)]

    def lost(self) -> int:
        """How many acknowledged points are not there."""
        pages = [range(first, min(first + PAGE, self.acknowledged)) for first in range(0, self.acknowledged, PAGE)]
        return sum(len(page) - len(self.index.vectors([identity(n) for n in page])) for page in pages)


def run(folder: Path, size: Size) -> Report:
    """Twenty times: little room is left, the guard refuses writes, searches go on, room is made, writes go on."""
    report, rounds = Report(), size.of(20)
    with report.timed(), open_disk(folder / "disk", DISK) as disk:
        min_free = disk.free - ROOM if disk.why_not else MIN_FREE
        engine = Engine(disk, folder / "engine.log", min_free)
        engine.start()
        refused = answered = resumed = 0
        try:
            for _ in range(rounds):
                resumed += _write_one(engine)
                disk.fill(min_free + ROOM)
                refused += engine.write_until_refused() and engine.process.code is None
                answered += engine.finds(engine.acknowledged - 1)
                disk.clear()
            _judge(report, engine)
        finally:
            engine.process.kill()
    report.expect("rounds in which the guard stopped writes, and the engine lived", refused, rounds)
    report.expect("rounds in which a search was answered", answered, rounds)
    report.expect("rounds in which writes went on", resumed, rounds)
    report.figures |= {"disk": _described(disk), "points acknowledged": engine.acknowledged}
    return report


def control(folder: Path, size: Size) -> Report:
    """The same without the guard: the engine dies by SIGBUS."""
    report = Report()
    with report.timed(), open_disk(folder / "disk", DISK) as disk:
        engine = Engine(disk, folder / "engine.log", 0)
        engine.start()
        try:
            if not disk.why_not:
                disk.fill(ROOM)
            report.expect("writes were refused", engine.write_until_refused(), True)
            with suppress(TimeoutError):
                engine.process.wait(5)
            code = engine.process.code
            report.expect("exit code of the engine", "none: it lives" if code is None else code, "none: it lives")
        finally:
            engine.process.kill()
    report.figures["disk"] = _described(disk)
    return report


def _write_one(engine: Engine) -> bool:
    try:
        engine.index.upsert([point(engine.acknowledged)])
    except Unavailable:
        return False
    engine.acknowledged += 1
    return True


def _judge(report: Report, engine: Engine) -> None:
    """Nothing may be lost: not now, and not after a kill."""
    report.expect("points lost", engine.lost(), 0)
    engine.process.kill()
    engine.start()
    report.expect("points lost after a kill -9", engine.lost(), 0)


def _described(disk: Disk) -> str:
    if disk.why_not:
        return f"not mounted ({disk.why_not}): the guard is set above what a real disk has left"
    return f"{DISK // MEGABYTE} MB in memory, mounted"


SCENARIO = Scenario(
    name="disk full",
    promise="A full disk, 20 times: the guard stops writes before the engine dies, searches go on, and nothing "
    "that was acknowledged is lost",
    run=run,
    control=control,
    brokers=NO_BROKER,
)
