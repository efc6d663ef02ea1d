"""The shelf: all dead letters that a settings' system has, in Kafka and, in local mode, in the data folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from consumers.operations.dead_letters.dead_letter import DeadLetter, read_topics
from consumers.operations.dead_letters.local_file import FILE, DeadLetterFile
from consumers.operations.dead_letters.replay_audit import FILE as AUDIT_FILE
from consumers.operations.dead_letters.replay_audit import FileAudit, read_audit, replayed_id
from infra.config.settings import KafkaSettings, Settings
from infra.local_state import reach_kafka
from schemas.audit import DeadLetterReplayed
from schemas.failures import Unavailable


@dataclass(frozen=True)
class DeadLetterStore:
    """Where the letters are, and the notes of what was replayed.

    The files are those of local mode alone: letters of a local broker are no business of another one.
    """

    kafka: KafkaSettings | None
    """None in local mode when nothing runs."""
    kept: DeadLetterFile | None
    audit: FileAudit | None

    def letters(self) -> Iterator[DeadLetter]:
        """Every letter, those of earlier runs first, as often as it lies there; raises Unavailable."""
        return chain(self.kept.read() if self.kept else (), read_topics(self.kafka) if self.kafka else ())

    def replayed(self) -> dict[str, DeadLetterReplayed]:
        """The last note on each letter that was replayed, by the letter's id; raises Unavailable."""
        notes = chain(self.audit.read() if self.audit else (), read_audit(self.kafka) if self.kafka else ())
        return {replayed_id(note): note for note in notes}

    def tidy(self) -> None:
        """Forget the kept letters that were replayed: the notes stay."""
        if self.kept is not None and any(True for _ in self.kept.read()):
            self.kept.drop(self.replayed().keys())

    def save(self) -> int:
        """Keep what is open in the local broker, which forgets it; how many letters are new in the file."""
        if self.kept is None or self.kafka is None:
            return 0
        done = self.replayed()
        return self.kept.add(letter for letter in read_topics(self.kafka) if letter.id not in done)


def open_store(settings: Settings) -> DeadLetterStore:
    """The shelf of these settings; raises Unavailable when neither Kafka nor a file of letters is there."""
    if settings.kafka.bootstrap:
        return DeadLetterStore(reach_kafka(settings), None, None)
    kept, audit = DeadLetterFile(settings.data / FILE), FileAudit(settings.data / AUDIT_FILE)
    try:
        return DeadLetterStore(reach_kafka(settings), kept, audit)
    except Unavailable:
        if not kept.path.exists():
            raise
        return DeadLetterStore(None, kept, audit)
