"""Two generations handle every event, and each event gets one outcome, whatever fails in either of them."""

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.parsing import parse
from consumers.runtime.retry_headers import original_headers
from consumers.workers.backfill_task import GenerationOwnership
from infra.kafka import OutgoingRecord, Record
from infra.qdrant.generations import FileGenerationRegister, Generation, Generations, GenerationSwitch
from schemas.envelope import Event, to_bytes
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS

SWITCH_MS = 1_714_564_800_000
"""From this moment on the second generation serves."""
LATER = TryLater(Code.IMAGE_TIMEOUT, "slow, for the test")
NEVER = Rejected(Code.IMAGE_FORMAT, "no picture, for the test")
WAITS_MS = 3_600_000
"""A retry comes so much later, so that many lie on the other side of the switch."""


class EventHistory(NamedTuple):
    """An event: when its record was written, its ce_time, and what each generation finds at each attempt."""

    written_ms: int
    ce_time: str
    results: tuple[tuple[Failure | None, ...], tuple[Failure | None, ...]]
    readable: bool
    replays: int


@dataclass
class System:
    """Two generations' workers over one log of records."""

    register: FileGenerationRegister
    runs: Counter[str] = field(default_factory=Counter)
    """Outcomes by the event's id and the record with which it first came."""
    dead: list[Record] = field(default_factory=list)
    log: deque[Record] = field(default_factory=deque)
    now_ms: int = 0

    def send_record(self, record: OutgoingRecord) -> None:
        """What the routers send: to a retry topic, or to the dead letters."""
        here = Record(record.topic, 0, self.now_ms, record.key, record.value, record.headers, self.now_ms)
        (self.dead if record.topic.endswith(".dead") else self.log).append(here)

    def flush(self) -> None:
        """All that was sent has arrived already."""

    def report(self, record: Record, event: Event | None, failure: Failure) -> None:
        """An outcome of a failure."""
        self.runs[run_of(record)] += 1

    def handle(self, number: int, record: Record, result: Failure | None) -> None:
        """What the worker of a generation does with a record."""
        ownership = GenerationOwnership(self.register, number)
        router = FailureRouter(self, self.report, Unlimited(), owns_failures=ownership.owns_failures)
        [parsed] = parse([record])
        failure = parsed.failure or result
        if failure is not None:
            router.route(record, parsed.event, failure)
        elif parsed.event is not None and ownership.reports_outcomes(parsed.event.time):
            self.runs[run_of(record)] += 1


def run_of(record: Record) -> str:
    """Which record of which event it is about: a replay is another one."""
    return (record.headers["run"] or b"").decode()


stories = st.builds(
    EventHistory,
    st.integers(SWITCH_MS - 3 * WAITS_MS, SWITCH_MS + 3 * WAITS_MS) | st.sampled_from([SWITCH_MS - 1, SWITCH_MS]),
    st.sampled_from(["1990-01-01T00:00:00Z", "2024-05-01T12:00:00Z", "2031-01-01T00:00:00Z", "no time"]),
    st.tuples(*[st.tuples(*[st.sampled_from([None, LATER, NEVER])] * 4)] * 2),
    st.booleans(),
    st.integers(0, 2),
)


@pytest.fixture
def register(tmp_path: Path) -> FileGenerationRegister:
    made = FileGenerationRegister(tmp_path, "fast")
    switches = GenerationSwitch(0.0, 1), GenerationSwitch(SWITCH_MS / 1000, 2)
    made.write(Generations((Generation(1, "fast"), Generation(2, "best")), switches))
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(stories, min_size=1, max_size=5))
def test_each_event_has_one_outcome_whichever_generation_fails_and_however_often_it_is_replayed(
    register: FileGenerationRegister, runs: list[EventHistory]
) -> None:
    system = System(register)
    for n, story in enumerate(runs):
        play(system, f"event-{n}", story)
    assert set(system.runs.values()) == {1}


def play(system: System, name: str, story: EventHistory) -> None:
    """An event on its way through both workers, its retries and its replays."""
    value = to_bytes(ItemDeleted(item_id=name, revision=1)) if story.readable else b"\xff"
    system.now_ms = story.written_ms
    for run in range(1 + story.replays):
        headers = {"ce_id": name.encode(), "ce_time": story.ce_time.encode(), "run": f"{name}/{run}".encode()}
        first = Record(CATALOG_ITEMS, 0, system.now_ms, f"default:{name}".encode(), value, headers, system.now_ms)
        system.log.append(first)
        attempt, before = 0, len(system.dead)
        while system.log:
            record = system.log.popleft()
            system.now_ms += WAITS_MS
            for number in (1, 2):
                system.handle(number, record, story.results[number - 1][min(attempt, 3)])
            attempt += 1
        assert system.runs[f"{name}/{run}"] == 1
        if len(system.dead) == before:
            return
        [letter] = system.dead[before:]
        assert original_headers(letter)["run"] == first.headers["run"]
