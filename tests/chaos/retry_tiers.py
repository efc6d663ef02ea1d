"""A faulty picture host beside valid items: its available pictures are indexed, and no other item waits for it."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.kafka import EventSink, read_to_end
from schemas.envelope import Event
from schemas.items import ImageRef, InlineImage, ItemUpserted, UrlImage
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, dead_letter_topic
from tests.chaos.feed import draw
from tests.chaos.processes import wait_for
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sick_host import FINE, MISSING, draw_failures, sick_host
from tests.chaos.testbed import Testbed, open_testbed

FETCH = {
    "LOOKSTREAM_IMAGES_ALLOW_HTTP": "true",
    "LOOKSTREAM_IMAGES_ALLOW_HOSTS": '["127.0.0.1"]',
    "LOOKSTREAM_IMAGES_FETCH_SECONDS": "2",
}
PATIENCE_SECONDS = 900.0
"""For the sick ones: four at a time are asked of one host, and when four of them hang it rests. Nothing is promised
of how long they take."""


def run(folder: Path, size: Size) -> Report:
    """Index from the faulty host, then from a good one, each time with as many items with inline pictures."""
    return _run(folder, size)


def control(folder: Path, size: Size) -> Report:
    """The same with batches that wait for their pictures as long as a download may take, and no retries."""
    return _run(folder, size, program="tests.chaos.no_fetch_deadline")


def _run(folder: Path, size: Size, program: str = "tests.chaos.short_delays") -> Report:
    report, count = Report(), size.of(2_000, least=100)
    names = [f"sick-{n}" for n in range(count)]
    kinds = dict(zip(names, draw_failures(count, size.seed), strict=True))
    with report.timed():
        healthy_seconds, _, _ = _index(folder / "healthy", dict.fromkeys(names, FINE), "tests.chaos.short_delays")
        sick_seconds, outcomes, letters = _index(folder / "sick", kinds, program)
    missing = {name for name, kind in kinds.items() if kind == MISSING}
    report.expect("recoverable ones not indexed", len(kinds.keys() - missing - outcomes), 0)
    report.expect("dead letters that are not of missing pictures", len(letters.keys() - missing), 0)
    report.expect("missing pictures without a dead letter", len(missing - letters.keys()), 0)
    report.expect_at_most("attempts of a missing picture", max(letters.values(), default=0), 4)
    report.expect_at_most(
        "time of the healthy ones, in times of the usual", round(sick_seconds / healthy_seconds, 2), 1.1
    )
    report.figures |= {"sick items": count, "healthy items": count, "usual seconds": round(healthy_seconds, 1)}
    return report


def _index(folder: Path, kinds: Mapping[str, str], program: str) -> tuple[float, set[str], Mapping[str, int]]:
    """Seconds until the healthy were indexed, what was indexed in the end, and the attempts of the dead letters."""
    healthy = {f"healthy-{n}" for n in range(len(kinds))}
    with sick_host(kinds) as host, open_testbed(folder, **FETCH) as testbed:
        sick = [_event(name, UrlImage(url=f"{host}/{name}.png")) for name in kinds]
        fine = [_event(f"healthy-{n}", InlineImage(data=draw(n % 48))) for n in range(len(kinds))]
        _send(testbed, [event for pair in zip(sick, fine, strict=True) for event in pair])
        testbed.start_worker(program=program)
        started = time.monotonic()
        wait_for(lambda: healthy <= _settled(testbed), "the healthy items", seconds=PATIENCE_SECONDS)
        sick_seconds = time.monotonic() - started
        wait_for(lambda: kinds.keys() <= _settled(testbed), "the sick items", seconds=PATIENCE_SECONDS)
        return sick_seconds, indexed(testbed), _dead(testbed)


def indexed(testbed: Testbed) -> set[str]:
    """The items of which an outcome says that they are indexed."""
    bodies = (json.loads(record.value or b"{}") for record in read_to_end(testbed.kafka, [ITEM_OUTCOMES]))
    return {body["item_id"] for body in bodies if body["schema"] == "item.indexed/1"}


def _settled(testbed: Testbed) -> set[str]:
    """The items that are indexed or among the dead letters."""
    time.sleep(0.3)  # reading all of it costs the worker its turn
    return indexed(testbed) | _dead(testbed).keys()


def _dead(testbed: Testbed) -> Mapping[str, int]:
    """How often each item was tried that is among the dead letters."""
    found: Counter[str] = Counter()
    for record in read_to_end(testbed.kafka, [dead_letter_topic(CATALOG_ITEMS)]):
        found[(record.key or b"").decode().partition(":")[2]] = int(record.headers["dead-attempts"] or b"0")
    return found


def _event(name: str, picture: ImageRef) -> Event:
    return Event(ItemUpserted(item_id=name, revision=1, images=(picture,)))


def _send(testbed: Testbed, events: Sequence[Event]) -> None:
    sink = EventSink(testbed.kafka)
    for event in events:
        assert isinstance(event.body, ItemUpserted)
        sink.send(CATALOG_ITEMS, f"default:{event.body.item_id}", event)
    sink.flush()


SCENARIO = Scenario(
    name="sick host",
    promise="2,000 pictures of a host with 30 % 503, 10 % that hang, 5 % 404: all that can be had are indexed, the "
    "rest are dead letters, and healthy items beside them take at most 10 % longer",
    run=run,
    control=control,
)
