"""A fifth of the events is bad, in twenty ways; the good ones must not be slower."""

import json
from contextlib import suppress
from pathlib import Path

from infra.kafka import read_to_end
from schemas.topics import ITEM_OUTCOMES
from tests.chaos.bad_records import image_roots, write_bad
from tests.chaos.feed import Feed, add_bad, write_feed
from tests.chaos.judge import judge_dead_letters, judge_items
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sender import Sender
from tests.chaos.testbed import Testbed, open_testbed

HIGH_LIMITS = {"LOOKSTREAM_WORKER_DEAD_SHARE": "0.5", "LOOKSTREAM_WORKER_DEAD_IN_A_ROW": "500"}
"""By default, a fifth of bad events would delay their tenant."""
LEAST_SHARE = 0.8
"""Of the good events in a second that come without bad ones."""


def run(folder: Path, size: Size) -> Report:
    """Good events alone, then others among bad ones, then alone again: how many good ones in a second?"""
    report, good = Report(), size.of(4_000)
    before, among, after = (
        write_feed(count, count, size.seed + n, name=name)
        for n, (name, count) in enumerate((("before", good // 2), ("among", good), ("after", good // 2)))
    )
    add_bad(among, write_bad(size.of(1_000)), size.seed)
    settings = HIGH_LIMITS | {"LOOKSTREAM_IMAGES_ROOTS": image_roots(folder)}
    with report.timed(), open_testbed(folder, **settings) as testbed:
        spans = [_seconds(testbed, feed) for feed in (before, among, after)]
        feed = before.joined(among).joined(after)
        judge_items(report, testbed, feed)
    clean, poisoned = good / (spans[0] + spans[2]), good / spans[1]
    report.figures |= {"good events": good, "good events in a second, alone": round(clean)}
    report.figures["good events in a second, among bad ones"] = round(poisoned)
    report.expect_at_least("share of the throughput", round(poisoned / clean, 2), LEAST_SHARE)
    return report


def _seconds(testbed: Testbed, feed: Feed) -> float:
    """Have one worker process a feed; the seconds from the first of its good outcomes to the last."""
    Sender(testbed.kafka).send(feed.records)
    if (code := testbed.start_worker().drain()) != 0:
        raise RuntimeError(f"the worker ended with exit code {code}")
    outcomes = [
        record.timestamp_ms
        for record in read_to_end(testbed.kafka, [ITEM_OUTCOMES])
        if json.loads(record.value or b"{}")["event_id"] in feed.events
    ]
    return (max(outcomes) - min(outcomes)) / 1000


def control(folder: Path, size: Size) -> Report:
    """Send the bad events in a row, with the default limits: their tenant is set aside before all are refused."""
    report, bad = Report(), Feed()
    add_bad(bad, write_bad(800), size.seed)
    feed = write_feed(200, 200, size.seed).joined(bad)
    with report.timed(), open_testbed(folder, LOOKSTREAM_IMAGES_ROOTS=image_roots(folder)) as testbed:
        Sender(testbed.kafka).send(feed.records)
        worker = testbed.start_worker(ready=False)
        with suppress(TimeoutError):
            worker.wait(20)
        judge_dead_letters(report, testbed, feed)
    return report


SCENARIO = Scenario(
    name="poison storm",
    promise="5,000 events with 1,000 bad ones of 20 kinds: 1,000 dead letters with the right codes, 4,000 items "
    "indexed by a worker that never restarts, at 80 % of its clean throughput or more",
    run=run,
    control=control,
)
