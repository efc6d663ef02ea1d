"""A storm of rebalances: query workers come and go, ended, killed or stopped, while searches are asked."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.observability.heartbeat import READY, last_beat, read_state
from schemas.topics import SEARCH_REQUESTS, Topic, all_topics
from tests.chaos.answer_log import AnswerLog, asking, follow_answers, wait_for_answers
from tests.chaos.brokers import Broker, kind_of_brokers, run_broker
from tests.chaos.fleet import ENDED, KILLED, STOPPED, Fleet, Move, Plan, carry_out
from tests.chaos.pauses import Pause, judge_pauses, pauses_of
from tests.chaos.processes import Process
from tests.chaos.raw_errors import count_raw_errors, first_raw_errors
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import searchable, start_query
from tests.chaos.testbed import LOOKSTREAM, Testbed
from tests.kafka.apache import apache_node

DEADLINE_MS = 60_000
"""Longer than any pause that is promised: none may expire."""
SLOTS = 12
CONTROL = "tests.chaos.stale_group"


@dataclass(frozen=True)
class Storm:
    """The size of a storm, and the settings of its workers."""

    searches: int = 12_000
    rate: float = 50.0
    """Searches a second."""
    moves: int = 100
    least: int = 1
    most: int = 2
    """Workers at any time."""
    session_ms: int = 6_000
    partitions: int = 2
    program: str = LOOKSTREAM
    settings: dict[str, str] = field(default_factory=dict)
    """More settings of the workers, by variable."""
    seed: int = 1
    is_timed: bool = True
    """Whether pauses are judged."""

    @property
    def apart(self) -> list[str]:
        """The departures whose pauses are theirs alone."""
        return [ENDED] * (self.moves // 10) + [KILLED, STOPPED] * (self.moves // 33) if self.is_timed else []

    def of(self, size: Size) -> "Storm":
        """This storm at a share of its size, at a pace that gives every move its time."""
        moves = size.of(self.moves, least=6)
        seconds = max(moves * 2.0, 30.0)
        searches = size.of(self.searches, least=300)
        rate = min(self.rate, searches / seconds)
        return replace(self, searches=searches, moves=moves, rate=rate, seed=size.seed, is_timed=size.is_timed)


MORE = Storm(least=2, most=4, partitions=4)


@dataclass(frozen=True)
class StormResult:
    """The result of a storm."""

    report: Report
    moves: list[Move]
    pauses: list[Pause]


def run_storm(folder: Path, storm: Storm) -> StormResult:
    """Send searches while workers come and go."""
    report, log = Report(), AnswerLog(storm.partitions)
    seconds = storm.searches / storm.rate
    plan = Plan(storm.moves, seconds, storm.least, storm.most, storm.session_ms / 1000, storm.apart)
    settings = {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(storm.session_ms), **storm.settings}
    with (
        report.timed(),
        _broker(folder, storm.session_ms) as broker,
        searchable(folder, _topics(storm.partitions), broker, **settings) as testbed,
    ):
        fleet = query_fleet(testbed, storm.program)
        for _ in range(storm.least):
            fleet.arrive()
        fleet.wait_until_ready()
        with follow_answers(testbed.kafka, log):
            with asking(testbed.kafka, log, storm.searches, seconds, DEADLINE_MS):
                carry_out(plan, fleet, random.Random(storm.seed))
            wait_for_answers(log, DEADLINE_MS / 1000)
        fleet.end()
    log.judge(report)
    pauses = pauses_of(log, fleet.moves, storm.session_ms / 1000)
    judge_pauses(report, pauses, is_timed=storm.is_timed)
    judge_fleet(report, fleet, folder)
    return StormResult(report, fleet.moves, pauses)


def query_fleet(testbed: Testbed, program: str = LOOKSTREAM) -> Fleet:
    """Query workers that can come and go."""
    begun: dict[str, float] = {}

    def start(slot: str) -> Process:
        begun[slot] = time.time()
        name = f"query-{slot}"
        return start_query(testbed, program, ready=False, name=name, LOOKSTREAM_WORKER_SLOT=slot)

    def is_ready(slot: str) -> bool:
        heartbeat = testbed.data / "run" / f"query-{slot}.alive"
        worker_state = read_state(heartbeat)
        return worker_state is not None and worker_state.state == READY and last_beat(heartbeat) >= begun[slot]

    return Fleet(start, is_ready, [f"q{n}" for n in range(SLOTS)])


def judge_fleet(report: Report, fleet: Fleet, folder: Path, kind: str = "query") -> None:
    """Note how many moves there were, and how the workers ended."""
    report.figures[f"moves of {kind} workers"] = len(fleet.moves)
    report.expect(f"{kind} workers that ended by themselves", ", ".join(fleet.unexpected_ends) or "none", "none")
    report.expect(f"{kind} workers that were not ready in time", len(fleet.never_ready), 0)
    report.expect(f"exit codes of {kind} workers", str(sorted(set(fleet.exit_codes))), "[0]")
    report.expect("raw errors in the logs", count_raw_errors(folder), 0)
    if count_raw_errors(folder):
        report.figures["where raw errors are"] = first_raw_errors(folder)


@contextmanager
def _broker(folder: Path, session_ms: int) -> Iterator[Broker]:
    """A broker; the session timeout of groups of KIP-848 is its own setting."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind_of_brokers() == "local":
        with run_broker(folder) as local:
            yield local
        return
    pace = {"group.consumer.session.timeout.ms": str(session_ms)}
    pace["group.consumer.heartbeat.interval.ms"] = str(max(100, session_ms // 12))
    with apache_node(settings=pace) as node:
        yield node


def _topics(partitions: int) -> list[Topic]:
    return [
        replace(topic, partitions=partitions) if topic.name == SEARCH_REQUESTS else topic for topic in all_topics()
    ]


def run(folder: Path, size: Size) -> Report:
    """One worker or two."""
    return run_storm(folder, Storm().of(size)).report


def run_more(folder: Path, size: Size) -> Report:
    """Two to four workers at all times."""
    return run_storm(folder, MORE.of(size)).report


def control(folder: Path, size: Size) -> Report:
    """One worker or two, which say at each commit what the group was at their first batch."""
    return run_storm(folder, replace(Storm().of(size), program=CONTROL)).report


def control_more(folder: Path, size: Size) -> Report:
    """The same with two to four workers."""
    return run_storm(folder, replace(MORE.of(size), program=CONTROL)).report


SCENARIOS = (
    Scenario(
        name="storm of searches, one or two workers",
        promise="12,000 searches at 50 a second over 100 arrivals and departures of query workers (ended, killed, "
        "stopped past their session and let go on), one at least at any time: 0 lost, 0 doubled, 0 expired; the "
        "next answer 2 s after a polite departure and the session timeout and 2 s after any other, at the latest; "
        "where such times overlap, one after the other",
        run=run,
        control=control,
        short=0.01,
        brokers=("apache",),
    ),
    Scenario(
        name="storm of searches, two to four workers",
        promise="the same with two to four workers at all times, on four partitions",
        run=run_more,
        control=control_more,
        brokers=("apache",),
    ),
)
