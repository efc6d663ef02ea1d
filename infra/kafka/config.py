"""Client configuration: the librdkafka properties of every Kafka client."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka.admin import AdminClient

from infra.config.kafka import KafkaSettings
from infra.kafka.client_settings import ConfigValue, extra_settings, security_settings
from infra.kafka.errors import translate_errors
from infra.kafka.names import group_name

ANSWER_SECONDS = 5.0
"""Seconds that a broker may take to answer a request for metadata, offsets or topics."""

REQUEST_MS = 10_000
"""Timeout of each request of the client in milliseconds: a thread that waits for it must still poll in time."""

Config = dict[str, ConfigValue]
"""librdkafka properties by name."""

log = logging.getLogger("librdkafka")

Client = TypeVar("Client")


def client_config(kafka: KafkaSettings) -> Config:
    """The librdkafka properties that all clients share; unset ones are left out."""
    return security_settings(kafka) | {
        "bootstrap.servers": kafka.bootstrap or "",
        "socket.timeout.ms": REQUEST_MS,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log.connection.close": False,
        **extra_settings(kafka),
    }


def member_config(kafka: KafkaSettings, group: str) -> Config:
    """The librdkafka properties of a consumer group member; offsets are committed explicitly."""
    config = client_config(kafka) | {
        "group.id": group_name(kafka, group),
        "max.poll.interval.ms": max(kafka.max_poll_ms, kafka.session_timeout_ms),
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 16_384,
        "topic.metadata.refresh.interval.ms": 10_000,
    }
    if kafka.static_member:
        config["group.instance.id"] = kafka.static_member
    if kafka.group_protocol == "consumer":  # with it the broker's settings apply instead of those below
        return config | {"group.protocol": "consumer"} | extra_settings(kafka)
    classic: Config = {
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": max(100, kafka.session_timeout_ms // 12),
        "partition.assignment.strategy": kafka.assignment,
    }
    return config | classic | extra_settings(kafka)


def new_client(client_class: Callable[..., Client], config: Mapping[str, object]) -> Client:
    """Create a librdkafka client; raises KafkaFault for properties that are valid each, but not together."""
    with translate_errors("librdkafka does not accept these settings: see LOOKSTREAM_KAFKA_CLIENT"):
        return client_class(config, logger=log)


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """An admin client, which reads and changes topics and groups."""
    return new_client(AdminClient, client_config(kafka))


def no_broker_message(kafka: KafkaSettings) -> str:
    return f"no Kafka broker answers at {kafka.bootstrap}: start it, or correct LOOKSTREAM_KAFKA_BOOTSTRAP"
