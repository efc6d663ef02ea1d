"""A log of searches sent at a steady rate, and of the time at which each answer could be read."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from infra.kafka.sink import IDEMPOTENT_DELIVERY
from schemas.envelope import from_bytes
from schemas.results import SearchResult
from schemas.topics import SEARCH_RESULTS
from tests.chaos.scenario import Report
from tests.chaos.search_requests import as_record, write_request
from tests.chaos.sender import send_in_turn

QUIET_SECONDS = 2.0
"""How long readers wait after the last answer for a second one, which must not come."""
GOOD = ("ok", "no_match")
DELIVERY_MS = 600_000


@dataclass(frozen=True)
class Answer:
    """One answer as a reader of committed records sees it."""

    status: str
    at: float
    """When it could be read, in seconds since 1970."""


@dataclass
class AnswerLog:
    """All requests with their times and partitions, and all answers."""

    partitions: int
    sent: dict[str, float] = field(default_factory=dict)
    """By request id: when it was sent, in seconds since 1970."""
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    def partition_of(self, request_id: str) -> int:
        """The partition of a request: they take turns."""
        return int(request_id[1:]) % self.partitions

    @property
    def open(self) -> int:
        """How many requests have no answer yet."""
        return len(self.sent) - len(self.answers)

    def seconds(self) -> list[float]:
        """How long each request waited for its first answer."""
        return [found[0].at - self.sent[name] for name, found in list(self.answers.items())]

    def answer_times(self, partition: int) -> list[float]:
        """When answers to requests of a partition could be read, in order."""
        return sorted(found[0].at for name, found in self.answers.items() if self.partition_of(name) == partition)

    def judge(self, report: Report) -> None:
        """Note whether each request has exactly one answer, and what the answers are."""
        kinds = Counter(answer.status for found in self.answers.values() for answer in found)
        report.figures["requests"] = len(self.sent)
        report.expect("lost", self.open, 0)
        if lost := [name for name in self.sent if name not in self.answers]:
            report.figures["which lost"] = "; ".join(map(self._describe, lost[:6]))
        report.expect("doubled", sum(len(found) - 1 for found in self.answers.values()), 0)
        if twice := [name for name, found in self.answers.items() if len(found) > 1]:
            report.figures["which doubled"] = "; ".join(map(self._describe, twice[:6]))
        report.expect("expired", kinds["expired"], 0)
        report.expect(
            "answers of another kind", sum(n for kind, n in kinds.items() if kind not in (*GOOD, "expired")), 0
        )
        report.figures["answers"] = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        seconds = self.seconds() or [0.0]
        for name, share in (("p50", 50), ("p99", 99), ("longest", 100)):
            report.figures[f"answered in, {name}, ms"] = round(1000 * float(np.percentile(seconds, share)))

    def _describe(self, name: str) -> str:
        waits = ", ".join(f"{answer.at - self.sent[name]:.1f}" for answer in self.answers.get(name, ()))
        sent = self.sent[name] - min(self.sent.values())
        answered = f"answered after {waits} s" if waits else "never answered"
        return f"{name} of partition {self.partition_of(name)}, sent at {sent:.1f} s, {answered}"


@contextmanager
def follow_answers(kafka: KafkaSettings, log: AnswerLog) -> Iterator[None]:
    """Read all answers from now on into the log until the block ends."""
    stop = threading.Event()
    with closing(TopicReader(kafka, SEARCH_RESULTS)) as reader:
        thread = threading.Thread(target=_read, args=(reader, log, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def asking(kafka: KafkaSettings, log: AnswerLog, count: int, seconds: float, deadline_ms: int) -> Iterator[None]:
    """Send searches evenly over `seconds` while the block runs; its end waits until all are sent."""
    records = [
        replace(as_record(write_request(n, deadline_ms)), partition=n % log.partitions) for n in range(count)
    ]
    thread = threading.Thread(target=_send, args=(kafka, log, records, seconds), daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def wait_for_answers(log: AnswerLog, seconds: float) -> None:
    """Wait until every request has its answer and nothing more comes, or so many seconds at most."""
    until = time.monotonic() + seconds
    while log.open and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(QUIET_SECONDS)


def _send(kafka: KafkaSettings, log: AnswerLog, records: Sequence[Record], seconds: float) -> None:
    started = time.time()
    with closing(EventSink(kafka, {**IDEMPOTENT_DELIVERY, "delivery.timeout.ms": DELIVERY_MS})) as sink:
        for number, record in enumerate(records):
            due = started + seconds * number / len(records)
            time.sleep(max(0.0, due - time.time()))
            log.sent[(record.key or b"").decode()] = due  # also where the broker keeps it waiting
            send_in_turn(sink, record)
        sink.flush()


def _read(reader: TopicReader, log: AnswerLog, stop: threading.Event) -> None:
    while not stop.is_set():
        record = reader.poll(0.1)
        body = from_bytes(record.value) if record is not None and record.value is not None else None
        if isinstance(body, SearchResult) and body.request_id in log.sent:
            log.answers.setdefault(body.request_id, []).append(Answer(body.status, time.time()))
