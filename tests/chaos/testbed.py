"""Real parts for chaos tests: a broker, an embedded index and workers as child processes that can be killed."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from infra.config.kafka import KafkaSettings
from infra.kafka import create_topics
from infra.local.supervisor import heartbeat_check
from infra.local_state import LOCAL_FETCH_WAIT_MS, LocalState, local_kafka
from infra.qdrant.embedded import channel
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.generations import FIRST, index_folder
from schemas.topics import Topic, all_topics
from tests.chaos.brokers import Broker, kind_of_brokers, run_broker
from tests.chaos.processes import Process, wait_for, wait_until_free

LOOKSTREAM = "lookstream"
"""The program of a worker; the programs of controls take the same words."""
SESSION_MS = 1_000
"""The local broker lets members join after half a session timeout."""


class Testbed:
    """A broker, an embedded index, and as many workers as are started, on a data folder of their own."""

    def __init__(self, folder: Path, broker: Broker, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        (self.data / "run").mkdir(parents=True)
        self._children: list[Process] = []
        self.broker = broker
        self._socket, bootstrap = address_of(index_folder(self.data, FIRST)), broker.bootstrap
        replicas = int(settings.get("LOOKSTREAM_KAFKA_REPLICATION", 1))
        plain = KafkaSettings(
            bootstrap=bootstrap,
            replication=replicas,
            session_timeout_ms=SESSION_MS,
            fetch_wait_ms=LOCAL_FETCH_WAIT_MS,
        )
        self.kafka = local_kafka(plain, bootstrap) if kind_of_brokers() == "local" else plain
        self._environment = _environment(self.data, self.kafka, settings)
        LocalState(os.getpid(), bootstrap, self._socket, ready=True, indexes={FIRST: self._socket}).write(self.data)
        self.index = EmbeddedIndex(self._socket)

    def open(self, topics: Sequence[Topic]) -> "Testbed":
        """Make the topics, and start the embedded index."""
        create_topics(self.kafka, topics)
        self.start_engine()
        return self

    def close(self) -> None:
        """Kill all that runs."""
        self.index.close()
        for child in reversed(self._children):
            child.kill()

    def start(self, name: str, program: str, *words: str, **settings: str) -> Process:
        """Start a module of ours as a program; its log is `name`.log."""
        child = Process(program, words, {**self._environment, **settings}, self.folder / f"{name}.log")
        self._children.append(child)
        return child

    def start_engine(self) -> None:
        """Start the process that owns the index, again if it was killed."""
        wait_until_free(self._socket)
        self.engine = self.start("engine", LOOKSTREAM, "embedded-index", "--socket", str(self._socket))
        wait_for(lambda: channel.is_listening(self._socket), "the embedded index", self.engine)

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
            wait_for(lambda: heartbeat_check(heartbeat)(started), f"the {name}", worker)
        return worker


@contextmanager
def open_testbed(
    folder: Path, topics: Sequence[Topic] | None = None, broker: Broker | None = None, /, **settings: str
) -> Iterator[Testbed]:
    """Open a testbed in `folder`, which is made if it is missing, with all topics or `topics`.

    It starts a broker of the chosen kind, unless a running one is given. All its processes end with the block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with run_broker(folder) if broker is None else nullcontext(broker) as running:
        testbed = Testbed(folder, running, settings)
        try:
            yield testbed.open(topics or all_topics())
        finally:
            testbed.close()


def _environment(data: Path, kafka: KafkaSettings, settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    own = {
        "LOOKSTREAM_DATA": str(data),
        "LOOKSTREAM_ENCODER": "fake",
        "LOOKSTREAM_KAFKA_BOOTSTRAP": str(kafka.bootstrap),
        "LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
        "LOOKSTREAM_KAFKA_FETCH_WAIT_MS": str(kafka.fetch_wait_ms),
        "LOOKSTREAM_KAFKA_MEMBERSHIP": kafka.membership,
    }
    return {**inherited, **own, **settings}
