"""Outcome follower: a thread that reads new outcomes of item events, and passes them to a handler."""

from collections.abc import Callable
from contextlib import suppress

from infra.client.topic_listener import TopicListener
from infra.config.kafka import KafkaSettings
from infra.kafka import Record, TopicReader
from schemas.envelope import from_bytes
from schemas.failures import Rejected
from schemas.outcomes import ItemOutcome
from schemas.topics import ITEM_OUTCOMES


class OutcomeFollower:
    """Passes each outcome that arrives after its creation to `handle`, in a thread of its own.

    Create it before the events are sent: an outcome can arrive within milliseconds. With a `marker` only outcomes
    that contain these bytes are parsed, because parsing the outcomes of other senders would waste time.
    """

    def __init__(self, kafka: KafkaSettings, handle: Callable[[ItemOutcome], None], marker: bytes = b"") -> None:
        self._handle, self._marker = handle, marker
        self._listener = TopicListener(TopicReader(kafka, ITEM_OUTCOMES), self._read)

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the thread; None while it runs."""
        return self._listener.failure

    def close(self) -> None:
        """Stop following the topic."""
        self._listener.close()

    def _read(self, record: Record) -> None:
        if record.value is None or self._marker not in record.value:
            return
        with suppress(Rejected):  # an outcome of a later version
            if isinstance(outcome := from_bytes(record.value), ItemOutcome):
                self._handle(outcome)
