"""A worker is frozen until another has taken its place, and then continues with its old batch."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.feed import EventWriter, Mix
from tests.chaos.judge import compare, is_caught_up, judge_dead_letters, judge_index
from tests.chaos.processes import Process
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sender import Sender
from tests.chaos.testbed import LOOKSTREAM, SESSION_MS, Testbed, open_testbed

ITEMS = [f"item-{n}" for n in range(48)]
FIRST, LATER = 2, 1
"""Events of each item before the worker is frozen, and while it is."""
MIX = Mix(deleted=0.15, new_picture=1.0)
"""Pictures that are always new keep a worker busy between reading an item and writing it."""
FROZEN_AFTER_SECONDS = (0.05, 0.5)
"""When a worker is frozen after it was given work: probably between the read of an item and its write."""
TAKEOVER_SECONDS = SESSION_MS / 1000 / 2
"""Where the frozen worker had work, it takes longer than this until another has done it."""
QUICK = {"LOOKSTREAM_KAFKA_ASSIGNMENT": "range"}
"""On the local broker another worker takes over in half the time that cooperative assignment takes."""
REJOIN_SECONDS = 1.2
PATIENCE_SECONDS = 30.0


def run(folder: Path, size: Size) -> Report:
    """Fifty times: a worker is frozen at work, another takes over, and the first goes on."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same without the condition on revisions."""
    return _run(folder, size, "tests.chaos.no_revision_check")


def _run(folder: Path, size: Size, program: str) -> Report:
    report, rng = Report(), random.Random(size.seed)
    target, takeovers, rounds, stale = size.of(50), 0, 0, 0
    writer = EventWriter(size.seed, MIX)
    with report.timed(), open_testbed(folder, **QUICK) as testbed:
        sender = Sender(testbed.kafka)
        workers = [testbed.start_worker(f"worker-{n}", program) for n in range(2)]
        while takeovers < target and rounds < 2 * target:
            waited = _round(testbed, sender, writer, workers[rounds % 2], rng.uniform(*FROZEN_AFTER_SECONDS))
            stale += compare(testbed, writer.feed).wrong
            takeovers += waited > TAKEOVER_SECONDS
            rounds += 1
        report.expect("stale overwrites", stale, 0)
        report.expect_at_least("takeovers", takeovers, target)
        _judge(report, testbed, writer, workers)
    report.figures |= {"rounds": rounds, "events": len(writer.feed.events)}
    return report


def _round(testbed: Testbed, sender: Sender, writer: EventWriter, zombie: Process, seconds: float) -> float:
    """Freeze a worker so many seconds after it was given work; how long another takes to do all of it."""
    sender.send([writer.event(item) for _ in range(FIRST) for item in ITEMS])
    time.sleep(seconds)
    zombie.freeze()
    sender.send([writer.event(item) for _ in range(LATER) for item in ITEMS])
    started = time.monotonic()
    while not is_caught_up(testbed, writer.feed) and time.monotonic() - started < PATIENCE_SECONDS:
        time.sleep(0.1)
    waited = time.monotonic() - started
    zombie.thaw()
    time.sleep(REJOIN_SECONDS)
    return waited


def _judge(report: Report, testbed: Testbed, writer: EventWriter, workers: Sequence[Process]) -> None:
    report.expect("workers that ended by themselves", sum(worker.code is not None for worker in workers), 0)
    report.expect("exit codes of the workers", str([worker.end() for worker in workers]), "[0, 0]")
    judge_index(report, testbed, writer.feed)
    judge_dead_letters(report, testbed, writer.feed)


SCENARIO = Scenario(
    name="zombie workers",
    promise="A worker that was frozen until another took its place, 50 times, overwrites nothing newer",
    run=run,
    control=control,
)
