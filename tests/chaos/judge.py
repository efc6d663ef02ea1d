"""The checks of chaos tests: they compare the final state of a system with the expected state of a feed."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from consumers.points.payload import REGION_COUNT, as_int
from infra.config.kafka import KafkaSettings
from infra.kafka import Record, read_to_end
from infra.qdrant.conditions import LIVE, REGION
from infra.qdrant.point_ids import picture_id, point_id
from infra.qdrant.points_io import iterate_points
from schemas.failures import Unavailable
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, dead_letter_topic
from tests.chaos.feed import TENANT, ExpectedItem, Feed
from tests.chaos.scenario import Report
from tests.chaos.testbed import Testbed

MOST_PICTURES = 2
"""An item of a feed has at most so many."""
KEYS = ("state", "revision", "title", "price", "sha256")
REGION_KEYS = ("base", "revision", "title", "price", "sha256")
"""What a region has as its picture does."""
PAGE = 500
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class DeadLetter:
    """A refused record: its position, its event's id, and the code."""

    partition: int
    offset: int
    event_id: str
    code: str

    @property
    def position(self) -> tuple[int, int]:
        """The position of the record, which identifies it."""
        return self.partition, self.offset


@dataclass(frozen=True)
class Verdict:
    """The differences between the index and the expected state."""

    wrong: int
    """Items that differ from the expected state."""
    missing: int
    """Items that have no point, alive or tombstone."""
    stray: int
    """Live points that belong to no live item, or to none of its pictures."""

    @property
    def right(self) -> bool:
        """Whether there is no difference."""
        return self.wrong + self.missing + self.stray == 0


def compare(testbed: Testbed, feed: Feed) -> Verdict:
    """Compare the index with the expected state; raises Unavailable while it does not answer."""
    wrong = missing = expected = 0
    items = list(feed.items)
    for start in range(0, len(items), PAGE):
        page = items[start : start + PAGE]
        stored = testbed.index.payloads([_id(item, n) for item in page for n in range(MOST_PICTURES)], KEYS)
        pictured = testbed.index.vectors([_id(item, n) for item in page for n in range(MOST_PICTURES)])
        for item in page:
            final = feed.items[item]
            points = [stored.get(_id(item, n), {}) for n in range(MOST_PICTURES)]
            has_vector = [_id(item, n) in pictured for n in range(MOST_PICTURES)]
            missing += not points[0]
            wrong += bool(points[0]) and not _agrees(final, points, has_vector)
            expected += len(final.pictures)
    return Verdict(wrong, missing, max(0, testbed.index.count() - expected))


def _agrees(final: ExpectedItem, points: Sequence[object], has_vector: Sequence[bool]) -> bool:
    if not final.pictures:
        main = points[0]
        return isinstance(main, dict) and main["state"] != LIVE and main["revision"] == final.revision
    required: list[object] = [
        {"state": LIVE, "revision": final.revision, "title": final.title, "price": final.price, "sha256": picture}
        for picture in final.pictures
    ]
    required += [{}] * (len(points) - len(required))
    return points == required and has_vector == [bool(point) for point in required]


def is_caught_up(testbed: Testbed, feed: Feed) -> bool:
    """Whether the index has the expected state; False while it does not answer."""
    try:
        return compare(testbed, feed).right
    except Unavailable:
        return False


def catch_up(testbed: Testbed, feed: Feed, patience: float = PATIENCE_SECONDS) -> float:
    """Seconds until the index has the expected state, at most about `patience`."""
    started = time.monotonic()
    while not is_caught_up(testbed, feed) and time.monotonic() - started < patience:
        time.sleep(0.3)
    return round(time.monotonic() - started, 1)


def judge_items(report: Report, testbed: Testbed, feed: Feed) -> None:
    """Check the results of a feed: the index, the dead letters and the outcomes."""
    judge_index(report, testbed, feed)
    judge_dead_letters(report, testbed, feed)
    judge_outcomes(report, testbed, feed)


def judge_index(report: Report, testbed: Testbed, feed: Feed) -> None:
    """Check that the index has the expected state."""
    verdict = compare(testbed, feed)
    report.expect("wrong", verdict.wrong, 0)
    report.expect("missing", verdict.missing, 0)
    report.expect("stray", verdict.stray, 0)


def judge_regions(report: Report, testbed: Testbed) -> None:
    """Check that there are regions, each of a picture in the index, as of the same event and of the same bytes."""
    points = list(iterate_points(testbed.index))
    pictures = {point.id: point.payload for point in points if point.payload["state"] == LIVE}
    regions = [point for point in points if point.payload["state"] == REGION]
    own = {point.id: pictures.get(picture_id(point.id, point.payload), {}) for point in regions}
    stray = sum(point.payload.get(key) != own[point.id].get(key) for point in regions for key in REGION_KEYS)
    stated = sum(as_int(picture.get(REGION_COUNT, 0)) for picture in pictures.values())
    report.figures["regions"] = len(regions)
    report.expect("facts of regions unlike those of their pictures", stray, 0)
    report.expect("regions missing or stray", abs(stated - len(regions)), 0)
    if not regions:
        report.broken.append("there are no regions")


def judge_dead_letters(report: Report, testbed: Testbed, feed: Feed) -> None:
    """Check that the bad events, and no others, are dead letters with their codes; each record counts once."""
    letters = dead_letters(testbed.kafka)
    unique = {letter.position: letter for letter in letters}
    found = {letter.event_id: letter.code for letter in unique.values()}
    report.expect("dead letters", len(unique), len(feed.bad))
    report.expect("dead letters of bad events", len(found.keys() & feed.bad.keys()), len(feed.bad))
    wrong = Counter(f"{feed.bad.get(id)} came as {code}" for id, code in found.items() if feed.bad.get(id) != code)
    report.expect("wrong codes", sum(wrong.values()), 0)
    report.figures["dead letters told again"] = len(letters) - len(unique)
    if wrong:
        report.figures["which codes"] = ", ".join(f"{what} ({count})" for what, count in wrong.most_common(4))


def judge_outcomes(report: Report, testbed: Testbed, feed: Feed) -> None:
    """Check that every event has an outcome of a valid kind."""
    outcomes_by_event = outcomes(testbed.kafka)
    good = {id for id, kinds in outcomes_by_event.items() if kinds.keys() - {"item.rejected/1"}}
    refused = {id for id, kinds in outcomes_by_event.items() if "item.rejected/1" in kinds}
    report.expect("events without an outcome", len(feed.events - good) + len(feed.bad.keys() - refused), 0)
    report.expect("good events refused", len(feed.events & refused), 0)


def outcomes(kafka: KafkaSettings) -> dict[str, Counter[str]]:
    """The outcomes of each event, by its id, with their counts."""
    found: dict[str, Counter[str]] = {}
    for record in read_to_end(kafka, [ITEM_OUTCOMES]):
        body = json.loads(record.value or b"{}")
        found.setdefault(body["event_id"], Counter())[body["schema"]] += 1
    return found


def dead_letters(kafka: KafkaSettings) -> list[DeadLetter]:
    """Every dead letter of the catalog's items."""
    return [_letter(record) for record in read_to_end(kafka, [dead_letter_topic(CATALOG_ITEMS)])]


def _id(item: str, picture: int) -> str:
    return point_id(TENANT, item, picture)


def _letter(record: Record) -> DeadLetter:
    texts = {name: (value or b"").decode() for name, value in record.headers.items()}
    partition, offset = int(texts["dead-partition"]), int(texts["dead-offset"])
    return DeadLetter(partition, offset, texts.get("ce_id", ""), texts["dead-code"])
