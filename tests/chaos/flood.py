"""One tenant sends thousands of bad pictures: the items of other tenants are searchable without much delay."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from infra.kafka import Record, read_to_end
from schemas.envelope import Event, to_bytes, to_headers
from schemas.items import InlineImage, ItemUpserted, item_key
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, dead_letter_topic, retry_topic
from tests.chaos.feed import ANY_PARTITION, draw
from tests.chaos.item_storm import index_fleet
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.sender import Sender
from tests.chaos.testbed import LOOKSTREAM, Testbed, open_testbed

BAD, SECONDS, ITEMS_A_SECOND = 5_000, 60.0, 5.0
FLOOD, CALM = "flood", "calm"
"""Their tenants."""
MOST_TIMES = 2.0
PATIENCE_SECONDS = 60.0


def run(folder: Path, size: Size) -> Report:
    """Run with unmodified workers."""
    return _run(folder, size, LOOKSTREAM)


def control(folder: Path, size: Size) -> Report:
    """The same with a limit of dead letters that counts all tenants as one."""
    return _run(folder, size, "tests.chaos.shared_dead_letter_limit")


def _run(folder: Path, size: Size, program: str) -> Report:
    report, bad, seconds = Report(), size.of(BAD, least=400), max(15.0, SECONDS * size.share)
    with report.timed(), open_testbed(folder) as testbed:
        fleet, sender = index_fleet(testbed, program), Sender(testbed.kafka)
        fleet.arrive()
        fleet.wait_until_ready()
        phases = {name: _items(name, round(seconds * ITEMS_A_SECOND)) for name in ("before", "during", "after")}
        with sender.spread(phases["before"], seconds):
            time.sleep(seconds)
        with _send_flood(testbed, bad, seconds), sender.spread(phases["during"], seconds):
            time.sleep(seconds)
        with sender.spread(phases["after"], seconds):
            time.sleep(seconds)
        fleet.restart_ended_workers()
        found = _searchable_after(testbed, sum(map(len, phases.values())))
        report.expect("worker ended by itself", ", ".join(fleet.unexpected_ends) or "no", "no")
        report.expect("bad ones that nobody told of", bad - _count_outcomes(testbed), 0)
        fleet.end()
    _judge(report, found, phases, is_timed=size.is_timed)
    return report


def _judge(report: Report, found: dict[str, float], phases: dict[str, list[Record]], *, is_timed: bool) -> None:
    times = {name: [t for item, t in found.items() if item.startswith(name)] for name in phases}
    report.expect("items that are not searchable", sum(map(len, phases.values())) - len(found), 0)
    flooded = [*times["during"], *times["after"]]
    for share in (50, 95):
        usual, then = (float(np.percentile(some or [60.0], share)) for some in (times["before"], flooded))
        report.figures[f"searchable after, p{share}, ms, usually"] = round(1000 * usual)
        report.figures[f"searchable after, p{share}, ms, from the flood on"] = round(1000 * then)
        if is_timed:
            report.expect_at_most(f"p{share}, in times of the usual", round(then / usual, 2), MOST_TIMES)


@contextmanager
def _send_flood(testbed: Testbed, bad: int, seconds: float) -> Iterator[None]:
    records = [_record(FLOOD, f"bad-{n}", b"not a picture") for n in range(bad)]
    with Sender(testbed.kafka).spread(records, seconds):
        yield


def _items(name: str, count: int) -> list[Record]:
    return [_record(CALM, f"{name}-{n}", draw(n % 48)) for n in range(count)]


def _record(tenant: str, item: str, picture: bytes) -> Record:
    body = ItemUpserted(tenant=tenant, item_id=item, revision=1, images=(InlineImage(data=picture),))
    headers = {key: text.encode() for key, text in to_headers(Event(body)).items()}
    return Record(CATALOG_ITEMS, ANY_PARTITION, 0, item_key(tenant, item).encode(), to_bytes(body), headers)


def _searchable_after(testbed: Testbed, at_least: int) -> dict[str, float]:
    """By item of the calm tenant: the seconds from its record to when the index had it."""
    found: dict[str, float] = {}
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found) < at_least and time.monotonic() < until:
        sent = {_item_of(r): r.timestamp_ms / 1000 for r in read_to_end(testbed.kafka, [CATALOG_ITEMS])}
        for record in read_to_end(testbed.kafka, [ITEM_OUTCOMES]):
            body = json.loads(record.value or b"{}")
            if body["tenant"] == CALM and body["schema"] == "item.indexed/1":
                at = datetime.fromisoformat(body["times"]["searchable_at"]).timestamp()
                found[body["item_id"]] = at - sent[body["item_id"]]
    return found


def _item_of(record: Record) -> str:
    return (record.key or b"").decode().partition(":")[2]


def _count_outcomes(testbed: Testbed) -> int:
    """How many bad ones are dead letters, or wait in the slowest retry topic for their tenant to calm down."""
    topics = [dead_letter_topic(CATALOG_ITEMS), retry_topic(CATALOG_ITEMS, "600s")]
    found = {_item_of(record) for record in read_to_end(testbed.kafka, topics)}
    return sum(item.startswith("bad-") for item in found)


SCENARIO = Scenario(
    name="flood of a tenant",
    promise="5,000 bad pictures of one tenant in a minute: items of others are searchable within twice their usual "
    "time, no worker ends, and each bad one is a dead letter or waits until its tenant may go on",
    run=run,
    control=control,
)
