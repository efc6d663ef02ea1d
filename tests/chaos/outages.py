"""The index and the broker are frozen or killed while events come in."""

import random
import time
from pathlib import Path

from infra.kafka import TopicReader
from infra.local_state import LOCAL_SESSION_MS
from schemas.topics import ITEM_OUTCOMES
from tests.chaos.brokers import kind_of_brokers
from tests.chaos.feed import Feed, Mix, write_feed
from tests.chaos.judge import PATIENCE_SECONDS, catch_up, judge_items
from tests.chaos.processes import Process
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import SupervisedWorker, as_record, judge_answers, read_answers, write_request
from tests.chaos.sender import Sender
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed

HASTY = "tests.chaos.commit_before_write"
MIX = Mix(late=0.1, duplicated=0.1, deleted=0.15)
PER_SECOND = 100
"""Events sent while the index is frozen: the queue must be processed within CATCH_UP_SECONDS."""
CATCH_UP_SECONDS = 30.0
AGAIN_SECONDS = 10.0
"""How soon after a freeze of the broker work on its queue must begin; how long it takes is not limited."""
PATIENT = {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(LOCAL_SESSION_MS)}
"""The session timeout of `lookstream up`: a worker stays a member when the broker stops for a second."""
SEARCH_MS = 20_000
"""The deadline of searches: those that wait for a frozen broker longer than that are answered `expired`."""


def index_run(folder: Path, size: Size) -> Report:
    """Freeze the index for a minute, then kill it five times, once together with the worker."""
    return _index_run(folder, size, LOOKSTREAM)


def index_control(folder: Path, size: Size) -> Report:
    """The same with a worker that commits before it writes."""
    return _index_run(folder, size, HASTY)


def broker_run(folder: Path, size: Size) -> Report:
    """Freeze the broker twenty times for a second and once for 90, and kill the worker twice."""
    return _broker_run(folder, size, LOOKSTREAM)


def broker_control(folder: Path, size: Size) -> Report:
    """The same with a worker that commits before it writes."""
    return _broker_run(folder, size, HASTY)


def _index_run(folder: Path, size: Size, program: str) -> Report:
    report, rng = Report(), random.Random(size.seed)
    frozen, kills = 60.0 * size.share, size.of(5, 2)
    first = write_feed(round(frozen * PER_SECOND) + 100, 100, size.seed, MIX, "frozen")
    second = write_feed(kills * 400, 100, size.seed + 1, MIX, "killed")
    with report.timed(), open_testbed(folder) as testbed:
        sender, worker = Sender(testbed.kafka), testbed.start_worker(program=program)
        _freeze_index(report, testbed, sender, first, frozen)
        with sender.spread(second.records, kills * 3.0):
            for kill in range(kills):
                time.sleep(rng.uniform(0.5, 2))
                worker = _kill_index(testbed, worker, program, both=kill == 0)
        both = first.joined(second)
        took = catch_up(testbed, both)
        report.expect_at_most("caught up at the end, seconds", took, CATCH_UP_SECONDS)
        _judge(report, testbed, both, worker)
    report.figures |= {"records": len(both.records), "seconds frozen": frozen, "kills": kills}
    return report


def _freeze_index(report: Report, testbed: Testbed, sender: Sender, feed: Feed, seconds: float) -> None:
    sender.send(feed.records[:100])
    testbed.engine.freeze()
    with sender.spread(feed.records[100:], seconds):
        time.sleep(seconds)
    testbed.engine.thaw()
    report.expect_at_most("caught up after the stop, seconds", catch_up(testbed, feed), CATCH_UP_SECONDS)


def _kill_index(testbed: Testbed, worker: Process, program: str, *, both: bool) -> Process:
    testbed.engine.kill()
    if both:
        time.sleep(0.5)  # the worker holds a batch that it cannot write
        worker.kill()
    time.sleep(0.5)
    testbed.start_engine()
    return testbed.start_worker(program=program) if both else worker


def _broker_run(folder: Path, size: Size, program: str) -> Report:
    report, rng = Report(), random.Random(size.seed)
    short, long, count = size.of(20, 2), 90.0 * size.share, size.of(2_000)
    feed = write_feed(size.of(20_000), size.of(1_000), size.seed, MIX)
    requests = [as_record(write_request(n, SEARCH_MS)) for n in range(count)]
    with report.timed(), open_testbed(folder, **PATIENT) as testbed:
        sender, worker = Sender(testbed.kafka), testbed.start_worker(program=program, LOOKSTREAM_WORKER_SLOT="i")
        searcher = SupervisedWorker(testbed, "q")
        seconds, queued = short * 2.5 + long, size.of(2_000, 400)
        with sender.spread(feed.records[: -2 * queued], seconds), Sender(testbed.kafka).spread(requests, seconds):
            for _ in range(short):
                _freeze_broker(testbed, 1.0)
                time.sleep(rng.uniform(0.5, 2))
            _freeze_broker(testbed, long)
            report.expect_at_most("working again, seconds", _next_outcome(testbed), AGAIN_SECONDS)
        for records in (feed.records[-2 * queued : -queued], feed.records[-queued:]):
            sender.send(records)
            time.sleep(rng.uniform(0.05, 0.3))  # in the middle of what has queued up
            worker.kill()
            worker = testbed.start_worker(program=program, LOOKSTREAM_WORKER_SLOT="i")
        report.figures["caught up at the end, seconds"] = catch_up(testbed, feed)
        _judge(report, testbed, feed, worker)
        # The local broker shows the answers of a transaction that the worker had to abort (docs/reliability.md).
        forgiven = 0 if kind_of_brokers() == "apache" else short + 1
        judge_answers(report, read_answers(testbed, count), count, forgiven)
        report.expect("exit code of the query worker", searcher.end(), 0)
        report.figures["query worker started anew"] = searcher.restarts
    report.figures |= {"records": len(feed.records), "short stops": short, "seconds of the long stop": long}
    return report


def _freeze_broker(testbed: Testbed, seconds: float) -> None:
    testbed.broker.freeze()
    time.sleep(seconds)
    testbed.broker.thaw()


def _next_outcome(testbed: Testbed) -> float:
    """Seconds from now until the next outcome of an event."""
    now, reader = time.time(), TopicReader(testbed.kafka, ITEM_OUTCOMES)
    try:
        while time.time() - now < PATIENCE_SECONDS:
            record = reader.poll(0.1)
            if record is not None and record.timestamp_ms > now * 1000:
                break
    finally:
        reader.close()
    return round(time.time() - now, 1)


def _judge(report: Report, testbed: Testbed, feed: Feed, worker: Process) -> None:
    report.expect("worker ended by itself", worker.code is not None, False)
    report.expect("exit code of the worker", worker.drain(), 0)
    judge_items(report, testbed, feed)


SCENARIOS = (
    Scenario(
        name="index away",
        promise="The embedded index stopped for 60 s and killed 5 times under load: nothing lost, no dead letter, "
        "caught up in 30 s",
        run=index_run,
        control=index_control,
    ),
    Scenario(
        name="broker away",
        promise="The broker stopped 20 times for 1 s and once for 90 s under 20,000 events and 2,000 searches: "
        "nothing lost, no dead letter, each search answered once, at work again in 10 s",
        run=broker_run,
        control=broker_control,
    ),
)
