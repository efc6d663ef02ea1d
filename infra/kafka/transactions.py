"""Transactions: commit results together with the offsets of their requests, atomically."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from infra.config.kafka import KafkaSettings
from infra.futures import call_in_thread
from infra.kafka.client_settings import ConfigValue
from infra.kafka.config import log, no_broker_message
from infra.kafka.errors import (
    ErrorClass,
    Fenced,
    PartitionsRevoked,
    classify,
    explain,
    to_exception,
    translate_errors,
)
from infra.kafka.names import OffsetAndMetadata, client_offsets, group_name
from infra.kafka.problems import Problems
from infra.kafka.record import OutgoingRecord, Partition
from infra.kafka.sink import IDEMPOTENT_DELIVERY, IN_FLIGHT, EventSink, fallback_for
from infra.retry import Retry
from schemas.failures import Unavailable

TRANSACTION_MS = (3_000, 10_000)
"""Bounds of the transaction timeout, which otherwise equals the worker's session timeout: read_committed consumers
wait behind a transaction that a worker left open until it times out."""
TIMEOUTS = ("transaction.timeout.ms", "delivery.timeout.ms", "socket.timeout.ms")
"""librdkafka requires that the others do not exceed the first."""
ANSWER_SECONDS = 3.0
"""Seconds that the broker may take for one step of a transaction. Then a new producer is created, which looks up
the coordinators again: the old one may keep using those that were killed."""
MAX_ANSWER_SECONDS = 12.0
"""Longest time for one step: ANSWER_SECONDS doubles with each new producer until a transaction is committed,
because a cluster that is only slow must not cause new producers for ever."""
START_SECONDS = 15.0
"""Seconds that a new producer may take to initialise: a failed coordinator gets its successor in that time."""
CALL_GRACE_SECONDS = 0.5
"""Seconds that a call may exceed its timeout before it is abandoned: it may wait for ever for a group
coordinator that was killed (librdkafka 2.16.0, see RECOVERY_SETTINGS)."""
REPLACE_INTERVAL_SECONDS = 120.0
"""Fewest seconds between replacements of a fenced producer: the error may concern its own earlier epoch."""
OVERDUE_SHARE = 0.9
"""If a transaction was open for at least this share of its timeout, no other producer has fenced this one: the
broker has aborted the transaction, and reports the same error for that. A new producer always resolves it."""
RECOVERY_SETTINGS: Mapping[str, ConfigValue] = {"metadata.recovery.strategy": "none"}
"""By default a producer that has lost all brokers discards them and uses the bootstrap servers again. It may then
wait for ever, past its own timeout, for the group coordinator, which it has discarded too (librdkafka 2.16.0,
issues 5456 and 5511; observed with a broker frozen for 90 s). With `none` it keeps its brokers and continues."""


NO_ANSWER_CODES = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
"""Error codes of the client if no broker has answered."""
PRODUCER_ID_LOST = KafkaError._STATE
"""Error code of a producer that has lost its producer id while the brokers were unavailable: a new producer gets a
new one (librdkafka 2.16.1, rd_kafka_txn_send_TxnOffsetCommitRequest)."""


class OutcomeUnknown(Exception):
    """It is unknown whether a transaction was committed: call `resolve_outcome`, then read the offsets."""


class TransactionSink:
    """Sends records and offsets in one transaction at a time; of two sinks with one name only the newer can commit.

    `problems` is as in EventSink.
    """

    def __init__(self, kafka: KafkaSettings, name: str, problems: Problems | None = None) -> None:
        self._kafka = kafka
        self._problems = problems
        self._name = group_name(kafka, name)
        self._replaced_at = self._begun_at = float("-inf")
        min_ms, max_ms = TRANSACTION_MS
        self._timeout_ms = max(min_ms, min(kafka.session_timeout_ms, max_ms))
        self._is_open = self._is_outcome_unknown = False
        self._answer_seconds = ANSWER_SECONDS
        self._deadline = float("inf")
        self._sink = self._start()

    def commit(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndMetadata],
        group_metadata: Callable[[], object],
    ) -> None:
        """Commit records and the group's offsets in one transaction.

        `group_metadata` is called right before the offsets are sent, as the group may have rebalanced since the
        records of the batch were taken. Raises Unavailable or PartitionsRevoked if nothing was committed and the
        same call may succeed later; OutcomeUnknown if it may be committed; Fenced or KafkaFault if this producer
        must end.
        """
        self.resolve_outcome()
        self._abort()
        with translate_errors("a transaction was not begun"):
            self._sink.producer.begin_transaction()
        self._is_open, self._begun_at = True, time.monotonic()
        try:
            for record in records:
                self._sink.send_record(record)
            self._step(lambda: self._send_offsets(offsets, group_metadata()))
        except KafkaException as problem:
            return self._commit_again(records, offsets, group_metadata, problem)
        except TimeoutError:
            self._replace_producer()
            raise Unavailable("the group's coordinator has not answered, so a new producer is used") from None
        if not self._sink.is_confirmed(self._limit_seconds(self._answer_seconds)):
            self._replace_producer()
            raise Unavailable("the brokers have not confirmed all records, so a new producer is used")
        try:
            self._step(lambda: self._sink.producer.commit_transaction(self._limit_seconds(self._answer_seconds)))
            self._is_open, self._answer_seconds = False, ANSWER_SECONDS
        except KafkaException as problem:
            if problem.args[0].txn_requires_abort():
                return self._commit_again(records, offsets, group_metadata, problem)
            self._is_outcome_unknown = True
            raise OutcomeUnknown(explain(problem.args[0])) from None

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Limit the total time that the block waits for brokers."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = float("inf")

    def resolve_outcome(self) -> None:
        """After OutcomeUnknown: create a producer that completes or aborts the transaction. Raises Unavailable."""
        if self._is_outcome_unknown:
            self._replace_producer()
            self._is_outcome_unknown = False

    def close(self) -> None:
        """Close the connection to the broker; an open transaction is aborted."""
        self._sink.close()

    def _send_offsets(self, offsets: Mapping[Partition, OffsetAndMetadata], group: object) -> None:
        """Add offsets to the transaction; raises KafkaException, or TimeoutError if the client ignores its timeout.

        No local variable refers to the producer: a traceback would keep it and its threads alive after replacement.
        """
        offsets_to_commit, seconds = client_offsets(self._kafka, offsets), self._limit_seconds(self._answer_seconds)
        call_in_thread(
            "transaction",
            lambda: self._sink.producer.send_offsets_to_transaction(offsets_to_commit, group, seconds),
        ).result(seconds + CALL_GRACE_SECONDS)  # after that the thread is abandoned

    def _commit_again(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndMetadata],
        group_metadata: Callable[[], object],
        problem: KafkaException,
    ) -> None:
        """Abort a failed transaction; repeat it if refused records have fallbacks, otherwise raise its error."""
        failed, error = self._sink.pop_failed(), problem.args[0]
        if error.code() == KafkaError.FENCED_INSTANCE_ID:  # this fences the group member, not the producer
            self._abort()
            raise PartitionsRevoked(f"a transaction was aborted: {explain(error)}")
        if error.fatal() or classify(error) is ErrorClass.FENCED:
            self._handle_fencing(error)
            raise Unavailable(f"a new producer has aborted the transaction: {explain(error)}")
        if _is_transient(problem) or error.code() == PRODUCER_ID_LOST:
            self._replace_producer()
            raise Unavailable(f"the coordinator has not answered, so a new producer is used: {explain(error)}")
        self._abort()
        fallbacks = {
            id(record): fallback
            for record, reason in failed
            if (fallback := fallback_for(record, reason)) is not None
        }
        if fallbacks:
            return self.commit([fallbacks.get(id(each), each) for each in records], offsets, group_metadata)
        raise to_exception(failed[0][1] if failed else error, "a transaction was not completed")

    def _step(self, step: Callable[[], None]) -> None:
        """Run a step, and retry it on transient errors, which is safe. Raises KafkaException."""
        Retry(self._limit_seconds(self._answer_seconds)).run(step, _is_transient)

    def _limit_seconds(self, seconds: float) -> float:
        """`seconds`, limited by the time that remains until the deadline."""
        return max(0.0, min(seconds, self._deadline - time.monotonic()))

    def _abort(self) -> None:
        """Abort an open transaction. Raises Unavailable while it is not known to be aborted."""
        if not self._is_open:
            return
        try:
            self._step(lambda: self._sink.producer.abort_transaction(self._limit_seconds(self._answer_seconds)))
        except KafkaException as problem:
            log.warning("abort failed, a new producer will abort the transaction: %s", problem.args[0].str())
            self._replace_producer()
        self._sink.pop_failed()
        self._is_open = False

    def _handle_fencing(self, error: KafkaError) -> None:
        """Replace a fenced producer; raises Fenced if one was replaced less than REPLACE_INTERVAL_SECONDS ago."""
        now = time.monotonic()
        if now - self._begun_at < OVERDUE_SHARE * self._timeout_ms / 1000:
            if now - self._replaced_at < REPLACE_INTERVAL_SECONDS:
                text = f"another worker has the name {self._name}: give each a slot of its own ({error.str()})"
                raise Fenced(text)
            self._replaced_at = now
        log.warning("fenced, starting a new producer: %s", error.str())
        self._replace_producer()

    def _replace_producer(self) -> None:
        """Create a new producer of this name, which ends the old one's transaction; raises Unavailable.

        A producer whose records timed out in a transaction needs a new epoch to abort it. The local broker never
        grants it one (Tansu 0.6.0; observed with a broker frozen for 90 s), but grants one to a new producer.
        """
        self._sink.drop()
        self._answer_seconds = min(2 * self._answer_seconds, MAX_ANSWER_SECONDS)
        self._sink = self._start()
        self._is_open = False

    def _start(self) -> EventSink:
        config = {**IDEMPOTENT_DELIVERY, **dict.fromkeys(TIMEOUTS, self._timeout_ms), **RECOVERY_SETTINGS}
        # Several requests may be in flight, for speed: a transaction with an unconfirmed record is not committed.
        config |= {"linger.ms": 0, "transactional.id": self._name, IN_FLIGHT: 5}
        sink = EventSink(self._kafka, config, self._problems)
        try:
            Retry(self._limit_seconds(START_SECONDS)).run(
                lambda: sink.producer.init_transactions(self._limit_seconds(ANSWER_SECONDS)), _is_transient
            )
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            is_silent = error.code() in NO_ANSWER_CODES
            what = (
                no_broker_message(self._kafka)
                if is_silent
                else f"the transactions of {self._name} cannot begin yet"
            )
            raise to_exception(error, what) from None
        return sink


def _is_transient(problem: Exception) -> bool:
    if not isinstance(problem, KafkaException):
        return False
    error: KafkaError = problem.args[0]
    return bool(error.retriable()) and not error.txn_requires_abort() and not error.fatal()
