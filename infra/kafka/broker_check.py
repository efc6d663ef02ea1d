"""Broker check: connect to Kafka and, on failure, name the cause (DNS, TLS, authentication, protocol)."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from infra.config.kafka import KafkaSettings
from infra.kafka.config import client_config, no_broker_message
from schemas.failures import Unavailable

TIMEOUT_SECONDS = 5.0
"""Seconds that a broker may take to answer."""
POLL_SECONDS = 0.5
"""Seconds between checks whether the client has reported a cause."""
AUTHENTICATION_ERRORS = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
)
CONNECTION_CLOSED = "connection closed by peer"
"""librdkafka only logs this, and reports no error, when a listener expects another protocol than the client's."""


class ClientReports(logging.Handler):
    """Collects what a client reports and logs while it finds no broker; prints none of the many lines."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[KafkaError] = []
        self.connection_closed = False
        self.logger = logging.Logger("librdkafka")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Check one line of the client's log."""
        self.connection_closed = self.connection_closed or CONNECTION_CLOSED in record.getMessage()


def check_broker(kafka: KafkaSettings) -> None:
    """Raise Unavailable with the cause and the remedy unless a broker answers."""
    reports = ClientReports()
    config: dict[str, Any] = {
        **client_config(kafka),
        "error_cb": reports.errors.append,
        "log.connection.close": True,
    }
    try:
        admin = AdminClient(config, logger=reports.logger)
    except KafkaException as error:
        message = f"the settings of Kafka do not work: {error.args[0].str()}: see LOOKSTREAM_KAFKA_*"
        raise Unavailable(message) from None
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            admin.list_topics(timeout=min(POLL_SECONDS, TIMEOUT_SECONDS))
        except KafkaException:
            admin.poll(0)
            if cause := diagnosis(kafka, reports.errors):
                raise Unavailable(cause) from None
            if time.monotonic() >= deadline:
                raise Unavailable(
                    _wrong_protocol_message(kafka) if reports.connection_closed else no_broker_message(kafka)
                ) from None
        else:
            return


def diagnosis(kafka: KafkaSettings, errors: Sequence[KafkaError]) -> str | None:
    """The cause that the newest specific error names, with its remedy; None if there is no specific error."""
    for error in reversed(errors):
        if error.code() in AUTHENTICATION_ERRORS:
            return _authentication_message(kafka, error.str())
        if error.code() == KafkaError._SSL:
            return (
                f"TLS to Kafka at {kafka.bootstrap} fails: {error.str()}: see that LOOKSTREAM_KAFKA_SSL_CA names "
                "the authorities that signed the brokers' certificates, and that this listener speaks TLS"
            )
        if error.code() == KafkaError._RESOLVE:
            return (
                f"a name of a Kafka broker is not known: {error.str()}: correct LOOKSTREAM_KAFKA_BOOTSTRAP, or the "
                "name server, or the address that the broker advertises"
            )
    return None


def _wrong_protocol_message(kafka: KafkaSettings) -> str:
    return (
        f"the listener at {kafka.bootstrap} closes the connection at once: LOOKSTREAM_KAFKA_SECURITY_PROTOCOL is "
        f"{kafka.security_protocol}, and this listener may want another, or be no Kafka"
    )


def _authentication_message(kafka: KafkaSettings, reason: str) -> str:
    if kafka.sasl_mechanism != "OAUTHBEARER":
        return (
            f"Kafka at {kafka.bootstrap} refuses the sign-in as {kafka.sasl_username}: {reason}: correct "
            "LOOKSTREAM_KAFKA_SASL_USERNAME, LOOKSTREAM_KAFKA_SASL_PASSWORD or LOOKSTREAM_KAFKA_SASL_MECHANISM"
        )
    if "acquire" in reason:
        return (
            f"the token endpoint gives no token for Kafka: {reason}: correct LOOKSTREAM_KAFKA_OAUTH_ENDPOINT, "
            "LOOKSTREAM_KAFKA_OAUTH_CLIENT_ID or LOOKSTREAM_KAFKA_OAUTH_CLIENT_SECRET"
        )
    return (
        f"Kafka at {kafka.bootstrap} refuses the token: {reason}: see LOOKSTREAM_KAFKA_OAUTH_SCOPE, and the issuer "
        "and the audience that the brokers expect"
    )
