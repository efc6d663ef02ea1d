"""Many events wait in the slowest retry topic; those of the quickest are tried again in time all the same."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, read_to_end
from schemas.envelope import Event, to_bytes, to_headers
from schemas.items import InlineImage, ItemUpserted, item_key
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, retry_topic
from tests.chaos.feed import ANY_PARTITION, TENANT, draw
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.testbed import LOOKSTREAM, open_testbed
from tests.outgoing_record import to_outgoing

WAITING, PROMPT = 2_000, 20
"""Events in the topic of 600 s, and in that of 5 s."""
SLOWEST, QUICKEST = ("600s", 600.0), ("5s", 5.0)
LATEST_SECONDS = 3.0
"""After they are due."""
PATIENCE_SECONDS = 30.0


def run(folder: Path, size: Size) -> Report:
    """The workers as they are."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same with a worker that pauses all partitions when its buffer is full of records that are not due."""
    return _run(folder, size, "tests.chaos.shared_pause")


def _run(folder: Path, size: Size, program: str) -> Report:
    report = Report()
    waiting, prompt = size.of(WAITING, least=700), size.of(PROMPT, least=4)
    names = [f"prompt-{n}" for n in range(prompt)]
    with report.timed(), open_testbed(folder) as testbed:
        _send(testbed.kafka, [_retried(f"waiting-{n}", *SLOWEST) for n in range(waiting)])
        worker = testbed.start_worker(program=program)
        time.sleep(2)  # it holds as many as it takes
        due = time.time() + QUICKEST[1]
        _send(testbed.kafka, [_retried(name, *QUICKEST) for name in names])
        late = _lateness(testbed.kafka, names, due)
        report.expect("worker ended by itself", worker.code is not None, False)
        worker.end()
    report.expect("events that were not tried again", prompt - len(late), 0)
    report.figures["tried again after they were due, s"] = max(late, default=PATIENCE_SECONDS)
    if size.share >= 1:
        report.expect_at_most("the latest, s", max(late, default=PATIENCE_SECONDS), LATEST_SECONDS)
    report.figures |= {"events that wait 600 s": waiting, "events that wait 5 s": prompt}
    return report


def _retried(name: str, delay: str, seconds: float) -> Record:
    """An event that failed just now for the first time, as the worker puts it into a retry topic."""
    body = ItemUpserted(item_id=name, revision=1, images=(InlineImage(data=draw(len(name))),))
    now = time.time()
    waits = {
        "retry-attempts": "1",
        "retry-not-before": str(round((now + seconds) * 1000)),
        "retry-topic": CATALOG_ITEMS,
        "retry-partition": "0",
        "retry-offset": "0",
        "retry-timestamp": str(round(now * 1000)),
        "retry-first-failed-at": datetime.now(UTC).isoformat(),
    }
    headers = {key: text.encode() for key, text in {**to_headers(Event(body)), **waits}.items()}
    topic = retry_topic(CATALOG_ITEMS, delay)
    return Record(topic, ANY_PARTITION, 0, item_key(TENANT, name).encode(), to_bytes(body), headers)


def _send(kafka: KafkaSettings, records: Sequence[Record]) -> None:
    sink = EventSink(kafka)
    for record in records:
        sink.send_record(to_outgoing(record))
    sink.flush()


def _lateness(kafka: KafkaSettings, names: Sequence[str], due: float) -> list[float]:
    """How many seconds after they were due events have an outcome."""
    found: dict[str, float] = {}
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found) < len(names) and time.monotonic() < until:
        for record in read_to_end(kafka, [ITEM_OUTCOMES]):
            item = json.loads(record.value or b"{}")["item_id"]
            if item in names:
                found[item] = round(record.timestamp_ms / 1000 - due, 2)
        time.sleep(0.3)
    return list(found.values())


SCENARIO = Scenario(
    name="waiting tiers",
    promise="2,000 events wait in the retry topic of 600 s: those of the topic of 5 s are tried again within 3 s "
    "of their time",
    run=run,
    control=control,
    short=0.3,
)
