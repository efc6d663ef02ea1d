"""Client settings: the security settings as librdkafka properties, and the properties that the operator adds."""

import logging
import socket
from functools import cache
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from pydantic import SecretStr

from infra.config.errors import SettingsError
from infra.config.kafka import KafkaSettings

ConfigValue = str | int | float | bool


def name_client(kafka: KafkaSettings, part: str) -> KafkaSettings:
    """Set the client id of a part, which brokers show in logs and use for quotas, unless the user has set one."""
    return kafka.model_copy(update={"client_id": kafka.client_id or f"lookstream-{part}-{socket.gethostname()}"})


def security_settings(kafka: KafkaSettings) -> dict[str, ConfigValue]:
    """The librdkafka properties for the client id and authentication; unset ones are left out."""
    oauth = kafka.sasl_mechanism == "OAUTHBEARER"
    settings: dict[str, ConfigValue | Path | SecretStr | None] = {
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
    return {name: _plain(value) for name, value in settings.items() if value is not None} | extra_settings(kafka)


def extra_settings(kafka: KafkaSettings) -> dict[str, ConfigValue]:
    """The librdkafka properties of LOOKSTREAM_KAFKA_CLIENT; raises SettingsError if librdkafka rejects one.

    A client that has its own properties applies these again after them, so that the operator's take precedence.
    """
    settings = {name: _plain(value) for name, value in kafka.client.items()}
    for name, value in settings.items():
        if reason := _rejection_reason(name, value):
            raise SettingsError(f"LOOKSTREAM_KAFKA_CLIENT: librdkafka does not accept `{name}`: {reason}")
    return settings


def _plain(value: ConfigValue | Path | SecretStr) -> ConfigValue:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value


@cache
def _rejection_reason(name: str, value: ConfigValue) -> str | None:
    """Why librdkafka rejects a property; None if it accepts it."""
    silent = logging.Logger("librdkafka", logging.CRITICAL)  # a producer logs warnings about consumer properties
    try:
        Producer({name: value}, logger=silent)
    except (KafkaException, TypeError, ValueError) as error:
        reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        return str(reason).replace(str(value), "***") if isinstance(value, str) else str(reason)
    return None
