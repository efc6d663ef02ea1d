"""Security settings in librdkafka's words, and what the operator passes on to it."""

import logging
import socket
from functools import cache
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from pydantic import SecretStr

from infra.config.kafka import KafkaSettings
from infra.config.settings import SettingsError

Value = str | int | float | bool


def name_client(kafka: KafkaSettings, part: str) -> KafkaSettings:
    """The same for clients of a part, whose name brokers see in logs and quotas, unless the user has named them."""
    return kafka.model_copy(update={"client_id": kafka.client_id or f"lookstream-{part}-{socket.gethostname()}"})


def security_settings(kafka: KafkaSettings) -> dict[str, Value]:
    """How a client names itself and signs in; what is not set is left out."""
    oauth = kafka.sasl_mechanism == "OAUTHBEARER"
    settings: dict[str, Value | Path | SecretStr | None] = {
        "client.id": kafka.client_id or f"lookstream-{socket.gethostname()}",
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password,
        "sasl.oauthbearer.method": "oidc" if oauth else None,
        "sasl.oauthbearer.token.endpoint.url": kafka.oauth_endpoint,
        "sasl.oauthbearer.client.id": kafka.oauth_client_id,
        "sasl.oauthbearer.client.secret": kafka.oauth_client_secret,
        "sasl.oauthbearer.scope": kafka.oauth_scope,
        "sasl.oauthbearer.extensions": kafka.oauth_extensions,
        "https.ca.location": kafka.oauth_ca,
        "ssl.ca.location": kafka.ssl_ca,
        "ssl.certificate.location": kafka.ssl_certificate,
        "ssl.key.location": kafka.ssl_key,
        "ssl.key.password": kafka.ssl_key_password,
    }
    return {name: _plain(value) for name, value in settings.items() if value is not None} | passed_settings(kafka)


def passed_settings(kafka: KafkaSettings) -> dict[str, Value]:
    """What LOOKSTREAM_KAFKA_CLIENT passes on; raises SettingsError for what librdkafka does not take.

    A client that has settings of its own applies these once more after them, so that the operator's count.
    """
    passed = {name: _plain(value) for name, value in kafka.client.items()}
    for name, value in passed.items():
        if problem := _refusal(name, value):
            raise SettingsError(f"LOOKSTREAM_KAFKA_CLIENT: librdkafka does not take `{name}`: {problem}")
    return passed


def _plain(value: Value | Path | SecretStr) -> Value:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value


@cache
def _refusal(name: str, value: Value) -> str | None:
    """What librdkafka has against one setting; none when it takes it."""
    silent = logging.Logger("librdkafka", logging.CRITICAL)  # a producer warns of settings that are for consumers
    try:
        Producer({name: value}, logger=silent)
    except (KafkaException, TypeError, ValueError) as error:
        reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        return str(reason).replace(str(value), "***") if isinstance(value, str) else str(reason)
    return None
