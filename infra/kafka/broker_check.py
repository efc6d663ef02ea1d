"""Whether a broker answers, and if none does, why: name, TLS, sign-in and absence are told apart."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from infra.config.settings import KafkaSettings
from infra.kafka.config import client_config, no_broker
from schemas.failures import Unavailable

PATIENCE_SECONDS = 5.0
"""How long a broker may take to answer."""
LOOK_SECONDS = 0.5
"""How often it is looked whether the client has reported why none answers."""
SIGN_IN = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.UNSUPPORTED_SASL_MECHANISM)
HUNG_UP = "connection closed by peer"
"""What librdkafka logs, and reports nowhere, when a listener wants another protocol than the client speaks."""


class ClientReports(logging.Handler):
    """What a client reports and logs while it finds no broker; nothing of it is printed, for it comes in floods."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[KafkaError] = []
        self.hung_up = False
        self.logger = logging.Logger("librdkafka")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line of the client's log."""
        self.hung_up = self.hung_up or HUNG_UP in record.getMessage()


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
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            admin.list_topics(timeout=min(LOOK_SECONDS, PATIENCE_SECONDS))
        except KafkaException:
            admin.poll(0)
            if cause := diagnosis(kafka, reports.errors):
                raise Unavailable(cause) from None
            if time.monotonic() >= until:
                raise Unavailable(_other_protocol(kafka) if reports.hung_up else no_broker(kafka)) from None
        else:
            return


def diagnosis(kafka: KafkaSettings, errors: Sequence[KafkaError]) -> str | None:
    """The cause that the newest telling error names, with its remedy; none when all say that nobody answers."""
    for error in reversed(errors):
        if error.code() in SIGN_IN:
            return _sign_in(kafka, error.str())
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


def _other_protocol(kafka: KafkaSettings) -> str:
    return (
        f"whoever listens at {kafka.bootstrap} hangs up at once: LOOKSTREAM_KAFKA_SECURITY_PROTOCOL is "
        f"{kafka.security_protocol}, and this listener may want another, or be no Kafka"
    )


def _sign_in(kafka: KafkaSettings, said: str) -> str:
    if kafka.sasl_mechanism != "OAUTHBEARER":
        return (
            f"Kafka at {kafka.bootstrap} refuses the sign-in as {kafka.sasl_username}: {said}: correct "
            "LOOKSTREAM_KAFKA_SASL_USERNAME, LOOKSTREAM_KAFKA_SASL_PASSWORD or LOOKSTREAM_KAFKA_SASL_MECHANISM"
        )
    if "acquire" in said:
        return (
            f"the token endpoint gives no token for Kafka: {said}: correct LOOKSTREAM_KAFKA_OAUTH_ENDPOINT, "
            "LOOKSTREAM_KAFKA_OAUTH_CLIENT_ID or LOOKSTREAM_KAFKA_OAUTH_CLIENT_SECRET"
        )
    return (
        f"Kafka at {kafka.bootstrap} refuses the token: {said}: see LOOKSTREAM_KAFKA_OAUTH_SCOPE, and the issuer "
        "and the audience that the brokers expect"
    )
