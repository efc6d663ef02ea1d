"""A steady load of valid items or searches, of which some always wait; it counts the finished ones."""

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
from tests.chaos.feed import ANY_PARTITION, draw
from tests.chaos.search_requests import as_record, write_request
from tests.outgoing_record import to_outgoing

HEALTHY = "healthy"
"""The tenant of the items; no other has it."""
SEARCH_MS = 60_000


@dataclass
class SteadyLoad:
    """A load of which `ahead` records from `make` always wait; records of `topic` say which are done."""

    topic: str
    make: Callable[[int], Record]
    name_of: Callable[[Record], str | None]
    """The name in a record of `topic`; None if the record is about something else."""
    ahead: int
    sent: int = 0
    done: set[str] = field(default_factory=set)
    repeated: int = 0

    def wait_until_done(self, seconds: float) -> None:
        """Wait until everything sent before this call is done, at most `seconds`."""
        goal, until = self.sent, time.monotonic() + seconds
        while len(self.done) < goal and time.monotonic() < until:
            time.sleep(0.02)

    @contextmanager
    def sustain(self, kafka: KafkaSettings) -> Iterator["SteadyLoad"]:
        """Sustain the load until the block ends; the last records may be unfinished then."""
        stop = threading.Event()
        with closing(TopicReader(kafka, self.topic)) as reader:
            threads = [
                threading.Thread(target=self._read, args=(reader, stop), daemon=True),
                threading.Thread(target=self._send, args=(kafka, stop), daemon=True),
            ]
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

    def _send(self, kafka: KafkaSettings, stop: threading.Event) -> None:
        with closing(EventSink(kafka)) as sink:
            while not stop.is_set():
                while self.sent - len(self.done) < self.ahead:
                    sink.send_record(to_outgoing(self.make(self.sent)))
                    self.sent += 1
                sink.flush()
                time.sleep(0.005)

    def _read(self, reader: TopicReader, stop: threading.Event) -> None:
        while not stop.is_set():
            record = reader.poll(0.1)
            name = self.name_of(record) if record is not None else None
            if name is not None:
                self.repeated += name in self.done
                self.done.add(name)


def item_load(ahead: int = 32) -> SteadyLoad:
    """New items, each with a small picture; half a batch, so that they leave room for others."""
    return SteadyLoad(ITEM_OUTCOMES, _item, _indexed, ahead)


def search_load(ahead: int = 16) -> SteadyLoad:
    """Searches by items of a searchable testbed, and by pictures."""
    return SteadyLoad(SEARCH_RESULTS, _search, _answered, ahead)


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


def paces(load: SteadyLoad, rounds: int, seconds: float, disturb: Callable[[int], None]) -> tuple[float, float]:
    """Finished records a second, undisturbed for `seconds` and while `disturb` runs, in alternate rounds.

    A disturbed round ends when everything is done that was sent before the end of the disturbance.
    """
    alone, disturbed = list[float](), list[float]()
    for number in itertools.count():
        alone.append(_pace(load, lambda: time.sleep(seconds)))
        if number == rounds:
            return sum(alone) / len(alone), sum(disturbed) / len(disturbed)
        disturbed.append(_pace(load, partial(_disturb, load, disturb, number)))
    raise AssertionError


def _disturb(load: SteadyLoad, disturb: Callable[[int], None], number: int) -> None:
    disturb(number)
    load.wait_until_done(60)


def _pace(load: SteadyLoad, wait: Callable[[], None]) -> float:
    started, done = time.monotonic(), len(load.done)
    wait()
    return (len(load.done) - done) / (time.monotonic() - started)
