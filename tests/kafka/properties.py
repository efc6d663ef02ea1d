"""The settings of a node of Apache Kafka for tests: small, quick to start, quick to rebalance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.local.ports import LOOPBACK

CLIENTS, INTERNAL, CONTROLLER = "CLIENTS", "INTERNAL", "CONTROLLER"
"""The listeners of a node: for the clients of a test, for brokers and superusers, for the controllers."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
INTERNAL_PARTITIONS = 3
"""Of each of Kafka's own topics."""
QUICK = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": str(INTERNAL_PARTITIONS),
    "transaction.state.log.num.partitions": str(INTERNAL_PARTITIONS),
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    # The consumer protocol of KIP-848, whose session timeout and pace of heartbeats are the broker's.
    "group.consumer.min.session.timeout.ms": "500",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "file.delete.delay.ms": "1000",
    # The default of 128 MB is a third of the heap.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


@dataclass(frozen=True)
class Access:
    """Who may do what: users with their passwords, and whether Kafka's own authorizer refuses what no ACL allows.

    Users log in by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. What comes by `ApacheNode.admin` may do everything.
    """

    users: Mapping[str, str]
    acls: bool = False


@dataclass(frozen=True)
class Ports:
    """Where a node listens."""

    clients: int
    internal: int
    controller: int


@dataclass(frozen=True)
class Plan:
    """What all nodes of a cluster share; `settings` are Kafka's own and take precedence over all others."""

    ports: Mapping[int, Ports]
    access: Access | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def node_properties(plan: Plan, node: int, folder: str) -> str:
    """The text of the properties file of a node, which is broker and controller."""
    ports = plan.ports[node]
    voters = ",".join(f"{n}@{LOOPBACK}:{p.controller}" for n, p in sorted(plan.ports.items()))
    listeners = [f"{CLIENTS}://{LOOPBACK}:{ports.clients}", f"{INTERNAL}://{LOOPBACK}:{ports.internal}"]
    secured = "PLAINTEXT" if plan.access is None else "SASL_PLAINTEXT"
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "listeners": ",".join([*listeners, f"{CONTROLLER}://{LOOPBACK}:{ports.controller}"]),
        "advertised.listeners": ",".join(listeners),
        "listener.security.protocol.map": f"{CLIENTS}:{secured},{INTERNAL}:PLAINTEXT,{CONTROLLER}:PLAINTEXT",
        "inter.broker.listener.name": INTERNAL,
        "controller.listener.names": CONTROLLER,
        "log.dirs": folder,
    }
    settings |= QUICK | _replication(len(plan.ports)) | _access_settings(plan.access) | dict(plan.settings)
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def scram_options(access: Access | None) -> Sequence[str]:
    """Options of StorageTool that create the users of SCRAM."""
    users = () if access is None else access.users.items()
    return [
        word
        for name, password in users
        for mechanism in MECHANISMS[1:]
        for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    ]


def _replication(nodes: int) -> dict[str, str]:
    replicas, in_sync = str(min(3, nodes)), str(min(2, nodes))
    return {
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "1",
    }


def _access_settings(access: Access | None) -> dict[str, str]:
    if access is None:
        return {}
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    users = "".join(f' user_{name}="{password}"' for name, password in access.users.items())
    prefix = f"listener.name.{CLIENTS.lower()}"
    settings = {
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        f"{prefix}.plain.sasl.jaas.config": f"{plain}{users};",
        f"{prefix}.scram-sha-256.sasl.jaas.config": scram,
        f"{prefix}.scram-sha-512.sasl.jaas.config": scram,
    }
    if access.acls:
        authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        settings |= {"authorizer.class.name": authorizer, "super.users": "User:ANONYMOUS"}
    return settings
