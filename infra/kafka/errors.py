"""Kafka errors: classify librdkafka's error codes by a table, and convert KafkaException to our exceptions.

docs/reliability.md shows the table; tests compare both with librdkafka's own list of codes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException

from schemas.failures import Fault, Unavailable


class ErrorClass(StrEnum):
    """How an error is handled."""

    RETRIABLE = "try again"
    """Transient: wait and retry within a deadline."""
    REVOKED = "taken away"
    """The group has rebalanced: poll first, then check which partitions are still assigned."""
    FENCED = "fenced"
    """Another client has this one's name, or the broker assumes so: create a new client once, then end."""
    RECORD_REJECTED = "the record's fault"
    """This record will never be accepted: send its fallback instead."""
    FATAL = "fatal"
    """Waiting does not help: credentials, permissions, settings, or a bug of ours. Report the remedy and end."""


class Fenced(Fault):
    """Another process uses this member's or producer's name, so this one must end; the message says so."""


class PartitionsRevoked(Exception):
    """The group no longer knows this member or its generation: the next assignment states its partitions."""


class RecordRefused(Fault):
    """The broker or the client never accepts this record; the message names its topic and the reason."""


class KafkaFault(Fault):
    """Kafka refuses an operation for good; the message names the operation, the reason and the remedy."""


_NAMES = {
    ErrorClass.RETRIABLE: """
        _FAIL _TRANSPORT _RESOLVE _MSG_TIMED_OUT _PARTITION_EOF _UNKNOWN_PARTITION _UNKNOWN_TOPIC _ALL_BROKERS_DOWN
        _TIMED_OUT _QUEUE_FULL _ISR_INSUFF _NODE_UPDATE _WAIT_COORD _IN_PROGRESS _PREV_IN_PROGRESS _OUTDATED
        _TIMED_OUT_QUEUE _WAIT_CACHE _INTR _PARTIAL _RETRY _UNKNOWN_BROKER _PURGE_QUEUE _PURGE_INFLIGHT _NOOP
        _GAPLESS_GUARANTEE _DESTROY_BROKER _BAD_MSG _BAD_COMPRESSION NO_ERROR UNKNOWN UNKNOWN_TOPIC_OR_PART
        LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION REQUEST_TIMED_OUT BROKER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE
        STALE_CTRL_EPOCH NETWORK_EXCEPTION COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR
        NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND NOT_CONTROLLER OUT_OF_ORDER_SEQUENCE_NUMBER
        DUPLICATE_SEQUENCE_NUMBER CONCURRENT_TRANSACTIONS OPERATION_NOT_ATTEMPTED KAFKA_STORAGE_ERROR
        REASSIGNMENT_IN_PROGRESS NON_EMPTY_GROUP GROUP_ID_NOT_FOUND FETCH_SESSION_ID_NOT_FOUND
        INVALID_FETCH_SESSION_EPOCH LISTENER_NOT_FOUND FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH STALE_BROKER_EPOCH
        OFFSET_NOT_AVAILABLE MEMBER_ID_REQUIRED PREFERRED_LEADER_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE
        ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS GROUP_SUBSCRIBED_TO_TOPIC UNSTABLE_OFFSET_COMMIT
        THROTTLING_QUOTA_EXCEEDED UNKNOWN_TOPIC_ID INCONSISTENT_TOPIC_ID UNRELEASED_INSTANCE_ID
        UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE TRANSACTION_ABORTABLE REBOOTSTRAP_REQUIRED OFFSET_OUT_OF_RANGE
        _AUTO_OFFSET_RESET _LOG_TRUNCATION _INVALID_DIFFERENT_RECORD SHARE_SESSION_NOT_FOUND
        INVALID_SHARE_SESSION_EPOCH SHARE_SESSION_LIMIT_REACHED INVALID_RECORD_STATE FENCED_STATE_EPOCH
        TRANSACTION_COORDINATOR_FENCED
    """,
    ErrorClass.REVOKED: """
        _ASSIGNMENT_LOST _NO_OFFSET _MAX_POLL_EXCEEDED _ASSIGN_PARTITIONS _REVOKE_PARTITIONS ILLEGAL_GENERATION
        UNKNOWN_MEMBER_ID REBALANCE_IN_PROGRESS FENCED_MEMBER_EPOCH STALE_MEMBER_EPOCH
    """,
    ErrorClass.FENCED: """
        _FENCED FENCED_INSTANCE_ID PRODUCER_FENCED INVALID_PRODUCER_EPOCH INVALID_PRODUCER_ID_MAPPING
        UNKNOWN_PRODUCER_ID INVALID_TXN_STATE
    """,
    ErrorClass.RECORD_REJECTED: """
        INVALID_MSG INVALID_MSG_SIZE MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_TIMESTAMP INVALID_RECORD
        TOPIC_EXCEPTION UNSUPPORTED_COMPRESSION_TYPE UNSUPPORTED_FOR_MESSAGE_FORMAT _KEY_SERIALIZATION
        _VALUE_SERIALIZATION _KEY_DESERIALIZATION _VALUE_DESERIALIZATION POLICY_VIOLATION
    """,
    ErrorClass.FATAL: """
        _DESTROY _CRIT_SYS_RESOURCE _FS _INVALID_ARG _SSL _UNKNOWN_GROUP _EXISTING_SUBSCRIPTION _CONFLICT _STATE
        _UNKNOWN_PROTOCOL _NOT_IMPLEMENTED _AUTHENTICATION _UNSUPPORTED_FEATURE _READ_ONLY _NOENT _UNDERFLOW
        _INVALID_TYPE _FATAL _INCONSISTENT _NOT_CONFIGURED _APPLICATION OFFSET_METADATA_TOO_LARGE
        INVALID_REQUIRED_ACKS INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID INVALID_SESSION_TIMEOUT
        INVALID_COMMIT_OFFSET_SIZE TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED
        CLUSTER_AUTHORIZATION_FAILED UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE UNSUPPORTED_VERSION
        TOPIC_ALREADY_EXISTS INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG
        INVALID_REQUEST INVALID_TRANSACTION_TIMEOUT TRANSACTIONAL_ID_AUTHORIZATION_FAILED SECURITY_DISABLED
        LOG_DIR_NOT_FOUND SASL_AUTHENTICATION_FAILED DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_NOT_FOUND
        DELEGATION_TOKEN_OWNER_MISMATCH DELEGATION_TOKEN_REQUEST_NOT_ALLOWED DELEGATION_TOKEN_AUTHORIZATION_FAILED
        DELEGATION_TOKEN_EXPIRED INVALID_PRINCIPAL_TYPE TOPIC_DELETION_DISABLED GROUP_MAX_SIZE_REACHED
        RESOURCE_NOT_FOUND DUPLICATE_RESOURCE UNACCEPTABLE_CREDENTIAL INCONSISTENT_VOTER_SET INVALID_UPDATE_VERSION
        FEATURE_UPDATE_FAILED PRINCIPAL_DESERIALIZATION_FAILURE UNSUPPORTED_ASSIGNOR MISMATCHED_ENDPOINT_TYPE
        UNSUPPORTED_ENDPOINT_TYPE UNKNOWN_CONTROLLER_ID INVALID_REGISTRATION INVALID_VOTER_KEY DUPLICATE_VOTER
        VOTER_NOT_FOUND INVALID_REGULAR_EXPRESSION STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH
        STREAMS_TOPOLOGY_FENCED
    """,
}

ERROR_CLASSES: dict[str, ErrorClass] = {
    name: error_class for error_class, names in _NAMES.items() for name in names.split()
}
"""Class of each error by its name in KafkaError; sources: librdkafka 2.16's list and Kafka's protocol guide."""

_BY_CODE = {
    getattr(KafkaError, name): error_class
    for name, error_class in ERROR_CLASSES.items()
    if hasattr(KafkaError, name)
}
_FENCED_TEXTS = tuple(
    KafkaError(code).str() for code, error_class in _BY_CODE.items() if error_class is ErrorClass.FENCED
)
"""Texts of fencing errors: a consumer reports a fatal error by the code _FATAL, and its cause only in the text."""

_REMEDIES = {
    KafkaError._RESOLVE: "the host's name is not known: correct LOOKSTREAM_KAFKA_BOOTSTRAP or the name server",
    KafkaError._SSL: "the TLS handshake failed: see LOOKSTREAM_KAFKA_SECURITY_PROTOCOL and LOOKSTREAM_KAFKA_SSL_CA",
    KafkaError._AUTHENTICATION: "the broker refused the credentials: correct LOOKSTREAM_KAFKA_SASL_*",
    KafkaError.SASL_AUTHENTICATION_FAILED: "the broker refused the credentials: correct LOOKSTREAM_KAFKA_SASL_*",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "correct LOOKSTREAM_KAFKA_SASL_MECHANISM",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user Describe and Read or Write (docs/operate.md)",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to Read the group (docs/operate.md)",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (
        "allow this user to Describe and Write the transactional id (docs/operate.md)"
    ),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user IdempotentWrite on the cluster (docs/operate.md)",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topics: `lookstream topics create`",
    KafkaError.INVALID_SESSION_TIMEOUT: "the broker allows other values for LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS",
    KafkaError.UNSUPPORTED_ASSIGNOR: "correct LOOKSTREAM_KAFKA_ASSIGNMENT",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "all workers of a group need one LOOKSTREAM_KAFKA_ASSIGNMENT",
}


def classify(error: KafkaError) -> ErrorClass:
    """The class of an error; a code that is not in the table is fatal if the client marks it as fatal."""
    if error.code() == KafkaError._FATAL and any(cause in error.str() for cause in _FENCED_TEXTS):
        return ErrorClass.FENCED
    error_class = _BY_CODE.get(error.code())
    if error_class is None:
        return ErrorClass.FATAL if error.fatal() else ErrorClass.RETRIABLE
    return ErrorClass.FENCED if error.fatal() and error_class is ErrorClass.RETRIABLE else error_class


def explain(error: KafkaError) -> str:
    """The client's error text, with the remedy if there is one."""
    remedy = _REMEDIES.get(error.code())
    return error.str() if remedy is None else f"{error.str()}: {remedy}"


def to_exception(error: KafkaError, what: str) -> Exception:
    """Our exception for an error; `what` names the failed step, as in "offsets were not committed"."""
    text = f"{what}: {explain(error)}"
    match classify(error):
        case ErrorClass.RETRIABLE:
            return Unavailable(text)
        case ErrorClass.REVOKED:
            return PartitionsRevoked(text)
        case ErrorClass.FENCED:
            return Fenced(text)
        case ErrorClass.RECORD_REJECTED:
            return RecordRefused(text)
    return KafkaFault(text)


@contextmanager
def translate_member_errors(what: str) -> Iterator[None]:
    """Convert the KafkaException of a group member into one of our exceptions.

    A fatal error of the client, or a fenced member, raises PartitionsRevoked: the next poll reports the cause.
    """
    with translate_errors(what):
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
                raise
            raise PartitionsRevoked(f"{what}: the group has removed this member") from None


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Convert a KafkaException into one of our exceptions; infra/kafka raises no KafkaException to its callers."""
    try:
        yield
    except KafkaException as error:
        raise to_exception(error.args[0], what) from None
