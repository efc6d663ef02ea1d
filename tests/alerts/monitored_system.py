"""A whole system under load whose parts can be frozen and replaced, with a Prometheus that scrapes them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.request import urlopen

from infra.kafka import EventSink, Record
from infra.local.ports import LOOPBACK, find_free_port, is_listening
from tests.alerts.shortened_rules import shorten_rules
from tests.chaos.feed import EventWriter
from tests.chaos.processes import Process, wait_for
from tests.chaos.search_requests import ITEMS, as_record, start_query, write_request
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed
from tests.infra.deploy.prometheus import RULES_FILE, Alert, alerts, run_prometheus, write_targets
from tests.outgoing_record import to_outgoing

TICK_SECONDS = 0.1
"""In each tick one item, one search and one HTTP request are sent."""
DEADLINE_MS = 5_000
WORKERS = ("index", "query")


@dataclass
class MonitoredSystem:
    """A system under load: its parts and their metrics ports by name, and the Prometheus that scrapes them."""

    testbed: Testbed
    folder: Path
    prometheus: str = ""
    parts: dict[str, Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    mixed: tuple[Iterator[Record], int] | None = None

    def start(self, name: str, program: str = LOOKSTREAM) -> None:
        """Start the part of this name (index, query, gateway or canary), in place of an earlier one."""
        port = self.ports.setdefault(name, find_free_port(0))
        metrics_setting = {"LOOKSTREAM_METRICS_PORT": str(port)}
        match name:
            case "index":
                self.parts[name] = self.testbed.start_worker(name, program, ready=True, **metrics_setting)
            case "query":
                self.parts[name] = start_query(self.testbed, program, name=name, ready=True, **metrics_setting)
            case "gateway":
                self.parts[name] = self.testbed.start(name, program, "gateway", "--port", str(port))
            case _:
                words = ("canary", "--every", "2", "--queries", "4")
                self.parts[name] = self.testbed.start(name, program, *words, **metrics_setting)
        wait_for(lambda: is_listening((LOOPBACK, port)), name, self.parts[name])

    @contextmanager
    def replaced(self, name: str, program: str) -> Iterator[None]:
        """Run another program in place of a part until the block ends."""
        self.parts[name].end()
        self.start(name, program)
        yield
        self.parts[name].end()
        self.start(name)

    @contextmanager
    def frozen(self, part: Process) -> Iterator[None]:
        """Freeze a part until the block ends."""
        part.freeze()
        try:
            yield
        finally:
            part.thaw()

    @contextmanager
    def mixed_in(self, records: Iterator[Record], every: int) -> Iterator[None]:
        """Mix one of `records` into every `every` good items until the block ends."""
        self.mixed = records, every
        yield
        self.mixed = None

    def read(self, *more: int) -> None:
        """Have Prometheus scrape all parts, and the exporters at these other ports."""
        write_targets(self.folder / "prometheus", [f"{LOOPBACK}:{port}" for port in (*self.ports.values(), *more)])

    def alerts(self) -> list[Alert]:
        """Those that are pending or firing."""
        return alerts(self.prometheus)


@contextmanager
def open_monitored_system(folder: Path, settings: Mapping[str, str]) -> Iterator[MonitoredSystem]:
    """Open a system under load in `folder`; all its processes end with the block."""
    rules = folder / "rules.yaml"
    with ExitStack() as stack:
        system = MonitoredSystem(stack.enter_context(open_testbed(folder / "world", **settings)), folder)
        rules.write_text(shorten_rules(RULES_FILE.read_text()))
        for name in (*WORKERS, "gateway"):
            system.start(name)
        stack.enter_context(in_use(system))
        system.start("canary")
        system.prometheus = stack.enter_context(run_prometheus([], folder / "prometheus", rules))
        system.read()
        yield system


@contextmanager
def in_use(system: MonitoredSystem) -> Iterator[None]:
    """Send items, searches and HTTP requests at a low rate until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_use, args=(system, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _use(system: MonitoredSystem, stop: threading.Event) -> None:
    writer = EventWriter(seed=1)
    with closing(EventSink(system.testbed.kafka)) as sink:
        for number in count():
            sink.send_record(to_outgoing(writer.event(f"item-{number % ITEMS}")))
            if number >= ITEMS:  # the items are there by then
                sink.send_record(to_outgoing(as_record(write_request(number, DEADLINE_MS))))
            if (mixed := system.mixed) and number % mixed[1] == 0:
                sink.send_record(to_outgoing(next(mixed[0])))
            with suppress(OSError):
                urlopen(f"http://{LOOPBACK}:{system.ports['gateway']}/readyz", timeout=TICK_SECONDS).close()
            if stop.wait(TICK_SECONDS):
                return
