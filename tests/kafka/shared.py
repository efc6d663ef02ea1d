"""The Kafka that all tests of a run share, and the prefix of names that one test has to itself."""

import hashlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from infra.config.kafka import KafkaSettings

BOOTSTRAP, RUN = "TEST_KAFKA_BOOTSTRAP", "TEST_KAFKA_RUN"
"""Variables that the processes of a run inherit: the address, and what no other run is called."""

SESSION_MS = 6_000
"""A member that a busy machine holds up for a second is no dead one."""


def share(bootstrap: str) -> None:
    """Let this process, and those that it starts, use the Kafka at this address."""
    os.environ[BOOTSTRAP], os.environ[RUN] = bootstrap, uuid.uuid4().hex


def shared_bootstrap() -> str | None:
    """The address of the shared Kafka; none when each test has a local broker of its own."""
    return os.environ.get(BOOTSTRAP)


def new_prefix() -> str:
    """A prefix that is used nowhere else."""
    return f"{uuid.uuid4().hex[:12]}-"


def kafka_environment(folder: Path) -> dict[str, str]:
    """Settings by which `lookstream` on this data folder has its own names in the shared Kafka, if there is one."""
    bootstrap = shared_bootstrap()
    if bootstrap is None:
        return {}
    prefix = hashlib.sha256(f"{os.environ[RUN]} {folder}".encode()).hexdigest()[:12]
    own = environment_of(KafkaSettings(bootstrap=bootstrap, prefix=f"{prefix}-"))
    return own | {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS)}


def environment_of(kafka: KafkaSettings) -> dict[str, str]:
    """The variables by which a command reaches the same Kafka, with the same prefix."""
    return {"LOOKSTREAM_KAFKA_BOOTSTRAP": str(kafka.bootstrap), "LOOKSTREAM_KAFKA_PREFIX": kafka.prefix}


def kafka_of(environment: Mapping[str, str], bootstrap: str | None) -> KafkaSettings:
    """How a test reaches the Kafka of a system with this environment; `bootstrap` is its local broker."""
    named = environment.get("LOOKSTREAM_KAFKA_BOOTSTRAP", bootstrap)
    return KafkaSettings(bootstrap=named, prefix=environment.get("LOOKSTREAM_KAFKA_PREFIX", ""))
