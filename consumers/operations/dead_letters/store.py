"""Dead-letter store: reads all dead letters of a system, from Kafka and in local mode also from the data folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from consumers.operations.dead_letters.dead_letter import DeadLetter, read_topics
from consumers.operations.dead_letters.local_file import DeadLetterFile
from consumers.operations.dead_letters.replay_audit import FILE as AUDIT_FILE
from consumers.operations.dead_letters.replay_audit import FileAudit, read_audit, replayed_id
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.local_state import DEAD_LETTERS_FILE, resolve_kafka_settings
from schemas.audit import DeadLetterReplayed
from schemas.failures import Unavailable


@dataclass(frozen=True)
class DeadLetterStore:
    """Dead letters and the audit of their replays.

    The files exist only in local mode, because the letters of a local broker do not belong to another broker.
    """

    kafka: KafkaSettings | None
    """None in local mode when the system does not run."""
    local_file: DeadLetterFile | None
    audit: FileAudit | None

    def letters(self) -> Iterator[DeadLetter]:
        """Every letter, those of earlier runs first, with duplicates; raises Unavailable."""
        return chain(
            self.local_file.read() if self.local_file else (), read_topics(self.kafka) if self.kafka else ()
        )

    def replayed(self) -> dict[str, DeadLetterReplayed]:
        """The last audit event of each replayed letter, by the id of the letter; raises Unavailable."""
        events = chain(self.audit.read() if self.audit else (), read_audit(self.kafka) if self.kafka else ())
        return {replayed_id(event): event for event in events}

    def tidy(self) -> None:
        """Drop the replayed letters from the local file; their audit events stay."""
        if self.local_file is not None and any(True for _ in self.local_file.read()):
            self.local_file.drop(self.replayed().keys())

    def save(self) -> int:
        """Copy the letters of the local broker that were not replayed to the file, because the broker loses them.

        Returns the number of letters that are new in the file.
        """
        if self.local_file is None or self.kafka is None:
            return 0
        replayed = self.replayed()
        return self.local_file.add(letter for letter in read_topics(self.kafka) if letter.id not in replayed)


def open_store(settings: Settings) -> DeadLetterStore:
    """Open the store of these settings; raises Unavailable when there is neither Kafka nor a file of letters."""
    if settings.kafka.bootstrap:
        return DeadLetterStore(resolve_kafka_settings(settings), None, None)
    local_file, audit = DeadLetterFile(settings.data / DEAD_LETTERS_FILE), FileAudit(settings.data / AUDIT_FILE)
    try:
        return DeadLetterStore(resolve_kafka_settings(settings), local_file, audit)
    except Unavailable:
        if not local_file.path.exists():
            raise
        return DeadLetterStore(None, local_file, audit)
