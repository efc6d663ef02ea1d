"""A whole system whose parts can be frozen and replaced, in use, with a Prometheus that reads them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.request import urlopen

from infra.kafka import EventSink, Record
from infra.local.ports import LOOPBACK, find_free_port, is_listening
from tests.alerts.quick import quickened
from tests.chaos.asking import ITEMS, as_record, start_query, write_request
from tests.chaos.feed import Author
from tests.chaos.parts import LOOKSTREAM, World, open_world
from tests.chaos.processes import Process, wait_for
from tests.infra.deploy.prometheus import RULES_FILE, Alert, alerts, tell_targets, watching
from tests.outgoing import outgoing

TICK_SECONDS = 0.1
"""One item, one search and one HTTP request in each."""
DEADLINE_MS = 5_000
WORKERS = ("index", "query")


@dataclass
class Ground:
    """A system in use: its parts by name, the port of each one's metrics, and the Prometheus that reads them."""

    world: World
    folder: Path
    prometheus: str = ""
    parts: dict[str, Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    mixed: tuple[Iterator[Record], int] | None = None

    def start(self, name: str, program: str = LOOKSTREAM) -> None:
        """Start the part of this name: index, query, gateway or canary; in the place of the one before."""
        port = self.ports.setdefault(name, find_free_port(0))
        tells = {"LOOKSTREAM_METRICS_PORT": str(port)}
        match name:
            case "index":
                self.parts[name] = self.world.start_worker(name, program, ready=True, **tells)
            case "query":
                self.parts[name] = start_query(self.world, program, name=name, ready=True, **tells)
            case "gateway":
                self.parts[name] = self.world.start(name, program, "gateway", "--port", str(port))
            case _:
                words = ("canary", "--every", "2", "--queries", "4")
                self.parts[name] = self.world.start(name, program, *words, **tells)
        wait_for(lambda: is_listening((LOOPBACK, port)), name, self.parts[name])

    @contextmanager
    def replaced(self, name: str, program: str) -> Iterator[None]:
        """Another program in the place of a part, until the block ends."""
        self.parts[name].end()
        self.start(name, program)
        yield
        self.parts[name].end()
        self.start(name)

    @contextmanager
    def frozen(self, part: Process) -> Iterator[None]:
        """A part that stands still, until the block ends."""
        part.freeze()
        try:
            yield
        finally:
            part.thaw()

    @contextmanager
    def mixed_in(self, records: Iterator[Record], every: int) -> Iterator[None]:
        """One of these among every so many of the good items, until the block ends."""
        self.mixed = records, every
        yield
        self.mixed = None

    def read(self, *more: int) -> None:
        """Have Prometheus read all parts, and what tells its metrics at these other ports."""
        tell_targets(self.folder / "prometheus", [f"{LOOPBACK}:{port}" for port in (*self.ports.values(), *more)])

    def alerts(self) -> list[Alert]:
        """Those that are pending or firing."""
        return alerts(self.prometheus)


@contextmanager
def open_ground(folder: Path, settings: Mapping[str, str]) -> Iterator[Ground]:
    """A system in use, in `folder`, with these settings; nothing of it runs on afterwards."""
    rules = folder / "rules.yaml"
    with ExitStack() as stack:
        ground = Ground(stack.enter_context(open_world(folder / "world", **settings)), folder)
        rules.write_text(quickened(RULES_FILE.read_text()))
        for name in (*WORKERS, "gateway"):
            ground.start(name)
        stack.enter_context(in_use(ground))
        ground.start("canary")
        ground.prometheus = stack.enter_context(watching([], folder / "prometheus", rules))
        ground.read()
        yield ground


@contextmanager
def in_use(ground: Ground) -> Iterator[None]:
    """Items, searches and HTTP requests, at a rate that asks little of it, until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=_use, args=(ground, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _use(ground: Ground, over: threading.Event) -> None:
    author = Author(seed=1)
    with closing(EventSink(ground.world.kafka)) as sink:
        for number in count():
            sink.send_record(outgoing(author.event(f"item-{number % ITEMS}")))
            if number >= ITEMS:  # the items are there by then
                sink.send_record(outgoing(as_record(write_request(number, DEADLINE_MS))))
            if (mixed := ground.mixed) and number % mixed[1] == 0:
                sink.send_record(outgoing(next(mixed[0])))
            with suppress(OSError):
                urlopen(f"http://{LOOPBACK}:{ground.ports['gateway']}/readyz", timeout=TICK_SECONDS).close()
            if over.wait(TICK_SECONDS):
                return
