"""Kafka settings: brokers, authentication, and additional librdkafka properties."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, model_validator

from schemas.topics import MAX_RECORD_BYTES

ClientValue = str | int | float | bool | SecretStr
"""Value of a librdkafka property; `str` comes first, as pydantic would otherwise wrap every text as a secret."""
SECRET_NAME = re.compile(r"passw|secret|key|token|jaas|credential|assertion|oauthbearer.config", re.IGNORECASE)
"""Names of librdkafka properties whose values are, or may contain, secrets."""
CLIENT_NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)+|acks|debug|retries|partitioner")

_COMMITS = "workers commit what they have done, once it is safe"
_COMMITTED_READS = "the answers of a batch that was undone would be read too"
_ACKNOWLEDGED = "an event counts as sent once every in-sync replica has it"
_ORDER = "the events of an item must arrive once, and in order"
_TRANSACTIONS = "the query worker names its transactions after its slot, so that its successor fences it"
_FROM_THE_START = "events from before the first start would be left out"
_OWN_LOGS = "lookstream reads errors and logs itself"
FORBIDDEN_PROPERTIES: Mapping[str, str] = {
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "auto.commit.interval.ms": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "offset.store.method": _COMMITS,
    "offset.store.path": _COMMITS,
    "isolation.level": _COMMITTED_READS,
    "auto.offset.reset": _FROM_THE_START,
    "acks": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "delivery.report.only.error": _ACKNOWLEDGED,
    "enable.idempotence": _ORDER,
    "enable.gapless.guarantee": _ORDER,
    "max.in.flight": _ORDER,
    "max.in.flight.requests.per.connection": _ORDER,
    "retries": _ORDER,
    "message.send.max.retries": _ORDER,
    "partitioner": "the events of an item must stay in its partition",
    "transactional.id": _TRANSACTIONS,
    "group.id": "each part has a group of its own",
    "delivery.timeout.ms": "lookstream depends on how long a sender waits for an acknowledgement",
    "message.timeout.ms": "lookstream depends on how long a sender waits for an acknowledgement",
    "enable.partition.eof": _OWN_LOGS,
    "enabled.events": _OWN_LOGS,
    "allow.auto.create.topics": "a topic that a broker makes by itself has the wrong partitions and sizes",
    "plugin.library.paths": "it loads code into every process",
}
"""librdkafka properties that cannot be set by the user, since they would break a guarantee, with the reason."""
PROPERTIES_WITH_SETTING: Mapping[str, str] = {
    "bootstrap.servers": "BOOTSTRAP",
    "metadata.broker.list": "BOOTSTRAP",
    "client.id": "CLIENT_ID",
    "security.protocol": "SECURITY_PROTOCOL",
    "sasl.mechanism": "SASL_MECHANISM",
    "sasl.mechanisms": "SASL_MECHANISM",
    "sasl.username": "SASL_USERNAME",
    "sasl.password": "SASL_PASSWORD",
    "sasl.oauthbearer.token.endpoint.url": "OAUTH_ENDPOINT",
    "sasl.oauthbearer.client.id": "OAUTH_CLIENT_ID",
    "sasl.oauthbearer.client.secret": "OAUTH_CLIENT_SECRET",
    "sasl.oauthbearer.scope": "OAUTH_SCOPE",
    "sasl.oauthbearer.extensions": "OAUTH_EXTENSIONS",
    "ssl.ca.location": "SSL_CA",
    "ssl.certificate.location": "SSL_CERTIFICATE",
    "ssl.key.location": "SSL_KEY",
    "ssl.key.password": "SSL_KEY_PASSWORD",
    "session.timeout.ms": "SESSION_TIMEOUT_MS",
    "max.poll.interval.ms": "MAX_POLL_MS",
    "fetch.wait.max.ms": "FETCH_WAIT_MS",
    "group.instance.id": "STATIC_MEMBER",
    "group.protocol": "GROUP_PROTOCOL",
    "partition.assignment.strategy": "ASSIGNMENT",
    "message.max.bytes": "RECORD_BYTES",
}
"""librdkafka properties that have their own LOOKSTREAM_KAFKA_* setting."""


def check_client(properties: object) -> object:
    """The librdkafka properties, with secrets wrapped; raises ValueError for forbidden ones."""
    if not isinstance(properties, Mapping):
        raise ValueError('it must be a JSON object, as {"broker.address.family": "v4"}')
    return {str(name): _checked_value(str(name), value) for name, value in properties.items()}


def _checked_value(name: str, value: object) -> object:
    if reason := FORBIDDEN_PROPERTIES.get(name):
        raise ValueError(f"`{name}` cannot be passed on: {reason}")
    if setting := PROPERTIES_WITH_SETTING.get(name):
        raise ValueError(f"`{name}` has a setting of its own: use LOOKSTREAM_KAFKA_{setting}")
    if not CLIENT_NAME.fullmatch(name):
        raise ValueError(f"`{name}` is no setting of librdkafka: see its CONFIGURATION.md")
    if isinstance(value, SecretStr) or (isinstance(value, str) and not SECRET_NAME.search(name)):
        return value
    if not isinstance(value, str | int | float):
        raise ValueError(f"`{name}` must be a text, a number, true or false")
    return SecretStr(value) if isinstance(value, str) else value


class KafkaSettings(BaseModel):
    """Connection to Kafka; without `bootstrap`, to the local broker of `lookstream up`."""

    bootstrap: str | None = Field(None, description="host:port[,host:port] of the brokers; empty: the local broker")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections are secured"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
    )
    sasl_username: str | None = Field(None, description="SASL user")
    sasl_password: SecretStr | None = Field(None, description="SASL password")
    oauth_endpoint: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Token endpoint of the OpenID provider, for OAUTHBEARER"
    )
    oauth_client_id: str | None = Field(None, description="Client id for the token endpoint")
    oauth_client_secret: SecretStr | None = Field(None, description="Client secret for the token endpoint")
    oauth_scope: str | None = Field(None, description="Scope of the tokens; empty: the provider's default")
    oauth_extensions: str | None = Field(
        None, description="SASL extensions, as logicalCluster=lkc-1,identityPoolId=pool-1"
    )
    oauth_ca: Path | None = Field(
        None,
        description="File with the certificate authorities to trust for the token endpoint; empty: the system's",
    )
    ssl_ca: Path | None = Field(None, description="File with the certificate authorities to trust")
    ssl_certificate: Path | None = Field(None, description="Client certificate file, for mutual TLS")
    ssl_key: Path | None = Field(None, description="Client key file, for mutual TLS")
    ssl_key_password: SecretStr | None = Field(None, description="Password of the client key file")
    client: Annotated[dict[str, ClientValue], BeforeValidator(check_client)] = Field(
        default_factory=dict,
        description='Further settings of librdkafka, as {"broker.address.family": "v4"}; those that would break a '
        "promise are refused",
    )
    client_id: str | None = Field(
        None,
        description="Name of these clients in the brokers' logs and quotas; empty: lookstream, with the part and "
        "host, of workers also the slot",
    )
    record_bytes: int = Field(
        MAX_RECORD_BYTES,
        ge=100_000,
        le=50_000_000,
        description="Largest record in bytes, of every topic and every client alike",
    )
    session_timeout_ms: int = Field(
        10_000, ge=1_000, le=600_000, description="Milliseconds after which a silent worker loses its partitions"
    )
    max_poll_ms: int = Field(
        300_000, ge=1_000, description="Milliseconds after which a worker that does not poll loses its partitions"
    )
    fetch_wait_ms: int = Field(
        50, ge=1, le=10_000, description="Milliseconds that a broker may hold an empty fetch"
    )
    membership: Literal["static", "dynamic"] = Field(
        "static", description="static: a worker that comes back within its session has its partitions at once"
    )
    static_member: str | None = Field(
        None, description="group.instance.id of this worker, for static membership; empty: its kind and slot"
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        "classic", description="Protocol of the consumer groups; consumer: KIP-848, of Apache Kafka 4"
    )
    assignment: str = Field("cooperative-sticky", description="partition.assignment.strategy of the workers")
    replication: int = Field(1, ge=1, le=10, description="Replicas of each topic that is created")
    prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,50}$",
        description="Prefix of the names of all topics, groups and transactions, to share a cluster",
    )

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        """Name the missing setting, since librdkafka's own errors use other names than the settings."""
        uses_sasl, mechanism = self.security_protocol.startswith("SASL"), self.sasl_mechanism
        if uses_sasl and mechanism is None and "sasl.kerberos.service.name" not in self.client:
            raise ValueError(_missing_message("SASL_MECHANISM", f"SECURITY_PROTOCOL={self.security_protocol}"))
        if mechanism and not uses_sasl:
            raise ValueError(
                f"LOOKSTREAM_KAFKA_SECURITY_PROTOCOL={self.security_protocol} does not sign in: for {mechanism} "
                "set it to SASL_SSL (or SASL_PLAINTEXT, without TLS)"
            )
        needed = {
            "PLAIN": ("sasl_username", "sasl_password"),
            "SCRAM-SHA-256": ("sasl_username", "sasl_password"),
            "SCRAM-SHA-512": ("sasl_username", "sasl_password"),
            "OAUTHBEARER": () if self._has_custom_tokens() else (
                "oauth_endpoint", "oauth_client_id", "oauth_client_secret",
            ),
        }  # fmt: skip
        for field in needed.get(mechanism or "", ()):
            if getattr(self, field) is None:
                raise ValueError(_missing_message(field.upper(), f"SASL_MECHANISM={mechanism}"))
        for one, other in (("ssl_certificate", "ssl_key"), ("ssl_key", "ssl_certificate")):
            if (
                getattr(self, one) is not None
                and getattr(self, other) is None
                and f"{other}.pem" not in self.client
            ):
                raise ValueError(_missing_message(other.upper(), f"{one.upper()}"))
        return self

    def with_fetch_wait(self, least_ms: int) -> Self:
        """The same with a longer fetch wait, for readers for whom the local broker may take that much longer."""
        return self.model_copy(update={"fetch_wait_ms": max(self.fetch_wait_ms, least_ms)})

    def _has_custom_tokens(self) -> bool:
        """Whether `client` configures how tokens are obtained, as for other grants and for managed identities."""
        return any(name.startswith("sasl.oauthbearer.") for name in self.client)


def _missing_message(variable: str, because: str) -> str:
    return f"LOOKSTREAM_KAFKA_{variable} is missing: LOOKSTREAM_KAFKA_{because} needs it"
