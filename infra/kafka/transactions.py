"""Transactions: results, and the offsets of the requests they answer, become visible together or not at all."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from infra.config.settings import KafkaSettings
from infra.futures import call_in_thread
from infra.kafka.config import ConfigValue, log, no_broker
from infra.kafka.errors import ErrorClass, Fenced, PartitionsRevoked, classify, explain, translated, translating
from infra.kafka.names import OffsetAndNote, client_offsets, group_name
from infra.kafka.problems import Problems
from infra.kafka.record import OutgoingRecord, Partition
from infra.kafka.sink import ONCE, EventSink, replacement
from infra.retry import Retry
from schemas.failures import Unavailable

TRANSACTION_MS = (3_000, 10_000)
"""A transaction that its worker left open ends with the worker's session, within these bounds: until then readers
wait behind it."""
TIMEOUTS = ("transaction.timeout.ms", "delivery.timeout.ms", "socket.timeout.ms")
"""librdkafka wants none of the others longer than the first."""
ANSWER_SECONDS = 3.0
"""How long the broker may take for one step of a transaction. Then a new producer is taken, which finds the
coordinators anew: the old one may keep to those that were killed."""
MOST_ANSWER_SECONDS = 12.0
"""It may take twice as long with each new producer until a transaction is committed, and never longer than this: a
cluster that is slow, and not dead, must not be asked anew for ever."""
START_SECONDS = 15.0
"""How long a producer may take to begin: until a dead coordinator has a successor."""
OVERDUE_SECONDS = 0.5
"""A call that has not returned so long after its timeout is given up: one that waits for a coordinator of the group
that was killed may wait for ever (librdkafka 2.16.0, as below)."""
SECOND_LOOK_SECONDS = 120.0
"""A producer that is fenced is replaced, once in so long: the broker's word may be about its own past."""
OVERDUE_SHARE = 0.9
"""A producer whose transaction was open for this share of its time and more was not fenced by another: the broker
has ended the transaction, which it tells by the same word. That is always mended by a new producer."""
STAYS: Mapping[str, ConfigValue] = {"metadata.recovery.strategy": "none"}
"""A producer that has lost all brokers forgets them and asks the bootstrap servers anew. It may then wait for ever
for the coordinator of the group, which it has forgotten too, past its own timeout (librdkafka 2.16.0, issues 5456
and 5511; met after a broker had been frozen for 90 s). One that keeps its brokers goes on."""


SILENCE = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
"""What the client says when no broker has answered."""
WITHOUT_ID = KafkaError._STATE
"""What a producer says that has lost its own id while the brokers were away: a new one gets another
(librdkafka 2.16.1, rd_kafka_txn_send_TxnOffsetCommitRequest)."""


class OutcomeUnknown(Exception):
    """Nobody said whether a transaction was committed: call `settle`, then see what the group has committed."""


class TransactionSink:
    """Sends records and offsets, a transaction at a time; of two with one name only the younger can commit.

    `problems` is as in EventSink.
    """

    def __init__(self, kafka: KafkaSettings, name: str, problems: Problems | None = None) -> None:
        self._kafka = kafka
        self._problems = problems
        self._name = group_name(kafka, name)
        self._replaced = self._begun = float("-inf")
        least_ms, most_ms = TRANSACTION_MS
        self._longest_ms = max(least_ms, min(kafka.session_timeout_ms, most_ms))
        self._open = self._unknown = False
        self._answer_seconds = ANSWER_SECONDS
        self._until = float("inf")
        self._sink = self._start()

    def commit(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndNote],
        group_metadata: Callable[[], object],
    ) -> None:
        """Make these records visible, and these offsets of the group committed, in one step.

        `group_metadata` is asked when the offsets are about to be sent: the group may have moved on since the
        records of the batch were taken. Raises Unavailable or PartitionsRevoked when nothing was committed and
        the same call may work later; OutcomeUnknown; Fenced and KafkaFault when this producer must end.
        """
        self.settle()
        self._abort()
        with translating("a transaction was not begun"):
            self._sink.producer.begin_transaction()
        self._open, self._begun = True, time.monotonic()
        try:
            for record in records:
                self._sink.send_record(record)
            self._step(lambda: self._send_offsets(offsets, group_metadata()))
        except KafkaException as problem:
            return self._commit_again(records, offsets, group_metadata, problem)
        except TimeoutError:
            self._start_anew()
            raise Unavailable("the group's coordinator has not answered, so a new producer is used") from None
        try:
            self._step(lambda: self._sink.producer.commit_transaction(self._left(self._answer_seconds)))
            self._open, self._answer_seconds = False, ANSWER_SECONDS
        except KafkaException as problem:
            if problem.args[0].txn_requires_abort():
                return self._commit_again(records, offsets, group_metadata, problem)
            self._unknown = True
            raise OutcomeUnknown(explain(problem.args[0])) from None

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Nothing that is done inside waits longer for a broker, all waits taken together."""
        self._until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until = float("inf")

    def settle(self) -> None:
        """After OutcomeUnknown: have a new producer end the transaction, this way or that. Raises Unavailable."""
        if self._unknown:
            self._start_anew()
            self._unknown = False

    def close(self) -> None:
        """Let go of the broker; a transaction that is open ends without effect."""
        self._sink.close()

    def _send_offsets(self, offsets: Mapping[Partition, OffsetAndNote], group: object) -> None:
        """Raises KafkaException, and TimeoutError where the client itself does not keep to its timeout.

        Nothing here has a name for the producer: a traceback would keep it, and its threads, when it was replaced.
        """
        asked, seconds = client_offsets(self._kafka, offsets), self._left(self._answer_seconds)
        _within(
            seconds + OVERDUE_SECONDS,
            lambda: self._sink.producer.send_offsets_to_transaction(asked, group, seconds),
        )

    def _commit_again(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndNote],
        group_metadata: Callable[[], object],
        problem: KafkaException,
    ) -> None:
        """Undo what failed; do it once more with other records in place of those that were refused for good."""
        failed, error = self._sink.take_failed(), problem.args[0]
        if error.code() == KafkaError.FENCED_INSTANCE_ID:  # the member of the group, not this producer
            self._abort()
            raise PartitionsRevoked(f"a transaction was undone: {explain(error)}")
        if error.fatal() or classify(error) is ErrorClass.FENCED:
            self._replace(error)
            raise Unavailable(f"the transaction was undone by a new producer: {explain(error)}")
        if _is_passing(problem) or error.code() == WITHOUT_ID:
            self._start_anew()
            raise Unavailable(f"the coordinator has not served, so a new producer is used: {explain(error)}")
        self._abort()
        others = {id(record): other for record, why in failed if (other := replacement(record, why)) is not None}
        if others:
            return self.commit([others.get(id(each), each) for each in records], offsets, group_metadata)
        raise translated(failed[0][1] if failed else error, "a transaction was not completed")

    def _step(self, step: Callable[[], None]) -> None:
        """Do a step, again while it may still be done: asking again is safe. Raises KafkaException."""
        Retry(self._left(self._answer_seconds)).run(step, _is_passing)

    def _left(self, seconds: float) -> float:
        """So many seconds, or what is left until the deadline."""
        return max(0.0, min(seconds, self._until - time.monotonic()))

    def _abort(self) -> None:
        """Undo a transaction that was left open. Raises Unavailable while it is not known to be undone."""
        if not self._open:
            return
        try:
            self._step(lambda: self._sink.producer.abort_transaction(self._left(self._answer_seconds)))
        except KafkaException as problem:
            log.warning("a transaction was not undone, so a new producer does it: %s", problem.args[0].str())
            self._start_anew()
        self._sink.take_failed()
        self._open = False

    def _replace(self, error: KafkaError) -> None:
        """Take a new producer in place of one that was fenced, unless another has fenced two just now."""
        now = time.monotonic()
        if now - self._begun < OVERDUE_SHARE * self._longest_ms / 1000:
            if now - self._replaced < SECOND_LOOK_SECONDS:
                text = f"another worker has the name {self._name}: give each a slot of its own ({error.str()})"
                raise Fenced(text)
            self._replaced = now
        log.warning("fenced, so starting anew: %s", error.str())
        self._start_anew()

    def _start_anew(self) -> None:
        """Have a new producer of this name end what the old one left open; raises Unavailable.

        A producer whose records timed out in a transaction needs a new epoch to abort it. The local broker never
        grants one (Tansu 0.6.0; met after it had been frozen for 90 s), but to a new producer of that name it does.
        """
        self._sink.drop()
        self._answer_seconds = min(2 * self._answer_seconds, MOST_ANSWER_SECONDS)
        self._sink = self._start()
        self._open = False

    def _start(self) -> EventSink:
        timeouts: Mapping[str, ConfigValue] = dict.fromkeys(TIMEOUTS, self._longest_ms)
        name = {"transactional.id": self._name}
        sink = EventSink(self._kafka, {**ONCE, **timeouts, **STAYS, "linger.ms": 0, **name}, self._problems)
        try:
            Retry(self._left(START_SECONDS)).run(
                lambda: sink.producer.init_transactions(self._left(ANSWER_SECONDS)), _is_passing
            )
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            is_silent = error.code() in SILENCE
            what = no_broker(self._kafka) if is_silent else f"the transactions of {self._name} cannot begin yet"
            raise translated(error, what) from None
        return sink


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Call this in a thread, which is left alone when it takes longer: then raises TimeoutError."""
    call_in_thread("transaction", call).result(seconds)


def _is_passing(problem: Exception) -> bool:
    """Whether the same step may still work."""
    if not isinstance(problem, KafkaException):
        return False
    error: KafkaError = problem.args[0]
    return bool(error.retriable()) and not error.txn_requires_abort() and not error.fatal()
