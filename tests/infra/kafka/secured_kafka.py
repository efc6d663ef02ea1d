"""Apache Kafka with a user for each part of the system, with the rights that `lookstream topics acls` grants."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from infra.config.kafka import KafkaSettings
from infra.kafka_admin.access import AccessRight, KafkaUser, Resource, access_rights
from tests.kafka.apache import ApacheNode, wait_for
from tests.kafka.properties import Access

PASSWORD = "canary-password"
USERS = Access({part: PASSWORD for part in KafkaUser}, acls=True)
TYPES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}


def kafka_of(node: ApacheNode, part: KafkaUser, password: str = PASSWORD, prefix: str = "") -> KafkaSettings:
    """How a part of the system reaches the node, as its user."""
    return KafkaSettings.model_validate(
        {
            "bootstrap": node.bootstrap,
            "prefix": prefix,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": part,
            "sasl_password": password,
            "session_timeout_ms": 6_000,
        }
    )


def environment_of(node: ApacheNode, part: KafkaUser, prefix: str = "") -> dict[str, str]:
    """The same as variables of a process."""
    kafka = kafka_of(node, part, prefix=prefix)
    given = kafka.model_dump(exclude_defaults=True, exclude={"sasl_password"})
    variables = {f"LOOKSTREAM_KAFKA_{name.upper()}": str(value) for name, value in given.items()}
    return variables | {"LOOKSTREAM_KAFKA_SASL_PASSWORD": PASSWORD}


def grant(
    node: ApacheNode, part: KafkaUser, granted: Iterable[AccessRight] | None = None, prefix: str = ""
) -> None:
    """Allow a part what it needs, or `granted` instead, and nothing else; in force when this returns."""
    admin = node.admin()
    untyped: Any = AclBindingFilter  # its stub knows of no filter without a name
    name, host = None, None
    everything = untyped(
        ResourceType.ANY,
        name,
        ResourcePatternType.ANY,
        f"User:{part}",
        host,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    for future in admin.delete_acls([everything]).values():
        future.result()
    chosen = access_rights(part, prefix) if granted is None else granted
    bindings = [binding for right in chosen for binding in bindings_of(right, part)]
    for created in admin.create_acls(bindings).values() if bindings else ():
        created.result()
    # The controller has stored them; the broker applies them a moment later.
    wait_for(lambda: set(admin.describe_acls(everything).result()) == set(bindings), "the rights to be in force")


def bindings_of(right: AccessRight, part: KafkaUser) -> list[AclBinding]:
    """A right as ACLs of Kafka."""
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    kind, user = TYPES[right.resource], f"User:{part}"
    return [
        AclBinding(kind, right.name, pattern, user, "*", OPERATIONS[operation], AclPermissionType.ALLOW)
        for operation in right.operations
    ]
