"""A storm of rebalances: index workers come and go, ended, killed or stopped, while item events come in."""

import random
import time
from dataclasses import replace
from pathlib import Path

from infra.observability.heartbeat import READY, last_beat, read_state
from schemas.items import Objects
from tests.chaos.feed import Mix, write_feed
from tests.chaos.fleet import Fleet, Plan, carry_out
from tests.chaos.judge import catch_up, judge_items, judge_regions
from tests.chaos.processes import Process
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sender import Sender
from tests.chaos.storm import SLOTS, judge_fleet
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed

EVENTS, ITEMS, MOVES = 20_000, 1_000, 50
MIX = Mix(late=0.1, duplicated=0.1, deleted=0.15)
MOVE_SECONDS = 4.0
SESSION_MS = 6_000
AT_WORK_SECONDS = (0.05, 0.5)
"""How long after a part of the events was sent a worker departs: probably while it processes them."""


def run(folder: Path, size: Size) -> Report:
    """One to three workers."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same without the condition on revisions: late events and stopped workers overwrite newer ones."""
    return _run(folder, size, "tests.chaos.no_revision_check")


def run_with_regions(folder: Path, size: Size) -> Report:
    """The same, with the things in the pictures indexed too."""
    return _run(folder, size, LOOKSTREAM, "all")


def control_with_regions(folder: Path, size: Size) -> Report:
    """The control, with the things in the pictures indexed too."""
    return _run(folder, size, "tests.chaos.no_revision_check", "all")


def _run(folder: Path, size: Size, program: str, objects: Objects = "none") -> Report:
    report, moves = Report(), size.of(MOVES, least=6)
    seconds = moves * MOVE_SECONDS
    plan = Plan(moves, seconds, least=1, most=3, session_seconds=SESSION_MS / 1000)
    mix = replace(MIX, has_things=objects != "none")
    feed = write_feed(size.of(EVENTS, least=600), size.of(ITEMS, least=60), size.seed, mix)
    settings = {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS), "LOOKSTREAM_OBJECTS_CATALOG": objects}
    with report.timed(), open_testbed(folder, **settings) as testbed:
        fleet = index_fleet(testbed, program)
        fleet.arrive()
        fleet.wait_until_ready()
        sender, parts, rng = Sender(testbed.kafka), feed.parts(moves), random.Random(size.seed)

        def send_part() -> None:
            sender.send(next(parts))
            time.sleep(rng.uniform(*AT_WORK_SECONDS))

        carry_out(plan, fleet, rng, send_part)
        report.figures["caught up at the end, seconds"] = catch_up(testbed, feed)
        fleet.end()
        index_the_rest(testbed, program)
        judge_items(report, testbed, feed)
        if objects != "none":
            judge_regions(report, testbed)
        judge_fleet(report, fleet, folder, "index")
    report.figures |= {"records": len(feed.records), "items": len(feed.items)}
    return report


def index_the_rest(testbed: Testbed, program: str = LOOKSTREAM) -> None:
    """Have a last worker process the rest: late and repeated events change no item, so no figure waits for them."""
    testbed.start_worker("index-last", program, LOOKSTREAM_WORKER_SLOT="last").drain()


def index_fleet(testbed: Testbed, program: str = LOOKSTREAM) -> Fleet:
    """Index workers that can come and go."""
    begun: dict[str, float] = {}

    def start(slot: str) -> Process:
        begun[slot] = time.time()
        return testbed.start_worker(f"index-{slot}", program, ready=False, LOOKSTREAM_WORKER_SLOT=slot)

    def is_ready(slot: str) -> bool:
        heartbeat = testbed.data / "run" / f"index-{slot}.alive"
        found = read_state(heartbeat)
        return found is not None and found.state == READY and last_beat(heartbeat) >= begun[slot]

    return Fleet(start, is_ready, [f"i{n}" for n in range(SLOTS)])


SCENARIO = Scenario(
    name="storm of items",
    promise="20,000 events in any order over 50 arrivals and departures of index workers (ended, killed, stopped "
    "past their session and let go on): no item is wrong, lost or brought back, and every event has its outcome",
    run=run,
    control=control,
    short=0.02,
    brokers=("apache",),
)
WITH_REGIONS = replace(
    SCENARIO,
    name="storm of items with regions",
    promise="the same with the things in the pictures indexed too: every region is of a picture of its item as of "
    "the same event, and none is missing or stray",
    run=run_with_regions,
    control=control_with_regions,
    short=None,
)
SCENARIOS = (SCENARIO, WITH_REGIONS)
