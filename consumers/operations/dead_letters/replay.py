"""Replaying: dead letters go to their source topics again, as they were, and each is noted when it has arrived."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from consumers.operations.dead_letters.dead_letter import FIRST_FAILED, DeadLetter
from consumers.operations.dead_letters.replay_audit import Audit
from infra.kafka import OutgoingRecord
from schemas.audit import DeadLetterReplayed
from schemas.envelope import TYPE_PREFIX, from_record, to_bytes

OURS = "replay-"
"""How the headers begin that a replay adds, in place of those of an earlier one."""
LOOK_SECONDS = 0.1
"""How often a pause looks whether it should end."""


class RecordSink(Protocol):
    """Takes records for their own topic and partition; infra.kafka.EventSink is one."""

    def send_record(self, record: OutgoingRecord) -> None: ...
    def flush(self) -> None: ...


@dataclass(frozen=True)
class ReplayRequest:
    """A replay: its id, who asked for it, and how many records a second it sends at the most."""

    id: str
    by: str
    rate: float


@dataclass
class ReplayTally:
    """What a replay has done so far."""

    sent: int = 0
    interrupted: bool = False


class Replay:
    """Sends letters one at a time: send, wait for the acknowledgement, note it.

    Killed at any moment, it has lost nothing, and at the worst one letter was sent without a note, so that the next
    replay sends it again. That changes nothing: its revision is what it was.
    """

    def __init__(
        self, sink: RecordSink, audits: Sequence[Audit], order: ReplayRequest, stopped: Callable[[], bool]
    ) -> None:
        self._sink = sink
        self._audits = audits
        self._order = order
        self._stopped = stopped

    def run(
        self, letters: Iterable[DeadLetter], wanted: Mapping[str, DeadLetter], tally: ReplayTally
    ) -> Iterator[DeadLetter]:
        """Send those of `letters` that are `wanted`, each once; yields each as it is noted. Raises Unavailable."""
        left, started = dict(wanted), time.monotonic()
        for letter in letters:
            if letter.id not in left:
                continue
            self._wait_until(started + tally.sent / self._order.rate)
            if self._stopped():
                tally.interrupted = True
                return
            self._send(letter, left.pop(letter.id).code)
            tally.sent += 1
            yield letter
            if not left:
                return

    def _send(self, letter: DeadLetter, code: str) -> None:
        self._sink.send_record(replayed_record(letter, self._order.id))
        self._sink.flush()
        note = DeadLetterReplayed(
            position=letter.position,
            digest=letter.digest,
            topic=letter.topic,
            code=code[:64],
            key=None if letter.key_text is None else letter.key_text[:300],
            replayed_at=datetime.now(UTC),
            replay_id=self._order.id,
            by=self._order.by,
        )
        for audit in self._audits:
            audit.note(note)

    def _wait_until(self, moment: float) -> None:
        while not self._stopped() and (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))


def replayed_record(letter: DeadLetter, replay_id: str) -> OutgoingRecord:
    """The record to send: key, value, headers and partition as they were, and what says that it is a replay.

    A null value gets its revision from its record's time. It becomes the deletion with that revision in writing:
    brokers may put their own time on records, and a new time would delete what came since.
    """
    headers = {name: value for name, value in letter.headers.items() if not name.startswith(OURS)}
    told = {"replay-of": letter.position, "replay-id": replay_id, FIRST_FAILED: letter.known_since.isoformat()}
    value = letter.value
    if value is None:
        body = from_record(letter.position, letter.key, None, letter.headers, letter.timestamp_ms).body
        value = to_bytes(body)
        told |= {"ce_type": TYPE_PREFIX + body.schema_, "content-type": "application/json"}
    headers |= {name: text.encode() for name, text in told.items()}
    return OutgoingRecord(letter.topic, letter.key, value, headers, letter.partition)


@contextmanager
def signals_noted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came, as a callable; a second one ends the process at once.

    An exception would not do: raised inside a delivery callback it breaks confluent-kafka's flush (SystemError).
    """
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        noted.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
