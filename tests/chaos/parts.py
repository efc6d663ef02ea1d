"""Real parts for chaos tests: a broker, an embedded index and workers as child processes that can be killed."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.generations import FIRST
from infra.kafka import create_topics
from infra.ports import LOOPBACK, accepts, free_port
from infra.qdrant.embedded import EmbeddedIndex
from infra.running import LOCAL_FETCH_WAIT_MS, Running, index_key
from infra.settings import Kafka
from infra.supervisor import beat_since
from schemas.topics import all_topics
from tests.chaos.nursery import spawn

LOOKSTREAM = "lookstream"
"""The program of a worker; the programs of controls take the same words."""
SESSION_MS = 1_000
"""The local broker lets members join after half a session timeout."""
READY_SECONDS = 60.0


class Process:
    """A child process with a log. It dies with this one, however that ends."""

    def __init__(self, program: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._child = spawn(program, words, environment, log)
        self.log = log

    @property
    def code(self) -> int | None:
        """Its exit code, or minus the signal that killed it; none while it runs."""
        return self._child.exitcode

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child.pid is not None
        return self._child.pid

    def resident_mb(self) -> float:
        """Resident memory, in MB, of the largest among it and its children."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family(self.pid)]
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def open_files(self) -> int:
        """How many file descriptors the one among it and its children holds that holds most."""
        return max(len(os.listdir(f"/proc/{pid}/fd")) for pid in family(self.pid))

    def signal(self, what: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self.code is None:
            os.kill(self.pid, what)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._child.kill()
        self._child.join()

    def freeze(self) -> None:
        """Stop it and its children in their tracks."""
        for pid in family(self.pid):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on as if nothing had happened."""
        for pid in family(self.pid):
            os.kill(pid, signal.SIGCONT)

    def end(self, seconds: float = 30) -> int:
        """Ask it to stop; its exit code. Raises TimeoutError when it takes longer than `seconds`."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def drain(self, seconds: float = 120) -> int:
        """Have a worker finish what is queued and end; its exit code."""
        self.signal(signal.SIGUSR1)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Wait until it ends; its exit code."""
        self._child.join(seconds)
        if self.code is None:
            raise TimeoutError(f"process {self._child.pid} ran on after {seconds} s\n{self.last_words()}")
        return self.code

    def last_words(self, length: int = 2_000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-length:] if self.log.exists() else "(no log)"


class World:
    """A broker, an embedded index, and as many workers as are started, on a data folder of their own."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._logs = folder
        self.data = folder / "data"
        (self.data / "run").mkdir(parents=True)
        self._children: list[Process] = []
        self._broker_port, self._engine_port = free_port(0), free_port(0)
        bootstrap = f"{LOOPBACK}:{self._broker_port}"
        self.kafka = Kafka(bootstrap=bootstrap, session_timeout_ms=SESSION_MS, fetch_wait_ms=LOCAL_FETCH_WAIT_MS)
        self._environment = _environment(self.data, self.kafka, settings)
        index = LOOPBACK, self._engine_port
        Running(os.getpid(), bootstrap, index, ready=True, indexes={FIRST: index}).write(self.data)
        self.index = EmbeddedIndex((LOOPBACK, self._engine_port), index_key(self.data))

    def open(self) -> "World":
        """Start the broker and the embedded index, and make the topics."""
        self.broker = self.start("broker", "tests.chaos.broker", str(self._broker_port))
        wait_for(lambda: accepts((LOOPBACK, self._broker_port)), "the broker")
        create_topics(self.kafka, all_topics())
        self.start_engine()
        return self

    def close(self) -> None:
        """Kill all that runs."""
        self.index.close()
        for child in reversed(self._children):
            child.kill()

    def start(self, name: str, program: str, *words: str, **settings: str) -> Process:
        """Start a module of ours as a program; its log is `name`.log."""
        child = Process(program, words, {**self._environment, **settings}, self._logs / f"{name}.log")
        self._children.append(child)
        return child

    def start_engine(self) -> None:
        """Start the process that owns the index, again if it was killed."""
        wait_until_free((LOOPBACK, self._engine_port))
        self.engine = self.start("engine", LOOKSTREAM, "embedded-index", "--port", str(self._engine_port))
        wait_for(lambda: accepts((LOOPBACK, self._engine_port)), "the embedded index", self.engine)

    def start_worker(
        self, name: str = "worker", program: str = LOOKSTREAM, *, ready: bool = True, **settings: str
    ) -> Process:
        """Start an index worker and, if `ready`, wait until its group has given it work.

        `program` is a module that takes the words of `lookstream`.
        """
        heartbeat = self.data / "run" / f"{name}.alive"
        started = time.time()
        worker = self.start(name, program, "worker", "index", "--heartbeat", str(heartbeat), **settings)
        if ready:
            wait_for(lambda: beat_since(heartbeat)(started), f"the {name}", worker)
        return worker


@contextmanager
def open_world(folder: Path, **settings: str) -> Iterator[World]:
    """A world in `folder`, made if need be; nothing of it runs on afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, settings)
    try:
        yield world.open()
    finally:
        world.close()


def family(pid: int) -> list[int]:
    """A process and all its descendants, the eldest first."""
    found = [pid]
    for one in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    return found


def wait_for(
    condition: Callable[[], bool], what: str, child: Process | None = None, seconds: float = READY_SECONDS
) -> None:
    """Wait until something holds. Raises TimeoutError when it takes too long, or when `child` ends first."""
    until = time.monotonic() + seconds
    while not condition():
        ended = child is not None and child.code is not None
        if ended or time.monotonic() > until:
            words = child.last_words() if child else ""
            how = f"it ended with exit code {child.code}" if child and ended else f"not in {seconds:.0f} s"
            raise TimeoutError(f"waited for {what}: {how}\n{words}")
        time.sleep(0.02)


def wait_until_free(address: tuple[str, int]) -> None:
    """Wait until nobody listens there: the children of a process that was killed outlive it for a moment."""
    wait_for(lambda: not accepts(address), f"{address} to be free")


def _environment(data: Path, kafka: Kafka, settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    own = {
        "LOOKSTREAM_DATA": str(data),
        "LOOKSTREAM_ENCODER": "fake",
        "LOOKSTREAM_KAFKA_BOOTSTRAP": str(kafka.bootstrap),
        "LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
        "LOOKSTREAM_KAFKA_FETCH_WAIT_MS": str(kafka.fetch_wait_ms),
    }
    return {**inherited, **own, **settings}
