"""The settings of every Kafka client, in librdkafka's own words."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka.admin import AdminClient

from infra.config.settings import KafkaSettings
from infra.kafka.client_settings import passed_settings, security_settings
from infra.kafka.errors import translating
from infra.kafka.names import group_name

ANSWER_SECONDS = 5.0
"""How long a broker may take to answer a question about its topics."""

REQUEST_MS = 10_000
"""How long the client waits for the answer to any request: an owner of a consumer must poll again in time."""

ConfigValue = str | int | float | bool
Config = dict[str, ConfigValue]
"""Settings in librdkafka's own words."""

log = logging.getLogger("librdkafka")

Client = TypeVar("Client")


def client_config(kafka: KafkaSettings) -> Config:
    """The settings that every client shares, in librdkafka's own words; unset ones are left out."""
    return security_settings(kafka) | {
        "bootstrap.servers": kafka.bootstrap or "",
        "socket.timeout.ms": REQUEST_MS,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log.connection.close": False,
        **passed_settings(kafka),
    }


def member_config(kafka: KafkaSettings, group: str) -> Config:
    """The settings of a member of a consumer group, which commits by itself."""
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
    if kafka.group_protocol == "consumer":  # the broker's settings count there instead of these
        return config | {"group.protocol": "consumer"} | passed_settings(kafka)
    classic: Config = {
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": max(100, kafka.session_timeout_ms // 12),
        "partition.assignment.strategy": kafka.assignment,
    }
    return config | classic | passed_settings(kafka)


def new_client(kind: Callable[..., Client], config: Mapping[str, object]) -> Client:
    """A client of librdkafka; raises KafkaFault for settings that are fine one by one and not together."""
    with translating("librdkafka does not take these settings: see LOOKSTREAM_KAFKA_CLIENT"):
        return kind(config, logger=log)


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """A client that asks about topics and groups, and changes them."""
    return new_client(AdminClient, client_config(kafka))


def no_broker(kafka: KafkaSettings) -> str:
    return f"no Kafka broker answers at {kafka.bootstrap}: start it, or correct LOOKSTREAM_KAFKA_BOOTSTRAP"
