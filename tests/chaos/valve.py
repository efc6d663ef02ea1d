"""Every event is bad: something is misconfigured, and the worker must stop rather than refuse a whole catalogue."""

from collections import defaultdict
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from infra.settings import Kafka
from schemas.topics import CATALOG_ITEMS, all_topics
from tests.chaos.bad import image_roots, write_bad
from tests.chaos.feed import Feed, add_bad
from tests.chaos.judge import dead_letters
from tests.chaos.parts import open_world
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sender import Sender

GROUP = "lookstream-index"
VALVE_CLOSED = 5
IN_A_ROW = 50
PATIENCE_SECONDS = 30.0
RUNS_ON_SECONDS = 6.0
"""A worker that is ready refuses all these events in a second or two."""
OPEN = {"LOOKSTREAM_WORKER_DEAD_SHARE": "1", "LOOKSTREAM_WORKER_DEAD_IN_A_ROW": "1000000"}


def run(folder: Path, size: Size) -> Report:
    """Give a worker bad events alone."""
    return _run(folder, size, {}, PATIENCE_SECONDS)


def control(folder: Path, size: Size) -> Report:
    """The same with a valve that never closes."""
    return _run(folder, size, OPEN, RUNS_ON_SECONDS)


def _run(folder: Path, size: Size, settings: dict[str, str], patience: float) -> Report:
    report, feed = Report(), Feed()
    add_bad(feed, write_bad(size.of(2_000, 500)), size.seed)
    settings = settings | {"LOOKSTREAM_IMAGES_ROOTS": image_roots(folder)}
    with report.timed(), open_world(folder, **settings) as world:
        Sender(world.kafka).send(feed.records)
        worker = world.start_worker(ready=False)
        try:
            code: object = worker.wait(patience)
        except TimeoutError:
            code = "none: it runs on"
        report.expect("exit code of the worker", code, VALVE_CLOSED)
        letters: dict[int, set[int]] = defaultdict(set)
        for letter in dead_letters(world.kafka):
            letters[letter.partition].add(letter.offset)
        longest = max((len(offsets) for offsets in letters.values()), default=0)
        report.expect_at_most("dead letters in a row, in one partition", longest, IN_A_ROW)
        report.expect("offsets committed past the last dead letter", _past(world.kafka, letters), 0)
    report.figures |= {"bad events": len(feed.bad), "dead letters": sum(map(len, letters.values()))}
    return report


def _past(kafka: Kafka, letters: dict[int, set[int]]) -> int:
    """How many records the group has put behind it that are no dead letters."""
    partitions = next(topic.partitions for topic in all_topics() if topic.name == CATALOG_ITEMS)
    reader = Consumer({"bootstrap.servers": str(kafka.bootstrap), "group.id": GROUP})
    try:
        places = reader.committed([TopicPartition(CATALOG_ITEMS, n) for n in range(partitions)], timeout=10)
    finally:
        reader.close()
    return sum(len(set(range(max(0, place.offset))) - letters[place.partition]) for place in places)


SCENARIO = Scenario(
    name="dead-letter valve",
    promise="2,000 bad events and no other: the worker stops with exit code 5 after at most 50 dead letters in a "
    "partition, and no offset is committed past them",
    run=run,
    control=control,
    short=0.25,
)
