"""Healthy work that never ends: items and searches of which some always wait, and how many are done."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from schemas.envelope import Event, to_bytes, to_headers
from schemas.items import InlineImage, ItemUpserted, item_key
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, SEARCH_RESULTS
from tests.chaos.asking import as_record, write_request
from tests.chaos.feed import ANY_PARTITION, draw
from tests.outgoing import outgoing

HEALTHY = "healthy"
"""The tenant of the items; no other has it."""
SEARCH_MS = 60_000


@dataclass
class Busy:
    """Work of which `ahead` always wait: each one's record, and what tells in `topic` that it is done."""

    topic: str
    make: Callable[[int], Record]
    name_of: Callable[[Record], str | None]
    """The name of what a record tells of; none: of none of these."""
    ahead: int
    sent: int = 0
    done: set[str] = field(default_factory=set)
    told_again: int = 0

    def wait_until_done(self, seconds: float) -> None:
        """Wait until what was sent up to now is done, or so many seconds."""
        wanted, until = self.sent, time.monotonic() + seconds
        while len(self.done) < wanted and time.monotonic() < until:
            time.sleep(0.02)

    @contextmanager
    def kept_up(self, kafka: KafkaSettings) -> Iterator["Busy"]:
        """Keep it up beside what is done inside; at the end what was sent may still be on its way."""
        over = threading.Event()
        with closing(TopicReader(kafka, self.topic)) as reader:
            threads = [
                threading.Thread(target=self._read, args=(reader, over), daemon=True),
                threading.Thread(target=self._send, args=(kafka, over), daemon=True),
            ]
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                over.set()
                for thread in threads:
                    thread.join()

    def _send(self, kafka: KafkaSettings, over: threading.Event) -> None:
        with closing(EventSink(kafka)) as sink:
            while not over.is_set():
                while self.sent - len(self.done) < self.ahead:
                    sink.send_record(outgoing(self.make(self.sent)))
                    self.sent += 1
                sink.flush()
                time.sleep(0.005)

    def _read(self, reader: TopicReader, over: threading.Event) -> None:
        while not over.is_set():
            record = reader.poll(0.1)
            name = self.name_of(record) if record is not None else None
            if name is not None:
                self.told_again += name in self.done
                self.done.add(name)


def busy_items(ahead: int = 32) -> Busy:
    """New items, each with a small picture; half a batch of them, so that others take the place of none."""
    return Busy(ITEM_OUTCOMES, _item, _indexed, ahead)


def busy_searches(ahead: int = 16) -> Busy:
    """Searches by items that a searchable world holds, and by pictures."""
    return Busy(SEARCH_RESULTS, _search, _answered, ahead)


def _item(number: int) -> Record:
    name = f"busy-{number}"
    body = ItemUpserted(tenant=HEALTHY, item_id=name, revision=1, images=(InlineImage(data=draw(number % 48)),))
    headers = {key: text.encode() for key, text in to_headers(Event(body, id=name)).items()}
    return Record(CATALOG_ITEMS, ANY_PARTITION, 0, item_key(HEALTHY, name).encode(), to_bytes(body), headers)


def _indexed(record: Record) -> str | None:
    body = json.loads(record.value or b"{}")
    good = body.get("tenant") == HEALTHY and body.get("schema") == "item.indexed/1"
    return body["item_id"] if good else None


def _search(number: int) -> Record:
    return replace(as_record(write_request(number, SEARCH_MS)), partition=number % 2)


def _answered(record: Record) -> str | None:
    body = json.loads(record.value or b"{}")
    name, good = body.get("request_id", ""), body.get("status") in ("ok", "no_match")
    return name if good and name[1:].isdigit() else None


def paces(busy: Busy, rounds: int, seconds: float, disturb: Callable[[int], None]) -> tuple[float, float]:
    """Done in a second alone for `seconds`, and beside what disturbs, in rounds of each in turn.

    A disturbed round ends when all is done that was sent before the disturbance ended: behind it, that is.
    """
    alone, beside = list[float](), list[float]()
    for number in itertools.count():
        alone.append(_pace(busy, lambda: time.sleep(seconds)))
        if number == rounds:
            return sum(alone) / len(alone), sum(beside) / len(beside)
        beside.append(_pace(busy, partial(_disturb, busy, disturb, number)))
    raise AssertionError


def _disturb(busy: Busy, disturb: Callable[[int], None], number: int) -> None:
    disturb(number)
    busy.wait_until_done(60)


def _pace(busy: Busy, wait: Callable[[], None]) -> float:
    started, done = time.monotonic(), len(busy.done)
    wait()
    return (len(busy.done) - done) / (time.monotonic() - started)
