"""Transactions: results, and the offsets of the requests they answer, become visible together or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from infra.kafka.client import ConfigValue, Fenced, Record, no_broker
from infra.kafka.sink import ONCE, EventSink
from infra.kafka.source import ends_of
from infra.settings import Kafka
from schemas.envelope import Event
from schemas.failures import Unavailable

TRANSACTION_MS = 10_000
"""A transaction that its worker left open ends after this; until then readers wait behind it."""
ANSWER_SECONDS = 15.0
"""How long the broker may take for one step of a transaction."""
STAYS: Mapping[str, ConfigValue] = {"metadata.recovery.strategy": "none"}
"""A producer that has lost all brokers forgets them and asks the bootstrap servers anew. It may then wait for ever
for the coordinator of the group, which it has forgotten too, past its own timeout (librdkafka 2.16.0, issues 5456
and 5511; met after a broker had been frozen for 90 s). One that keeps its brokers goes on."""
ATTEMPTS = 3
"""Steps whose outcome is unknown are asked for so often; then somebody must start anew, which settles it."""


class TransactionSink:
    """Where events go, a transaction at a time; of two with one name only the younger can commit.

    Raises Unavailable when the broker is away, and Fenced when this one must end: another has its name, or the
    outcome of a commit stayed unknown (a new one finds out).
    """

    def __init__(self, kafka: Kafka, name: str) -> None:
        self._kafka = kafka
        self._name = name
        self._sink = self._started()
        self._open = False
        self._unanswered = 0
        """How often an abort was asked for in vain."""
        self.is_empty = True
        """Whether nothing was sent since `begin`."""

    def begin(self) -> None:
        """Start a transaction, after ending one that was left open."""
        self.abort()
        with self._judging():
            self._sink.producer.begin_transaction()
        self._open = self.is_empty = True

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Add an event to the transaction."""
        self.is_empty = False
        self._sink.send(topic, key, event, partition)

    def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
        *,
        partition: int | None = None,
    ) -> None:
        """Add a record as it is to the transaction."""
        self.is_empty = False
        self._sink.send_raw(topic, key, value, headers, partition=partition)

    def flush(self) -> None:
        """Nothing to do: `commit` waits until everything has arrived."""

    def arrive(self) -> None:
        """Wait until what was sent has arrived, which alone makes nothing visible."""
        self._sink.flush()

    def commit(self, records: Sequence[Record], group: object) -> None:
        """Make what was sent visible, and these records of `group` done, in one step."""
        self.promise(records, group)
        self._insist(lambda: self._sink.producer.commit_transaction(ANSWER_SECONDS))
        self._open = False

    def promise(self, records: Sequence[Record], group: object) -> None:
        """Make these records of `group` a part of the transaction: done if it is committed."""
        offsets = [TopicPartition(topic, part, end) for (topic, part), end in ends_of(records).items()]
        self._insist(lambda: self._sink.producer.send_offsets_to_transaction(offsets, group, ANSWER_SECONDS))

    def abort(self) -> None:
        """Forget what was sent since `begin`; nothing of it becomes visible.

        Raises Unavailable while it is not known to be undone: the next `begin` asks again.
        """
        if not self._open:
            return
        try:
            with self._judging():
                self._sink.producer.abort_transaction(ANSWER_SECONDS)
        except _Unknown as unknown:
            self._unanswered += 1
            if self._unanswered < ATTEMPTS:
                raise Unavailable(f"a transaction is not undone yet: {unknown}") from None
            self._start_anew()
        self._open, self._unanswered = False, 0

    def close(self) -> None:
        """Let go of the broker; a transaction that is open ends without effect."""
        self._sink.close()

    def _start_anew(self) -> None:
        """Have a new producer of this name undo what the old one cannot; raises Unavailable.

        A producer whose records timed out in a transaction needs a new epoch to abort it. The local broker never
        grants one (Tansu 0.6.0; met after it had been frozen for 90 s), but to a new producer of that name it does.
        """
        self._sink.producer.purge()
        self._sink = self._started()

    def _started(self) -> EventSink:
        timeouts = {"transaction.timeout.ms": TRANSACTION_MS, "delivery.timeout.ms": TRANSACTION_MS}
        name = {"transactional.id": self._name}
        sink = EventSink(self._kafka, {**ONCE, **timeouts, **STAYS, "linger.ms": 0, **name})
        try:
            sink.producer.init_transactions(ANSWER_SECONDS)
        except KafkaException as error:
            raise Unavailable(f"{no_broker(self._kafka)} ({error.args[0].str()})") from None
        return sink

    def _insist(self, step: Callable[[], None]) -> None:
        """Do a step, again while its outcome is unknown: asking again is safe until it is known."""
        for left in reversed(range(ATTEMPTS)):
            try:
                with self._judging():
                    return step()
            except _Unknown as unknown:
                if not left:
                    raise Fenced(f"the outcome of a transaction stayed unknown ({unknown})") from None

    @contextmanager
    def _judging(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as problem:
            error = problem.args[0]
            if error.fatal() or error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED):
                raise Fenced(f"another worker took the name {self._name} ({error.str()})") from None
            if error.retriable():
                raise _Unknown(error.str()) from None
            raise Unavailable(f"a transaction was not completed: {error.str()}") from None


class _Unknown(Exception):
    """The broker did not say in time whether a step worked."""
