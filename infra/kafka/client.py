"""What every Kafka client shares: records, settings, and whether a broker answers."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from infra.settings import Kafka
from schemas.failures import Unavailable

ANSWER_SECONDS = 5.0
"""How long a broker may take to answer a question about its topics."""

REQUEST_MS = 10_000
"""How long the client waits for the answer to any request: an owner of a consumer must poll again in time."""

ConfigValue = str | int | float | bool
Config = dict[str, ConfigValue]
"""Settings in librdkafka's own words."""
Place = tuple[str, int]
"""A topic and one of its partitions."""

log = logging.getLogger("librdkafka")


class Fenced(Exception):
    """Another process has this member's or producer's name: this one must end; the message says so."""


@dataclass(frozen=True)
class Record:
    """One record as it lay in Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)
    timestamp_ms: int = 0

    @property
    def position(self) -> str:
        """Where it lay, as topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def client_config(kafka: Kafka) -> Config:
    """The settings that every client shares, in librdkafka's own words; unset ones are left out."""
    key_password, sasl_password = kafka.ssl_key_password, kafka.sasl_password
    wanted: dict[str, ConfigValue | None] = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": sasl_password.get_secret_value() if sasl_password else None,
        "ssl.ca.location": _text(kafka.ssl_ca),
        "ssl.certificate.location": _text(kafka.ssl_certificate),
        "ssl.key.location": _text(kafka.ssl_key),
        "ssl.key.password": key_password.get_secret_value() if key_password else None,
        "socket.timeout.ms": REQUEST_MS,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log.connection.close": False,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def member_config(kafka: Kafka, group: str) -> dict[str, ConfigValue]:
    """Settings of librdkafka for a member of a consumer group, which commits by itself."""
    config = client_config(kafka) | {
        "group.id": group,
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": max(100, kafka.session_timeout_ms // 12),
        "max.poll.interval.ms": max(kafka.max_poll_ms, kafka.session_timeout_ms),
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "partition.assignment.strategy": kafka.assignment,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 16_384,
        "topic.metadata.refresh.interval.ms": 10_000,
    }
    return config | ({"group.instance.id": kafka.static_member} if kafka.static_member else {})


def check_broker(kafka: Kafka) -> None:
    """Raise Unavailable with the remedy unless a broker answers."""
    try:
        AdminClient(client_config(kafka), logger=log).list_topics(timeout=ANSWER_SECONDS)
    except KafkaException:
        raise Unavailable(no_broker(kafka)) from None


def no_broker(kafka: Kafka) -> str:
    return f"no Kafka broker answers at {kafka.bootstrap}: start it, or correct LOOKSTREAM_KAFKA_BOOTSTRAP"


def record_of(message: Message | None) -> Record | None:
    """The record in a message; None when there is none, or when it only reports an error."""
    # A tombstone has length 0 and is falsy, so None is asked for by name.
    if message is None or message.error() is not None:
        return None
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        return None
    headers = {str(pair[0]): _bytes(pair[1]) for pair in message.headers() or []}
    return Record(
        topic, partition, offset, _bytes(message.key()), _bytes(message.value()), headers, message.timestamp()[1]
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _text(path: object | None) -> str | None:
    return None if path is None else str(path)
