"""The index worker is killed again and again while events come in every order."""

import random
import time
from pathlib import Path

from infra.kafka import EventSink
from tests.chaos.bad_records import image_roots, write_bad
from tests.chaos.feed import Feed, Mix, add_bad, write_feed
from tests.chaos.judge import judge_items
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed
from tests.outgoing_record import to_outgoing

MIX = Mix(late=0.1, duplicated=0.1, deleted=0.15)
LIFE_SECONDS = (1.0, 2.5)
"""How long a worker lives after it was given work: it commits every two seconds."""


def run(folder: Path, size: Size) -> Report:
    """Kill -9 fifty workers, each with a part of the feed before it; a last one finishes."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same without the condition on revisions: late events overwrite newer ones."""
    return _run(folder, size, "tests.chaos.no_revision_check")


def _run(folder: Path, size: Size, program: str) -> Report:
    report, kills = Report(), size.of(50)
    feed = write_feed(size.of(40_000), size.of(2_000), size.seed, MIX)
    add_bad(feed, write_bad(size.of(800)), size.seed)
    roots = image_roots(folder)
    with report.timed(), open_testbed(folder, LOOKSTREAM_IMAGES_ROOTS=roots) as testbed:
        _kill(testbed, feed, kills, random.Random(size.seed), program)
        report.expect("exit code of the last worker", testbed.start_worker("last", program).drain(), 0)
        judge_items(report, testbed, feed)
    report.figures |= {"records": len(feed.records), "items": len(feed.items), "kills": kills}
    return report


def _kill(testbed: Testbed, feed: Feed, kills: int, rng: random.Random, program: str) -> None:
    sink = EventSink(testbed.kafka)
    for part in feed.parts(kills):
        for record in part:
            sink.send_record(to_outgoing(record))
        sink.flush()
        worker = testbed.start_worker(program=program)
        time.sleep(rng.uniform(*LIFE_SECONDS))
        worker.kill()


SCENARIO = Scenario(
    name="index worker killed",
    promise="40,000 events in any order and 800 bad ones over 50 kill -9: no item is wrong, lost or brought back, "
    "each bad event is one dead letter, and every event has its outcome",
    run=run,
    control=control,
    short=0.04,
)
