"""Workers get SIGTERM at random times under load."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.feed import write_feed
from tests.chaos.judge import judge_items, outcomes
from tests.chaos.processes import Process
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sender import Sender
from tests.chaos.testbed import open_testbed

LIFE_SECONDS = 0.6
PER_LIFE = 200
"""Events that come in for each worker; it does fewer before it is asked to stop."""
LIMIT_SECONDS = 10.0
DRAIN_SECONDS = 600.0
"""The last worker does nearly all of the 20,000 events, and compares each with all before it."""


def run(folder: Path, size: Size) -> Report:
    """SIGTERM for a hundred workers in turn."""
    return _run(folder, size, lambda worker: worker.end())


def control(folder: Path, size: Size) -> Report:
    """SIGKILL for each instead: uncommitted work is repeated."""
    return _run(folder, size, _kill)


def _kill(worker: Process) -> int:
    worker.kill()
    return 0  # the exit code is not what this control is about


def _run(folder: Path, size: Size, end: Callable[[Process], int]) -> Report:
    report, rng, lives = Report(), random.Random(size.seed), size.of(100)
    feed = write_feed(lives * PER_LIFE, lives * PER_LIFE, size.seed)
    longest, codes = 0.0, set[int]()
    with report.timed(), open_testbed(folder) as testbed:
        sender = Sender(testbed.kafka)
        for part in feed.parts(lives):
            sender.send(part)
            worker = testbed.start_worker()
            time.sleep(rng.uniform(0, LIFE_SECONDS))
            started = time.monotonic()
            codes.add(end(worker))
            longest = max(longest, time.monotonic() - started)
        report.expect("exit code of the last worker", testbed.start_worker("last").drain(DRAIN_SECONDS), 0)
        judge_items(report, testbed, feed)
        again = sum(kinds.total() - 1 for kinds in outcomes(testbed.kafka).values())
    report.expect("exit codes", str(sorted(codes)), "[0]")
    report.expect_at_most("longest end, seconds", round(longest, 2), LIMIT_SECONDS)
    report.expect("records done again", again, 0)
    report.figures |= {"stops": lives, "events": len(feed.events)}
    return report


SCENARIO = Scenario(
    name="SIGTERM",
    promise="A worker that is asked to stop at any of 100 moments under load ends with exit code 0 within 10 s, "
    "and no record is done again",
    run=run,
    control=control,
)
