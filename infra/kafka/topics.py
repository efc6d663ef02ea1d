"""Topic administration: create the topics, and compare the settings of existing ones with the required settings."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from infra.config.kafka import KafkaSettings
from infra.kafka.broker_check import check_broker
from infra.kafka.config import admin_client
from infra.retry import Retry
from schemas.failures import Unavailable
from schemas.topics import Topic

TIMEOUT_S = 30.0
SIZE, POLICY = "max.message.bytes", "cleanup.policy"
"""Topic settings that guarantees depend on; an operator may choose the others, such as the retention."""

AUTHORIZATION_CODES = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)


class NotReady(Unavailable):
    """A created topic has a partition without a leader."""


@dataclass(frozen=True)
class TopicDifference:
    """A setting of an existing topic that differs from the required value."""

    topic: str
    setting: str
    actual: str
    needed: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.actual}, and must be {self.needed}"

    def command(self, bootstrap: str) -> str:
        """The kafka-configs.sh command line that corrects it."""
        return (
            f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics "
            f"--entity-name {self.topic} --add-config {self.setting}={self.needed}"
        )


def create_topics(kafka: KafkaSettings, topics: Sequence[Topic]) -> list[str]:
    """Create the missing topics and wait until they have leaders; returns the names of those created."""
    check_broker(kafka)
    admin = admin_client(kafka)
    new = [_new_topic(kafka, topic) for topic in _missing(kafka, admin, topics)]
    created = []
    with _translate_errors("topics could not be created"):
        futures = admin.create_topics(new, request_timeout=TIMEOUT_S) if new else {}
    for name, future in futures.items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise _unavailable(f"topic {name} could not be created", error.args[0]) from None
    Retry(TIMEOUT_S).run(lambda: _check_leaders(admin, created), NotReady)
    return created


def find_missing_topics(kafka: KafkaSettings, topics: Sequence[Topic]) -> list[str]:
    """Names of the topics that do not exist, or that this user may not see."""
    check_broker(kafka)
    return [kafka.prefix + topic.name for topic in _missing(kafka, admin_client(kafka), topics)]


def find_topic_differences(kafka: KafkaSettings, topics: Sequence[Topic]) -> list[TopicDifference]:
    """Settings of existing topics that must be changed."""
    check_broker(kafka)
    admin = admin_client(kafka)
    missing = _missing(kafka, admin, topics)
    needed = {
        kafka.prefix + topic.name: topic.config(kafka.record_bytes) for topic in topics if topic not in missing
    }
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in needed]
    with _translate_errors("the settings of topics could not be read"):
        futures = admin.describe_configs(resources, request_timeout=TIMEOUT_S) if resources else {}
    differences = list[TopicDifference]()
    for resource, future in futures.items():
        with _translate_errors(f"the settings of topic {resource.name} could not be read"):
            found = {name: str(entry.value) for name, entry in future.result().items()}
        differences += _differences(resource.name, found, needed[resource.name])
    return differences


def update_topics(kafka: KafkaSettings, differences: Sequence[TopicDifference]) -> None:
    """Set the differing settings to the required values."""
    changes: dict[str, list[ConfigEntry]] = {}
    for difference in differences:
        entry = ConfigEntry(difference.setting, difference.needed, incremental_operation=AlterConfigOpType.SET)
        changes.setdefault(difference.topic, []).append(entry)
    resources = [
        ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        for name, entries in changes.items()
    ]
    admin = admin_client(kafka)
    with _translate_errors("topics could not be changed"):
        futures = admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S) if resources else {}
    for resource, future in futures.items():
        with _translate_errors(f"topic {resource.name} could not be changed"):
            future.result()


def _new_topic(kafka: KafkaSettings, topic: Topic) -> NewTopic:
    name, config = kafka.prefix + topic.name, topic.config(kafka.record_bytes)
    return NewTopic(name, topic.partitions, replication_factor=kafka.replication, config=config)


def _missing(kafka: KafkaSettings, admin: AdminClient, topics: Sequence[Topic]) -> list[Topic]:
    with _translate_errors("the topics could not be listed"):
        existing = admin.list_topics(timeout=TIMEOUT_S).topics
    return [topic for topic in topics if kafka.prefix + topic.name not in existing]


def _check_leaders(admin: AdminClient, names: Sequence[str]) -> None:
    with _translate_errors("the topics could not be listed"):
        known = admin.list_topics(timeout=TIMEOUT_S).topics
    for name in names:
        partitions = known[name].partitions.values() if name in known else ()
        if not partitions or any(partition.leader < 0 for partition in partitions):
            raise NotReady(f"topic {name} has been created, and not every partition has a leader yet: try again")


def _differences(topic: str, found: Mapping[str, str], needed: Mapping[str, str]) -> Iterator[TopicDifference]:
    size, policy = found.get(SIZE), found.get(POLICY)
    if size is not None and int(size) < int(needed[SIZE]):
        yield TopicDifference(topic, SIZE, size, needed[SIZE])
    if policy is not None and policy != needed[POLICY]:
        yield TopicDifference(topic, POLICY, policy, needed[POLICY])


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Convert a KafkaException to Unavailable, which names the failed step."""
    try:
        yield
    except KafkaException as error:
        raise _unavailable(what, error.args[0]) from None


def _unavailable(what: str, error: KafkaError) -> Unavailable:
    remedy = ": allow it to this user: `lookstream topics acls --part topics` prints the commands"
    return Unavailable(f"{what}: {error.str()}{remedy if error.code() in AUTHORIZATION_CODES else ''}")
