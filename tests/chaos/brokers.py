"""The broker of a chaos test: the local one, or a node of Apache Kafka, as a process that is frozen or killed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, Protocol

from infra.ports import LOOPBACK, accepts, free_port
from tests.chaos.processes import Process, wait_for

Kind = Literal["local", "apache"]
KINDS: tuple[Kind, ...] = ("local", "apache")
_chosen: ContextVar[Kind] = ContextVar("chosen", default="local")
JARS = os.environ.get("CHAOS_JARS", "/tmp/chaos/kafka/jars")


class Broker(Protocol):
    """One broker on its own."""

    bootstrap: str

    def start(self) -> None:
        """Start it, again if it was killed, and wait until it listens."""

    def freeze(self) -> None:
        """Stop it in its tracks."""

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""


@contextmanager
def brokers_of(kind: Kind) -> Iterator[None]:
    """Have every chaos test inside use brokers of this kind."""
    token = _chosen.set(kind)
    try:
        yield
    finally:
        _chosen.reset(token)


def kind_of_brokers() -> Kind:
    """The kind of brokers that chaos tests use now."""
    return _chosen.get()


def new_broker(folder: Path) -> Broker:
    """A broker of the chosen kind, not started yet, with its log and its data in `folder`."""
    return ApacheBroker(folder) if kind_of_brokers() == "apache" else LocalBroker(folder)


class LocalBroker:
    """The broker of `lookstream up`; its topics are in memory, and gone when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port(0)
        self.bootstrap = f"{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Start it."""
        self._process = Process("tests.chaos.broker", [str(self._port)], os.environ, self._folder / "broker.log")
        wait_for(lambda: accepts((LOOPBACK, self._port)), "the broker", self._process)

    def freeze(self) -> None:
        """Stop it in its tracks."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self._process.thaw()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()


class ApacheBroker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "broker"
        self.folder.mkdir(parents=True)
        self.port, controller = free_port(0), free_port(0)
        self.bootstrap = f"{LOOPBACK}:{self.port}"
        self._file = self.folder / "server.properties"
        self._file.write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
log.dirs={self.folder}/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=500
group.consumer.heartbeat.interval.ms=500
group.consumer.min.heartbeat.interval.ms=100
auto.create.topics.enable=false
""")
        self._format()

    def _java(self, *words: str) -> list[str]:
        return [
            "java",
            "-Xmx384m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            f"{JARS}/*",
            *words,
        ]

    def _format(self) -> None:
        subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self._file)),
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        log = (self.folder / "broker.log").open("ab")
        self.process = subprocess.Popen(self._java("kafka.Kafka", str(self._file)), stdout=log, stderr=log)
        wait_for(lambda: accepts((LOOPBACK, self.port)), "the broker")

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
