"""Fifteen minutes of events and searches at once, with faults at random times.

Of two index workers and of two query workers, one each is killed at random. The others run to the end: they must
not hold more memory or more files at the end than at the beginning.

Second answers are forgiven for one batch of each query worker that is killed. The local broker shows, once the
worker's name is taken again, what a transaction had left open (Tansu 0.6.0, DECISIONS.md), and by then the other
query worker has answered those requests. Clients take the first answer to a correlation id.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from infra.config.settings import WorkerSettings
from tests.chaos.bad_records import image_roots, write_bad
from tests.chaos.feed import Feed, Mix, name_bad, write_feed
from tests.chaos.judge import catch_up, judge_items
from tests.chaos.processes import Process
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import as_record, judge_answers, read_answers, start_query, write_request
from tests.chaos.sender import Sender
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed

SECONDS, EVENTS, ITEMS, SEARCHES = 900.0, 100_000, 5_000, 5_000
MIX = Mix(late=0.1, duplicated=0.1, deleted=0.15)
TICK_SECONDS, CHANCE = 5.0, 0.3
"""How often a fault may strike, and how likely it is to."""
QUERY_KILLED = "query worker killed"
SEARCH_MS = 20_000
FROZEN_SECONDS, BURST = 1.5, 20
STUTTERS, STUTTER_SECONDS, BREATH_SECONDS = 10, 0.3, 0.05
"""A slow index: it stands still most of the time for a few seconds."""
WARM_SHARE = 0.2
"""Of the time, before growth is measured: caches fill, and allocators settle."""
LOOK_SECONDS = 2.0
MOST_GROWTH = 1.0
"""Percent a minute."""


def run(folder: Path, size: Size) -> Report:
    """Fifteen minutes, with a fault about every 17 seconds."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same without the condition on revisions."""
    return _run(folder, size, "tests.chaos.no_revision_check")


def _run(folder: Path, size: Size, program: str) -> Report:
    report, searches_sent, seconds = Report(), size.of(SEARCHES), SECONDS * size.share
    feed = write_feed(size.of(EVENTS), size.of(ITEMS), size.seed, MIX)
    requests = [as_record(write_request(n, SEARCH_MS)) for n in range(searches_sent)]
    with report.timed(), open_testbed(folder, LOOKSTREAM_IMAGES_ROOTS=image_roots(folder)) as testbed:
        faulty = SoakSystem(testbed, feed, program)
        events, searches = Sender(testbed.kafka), Sender(testbed.kafka)
        with faulty.watched() as watch, searches.spread(requests, seconds), events.spread(feed.records, seconds):
            struck = _inject_faults(faulty, random.Random(size.seed), seconds)
        report.figures["caught up at the end, seconds"] = catch_up(testbed, feed)
        answers = read_answers(testbed, searches_sent)
        judge_items(report, testbed, feed)
        judge_answers(report, answers, searches_sent, struck[QUERY_KILLED] * WorkerSettings().search_records)
        report.expect("exit codes", str([worker.end() for worker in faulty.workers()]), "[0, 0, 0, 0]")
    for name, growth in watch.growths(seconds * WARM_SHARE).items():
        report.expect_at_most(f"growth of {name}, % a minute", growth, MOST_GROWTH)
    report.figures |= {
        "records": len(feed.records),
        "faults": ", ".join(f"{n} {kind}" for kind, n in struck.items()),
    }
    return report


class SoakSystem:
    """The workers that may be killed, and those that must survive."""

    def __init__(self, testbed: Testbed, feed: Feed, program: str) -> None:
        self._world = testbed
        self._feed = feed
        self._program = program
        self._sender = Sender(testbed.kafka)
        self._index, self._query = self._start_index("killed"), self._start_query("killed")
        self.survivors = {
            "the index worker": self._start_index("alive"),
            "the query worker": self._start_query("alive"),
        }

    def faults(self) -> dict[str, Callable[[], None]]:
        """The faults, by name."""
        return {
            "index worker killed": self._kill_index_worker,
            QUERY_KILLED: self._kill_query_worker,
            "broker frozen": self._freeze_broker,
            "index killed": self._kill_index,
            "index slow": self._slow_index,
            "bad burst": self._send_bad,
        }

    def workers(self) -> Sequence[Process]:
        """The workers that run now."""
        return [self._index, self._query, *self.survivors.values()]

    @contextmanager
    def watched(self) -> Iterator["Watch"]:
        """Sample memory and files of the surviving workers until the block ends."""
        watch, stop = Watch(self.survivors), threading.Event()
        thread = threading.Thread(target=watch.look, args=(stop,), daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            thread.join()

    def _start_index(self, slot: str) -> Process:
        return self._world.start_worker(f"index-{slot}", self._program, LOOKSTREAM_WORKER_SLOT=slot)

    def _start_query(self, slot: str) -> Process:
        return start_query(self._world, name=f"query-{slot}", LOOKSTREAM_WORKER_SLOT=slot)

    def _kill_index_worker(self) -> None:
        self._index.kill()
        self._index = self._start_index("killed")

    def _kill_query_worker(self) -> None:
        self._query.kill()
        self._query = self._start_query("killed")

    def _freeze_broker(self) -> None:
        self._world.broker.freeze()
        time.sleep(FROZEN_SECONDS)
        self._world.broker.thaw()

    def _kill_index(self) -> None:
        self._world.engine.kill()
        self._world.start_engine()

    def _slow_index(self) -> None:
        for _ in range(STUTTERS):
            self._world.engine.freeze()
            time.sleep(STUTTER_SECONDS)
            self._world.engine.thaw()
            time.sleep(BREATH_SECONDS)

    def _send_bad(self) -> None:
        self._sender.send(name_bad(self._feed, write_bad(BURST)))


@dataclass
class Watch:
    """Memory and open files of processes, as time goes by."""

    processes: dict[str, Process]
    minutes: list[float] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def look(self, stop: threading.Event) -> None:
        """Take a sample every few seconds until `stop` is set."""
        started = time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            self.minutes.append((time.monotonic() - started) / 60)
            for name, process in self.processes.items():
                self.samples.setdefault(f"{name}'s memory", []).append(process.resident_mb())
                self.samples.setdefault(f"{name}'s files", []).append(process.open_files())

    def growths(self, warm_seconds: float) -> dict[str, float]:
        """The slope of each after the first seconds, in percent of its mean a minute."""
        first = int(np.searchsorted(self.minutes, warm_seconds / 60))
        minutes = np.array(self.minutes[first:])
        return {name: _slope(minutes, np.array(values[first:])) for name, values in self.samples.items()}


def _slope(minutes: "np.typing.NDArray[np.float64]", values: "np.typing.NDArray[np.float64]") -> float:
    """Of the straight line that fits best, in percent of the mean."""
    return round(100 * float(np.polyfit(minutes, values, 1)[0]) / float(values.mean()), 2)


def _inject_faults(faulty: SoakSystem, rng: random.Random, seconds: float) -> Counter[str]:
    """Inject faults for `seconds`: all kinds, in a new random order each time."""
    started, struck, faults = time.monotonic(), Counter[str](), faulty.faults()
    deck: list[str] = []
    while (passed := time.monotonic() - started) < seconds:
        time.sleep(TICK_SECONDS - passed % TICK_SECONDS)
        if rng.random() > CHANCE:
            continue
        deck = deck or rng.sample(list(faults), len(faults))
        kind = deck.pop()
        faults[kind]()
        struck[kind] += 1
    return struck


SCENARIO = Scenario(
    name="soak",
    promise="Fifteen minutes of 100,000 events and 5,000 searches with a random fault at any fifth second: nothing "
    "wrong, nothing lost, one answer for each client, memory and open files of the workers flat to 1 % a minute",
    run=run,
    control=control,
)
