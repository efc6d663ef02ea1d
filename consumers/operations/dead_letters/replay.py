"""Replay: sends dead letters to their source topics again, unchanged, and audits each after its acknowledgement."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from consumers.operations.dead_letters.dead_letter import FIRST_FAILED_HEADER, DeadLetter
from consumers.operations.dead_letters.replay_audit import Audit
from infra.kafka import OutgoingRecord
from schemas.audit import DeadLetterReplayed
from schemas.cloud_events import TYPE_PREFIX
from schemas.envelope import from_record, to_bytes

HEADER_PREFIX = "replay-"
"""Prefix of the headers that a replay adds; they replace those of an earlier replay."""
POLL_SECONDS = 0.1
"""Interval at which a pause checks whether it should stop."""


class ReplaySink(Protocol):
    """Producer of records that name their topic and partition; infra.kafka.EventSink implements it."""

    def send_record(self, record: OutgoingRecord) -> None: ...
    def flush(self) -> None: ...


@dataclass(frozen=True)
class ReplayRequest:
    """Parameters of a replay: its id, the user who started it, and its maximum rate in records per second."""

    id: str
    by: str
    rate: float


@dataclass
class ReplayTally:
    """Progress of a replay."""

    sent: int = 0
    interrupted: bool = False

    def count_sent(self) -> None:
        """Count a letter that was sent."""
        self.sent += 1

    def interrupt(self) -> None:
        """Record that the replay ended before all letters were sent."""
        self.interrupted = True


class Replay:
    """Sends letters one at a time: sends one, waits for the acknowledgement, then writes its audit event.

    If it is killed, nothing is lost; at worst one letter was sent without an audit event, and the next replay sends
    it again. That has no effect, because the revision is unchanged.
    """

    def __init__(
        self, sink: ReplaySink, audits: Sequence[Audit], request: ReplayRequest, is_stopped: Callable[[], bool]
    ) -> None:
        self._sink = sink
        self._audits = audits
        self._request = request
        self._is_stopped = is_stopped

    def run(
        self, letters: Iterable[DeadLetter], planned: Mapping[str, DeadLetter], tally: ReplayTally
    ) -> Iterator[DeadLetter]:
        """Send the `planned` letters, each once; yields each after its audit event. Raises Unavailable."""
        pending, started = dict(planned), time.monotonic()
        for letter in letters:
            if letter.id not in pending:
                continue
            self._wait_until(started + tally.sent / self._request.rate)
            if self._is_stopped():
                tally.interrupt()
                return
            self._send(letter, pending.pop(letter.id).code)
            tally.count_sent()
            yield letter
            if not pending:
                return

    def _send(self, letter: DeadLetter, code: str) -> None:
        self._sink.send_record(replayed_record(letter, self._request.id))
        self._sink.flush()
        event = DeadLetterReplayed(
            position=letter.position,
            digest=letter.digest,
            topic=letter.topic,
            code=code[:64],
            key=None if letter.key_text is None else letter.key_text[:300],
            replayed_at=datetime.now(UTC),
            replay_id=self._request.id,
            by=self._request.by,
        )
        for audit in self._audits:
            audit.note(event)

    def _wait_until(self, moment: float) -> None:
        while not self._is_stopped() and (remaining := moment - time.monotonic()) > 0:
            time.sleep(min(remaining, POLL_SECONDS))


def replayed_record(letter: DeadLetter, replay_id: str) -> OutgoingRecord:
    """The record to send: the original key, value, headers and partition, and the headers of the replay.

    The revision of a null value is its record's time. A replay therefore sends an explicit deletion with that
    revision: brokers may set their own time on records, and a new time would delete newer versions of the item.
    """
    headers = {name: value for name, value in letter.headers.items() if not name.startswith(HEADER_PREFIX)}
    replay_headers = {
        "replay-of": letter.position,
        "replay-id": replay_id,
        FIRST_FAILED_HEADER: letter.known_since.isoformat(),
    }
    value = letter.value
    if value is None:
        body = from_record(letter.position, letter.key, None, letter.headers, letter.timestamp_ms).body
        value = to_bytes(body)
        replay_headers |= {"ce_type": TYPE_PREFIX + body.schema_, "content-type": "application/json"}
    headers |= {name: text.encode() for name, text in replay_headers.items()}
    return OutgoingRecord(letter.topic, letter.key, value, headers, letter.partition)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield a callable that returns whether SIGINT (Ctrl-C) or SIGTERM has arrived; a second one ends the process.

    No exception is raised, because inside a delivery callback it would break confluent-kafka's flush (SystemError).
    """
    signals: list[int] = []

    def record(number: int, _frame: object) -> None:
        signals.append(number)
        signal.signal(number, signal.SIG_DFL)

    previous = {number: signal.signal(number, record) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
