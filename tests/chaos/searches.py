"""Searches: the worker dies at every step of its transactions, or wakes up too late; each has one answer."""

import random
import time
from collections import Counter
from pathlib import Path

from tests.chaos.commit_steps import STEPS
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import (
    PICTURED,
    ask_all,
    judge_answers,
    read_answers,
    searchable,
    start_query,
    write_request,
)
from tests.chaos.testbed import LOOKSTREAM

STALE_MS, FRESH_MS, FROZEN_SECONDS = 2_000, 60_000, 15.0


def run(folder: Path, size: Size) -> Report:
    """Thirty workers die, each at a step of its own; the last one finishes."""
    return _run(folder, size)


def control(folder: Path, size: Size) -> Report:
    """The same with answers first and offsets afterwards."""
    return _run(folder, size, LOOKSTREAM_WORKER_SEARCH_DELIVERY="at_least_once")


def _run(folder: Path, size: Size, **settings: str) -> Report:
    report, rng = Report(), random.Random(size.seed)
    lives, count = size.of(30, least=len(STEPS)), size.of(5_000)
    requests = [write_request(n, FRESH_MS) for n in range(count)]
    with report.timed(), searchable(folder, **settings) as testbed:
        for life in range(lives):
            ask_all(testbed.kafka, requests[life::lives])
            words = (STEPS[life % len(STEPS)], str(rng.randrange(6)))
            worker = start_query(testbed, "tests.chaos.crash_in_commit", *words, ready=False)
            worker.wait(60)
        worker = start_query(testbed)
        answers = read_answers(testbed, count)
        report.expect("exit code of the last worker", worker.end(), 0)
    judge_answers(report, answers, count)
    report.figures |= {"requests": count, "kills": lives}
    return report


def run_deadlines(folder: Path, size: Size) -> Report:
    """Half of the requests are past their deadlines when a frozen worker comes back to them."""
    return _run_deadlines(folder, size, LOOKSTREAM)


def control_deadlines(folder: Path, size: Size) -> Report:
    """The same with a worker that does not look at deadlines."""
    return _run_deadlines(folder, size, "tests.chaos.no_deadlines")


def _run_deadlines(folder: Path, size: Size, program: str) -> Report:
    report, count = Report(), size.of(2_000, least=40)
    requests = [write_request(n, STALE_MS if n % 2 else FRESH_MS, PICTURED) for n in range(count)]
    with report.timed(), searchable(folder) as testbed:
        worker = start_query(testbed, program)
        worker.freeze()
        ask_all(testbed.kafka, requests)
        time.sleep(max(FROZEN_SECONDS * size.share, STALE_MS / 1000 + 1))
        worker.thaw()
        answers = read_answers(testbed, count)
        worker.end()
    judge_answers(report, answers, count)
    stale = Counter(result.status for result in answers if int(result.request_id[1:]) % 2)
    fresh = Counter(result.status for result in answers if not int(result.request_id[1:]) % 2)
    report.expect("stale ones that were looked at", count // 2 - stale["expired"], 0)
    report.expect("fresh ones that were not answered", (count + 1) // 2 - fresh["ok"] - fresh["no_match"], 0)
    return report


SCENARIOS = (
    Scenario(
        name="query worker killed",
        promise="5,000 searches over 30 kill -9 at every step of a transaction: each has exactly one answer",
        run=run,
        control=control,
        short=0.04,
    ),
    Scenario(
        name="deadlines",
        promise="2,000 searches, half of them stale after 15 s: no stale one is looked at, each is answered once",
        run=run_deadlines,
        control=control_deadlines,
    ),
)
